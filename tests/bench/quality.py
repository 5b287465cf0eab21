#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The personalisation table: does pruning with one user's unlabelled data keep, or raise, that user's accuracy?

Every user's model is pruned with the user's local data, without labels, and measured with ONNX Runtime on other data of the
same user. README.md beside this file says what the suites and columns are.
"""
import argparse, collections, hashlib, importlib.util, json, os, pathlib, random, statistics, subprocess, sys, tempfile
from typing import NamedTuple, Optional
import numpy as np, onnx, onnxruntime as ort

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHODS = ["fine-pruning", "wanda", "magnitude", "paper"]
OTHERS = ["generic", "another", "labelled"]
RIVALS = ["onnxsim-wanda", "onnxsim-wanda-global", "onnxsim-sparsegpt"]
LOCAL, TEST, TYPES, USERS = 30, 60, 5, 10       # magika: files of a type, types of a user, users


class User(NamedTuple):
    name: str
    model: pathlib.Path
    local: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    local_labels: Optional[np.ndarray] = None   # for the column `labelled` only


# ---- suites

def gesture(_):
    folder = ROOT / "samples/gesture"
    local, test = (next(iter(np.load(folder / name).values())) for name in ("local.npz", "test.npz"))
    return [User("demo", folder / "gesture.onnx", local, test, np.load(folder / "test_labels.npy"))]


def recorded(folder, model_of):
    users = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as z:
            users.append(User(path.stem, model_of(path.stem), z["local"].astype(np.float32), z["test"].astype(np.float32),
                              z["test_labels"]))
    return users


def digits(options):
    folder = options.shared / "digits"
    return recorded(folder, lambda name: folder / f"digits_without_{name}.onnx")


def activity(options):
    folder = options.shared / "activity"
    return recorded(folder, lambda name: folder / "activity.onnx")


def magika_package(work):
    """The installed package; if there is none, one in a venv of ours."""
    found = importlib.util.find_spec("magika")
    if found and found.origin:     # a folder of that name is none
        return pathlib.Path(found.origin).parent
    venv = work / "magika-venv"
    if not list(venv.glob("lib/python3*/site-packages/magika")):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "magika==1.0.3"], check=True)
    return next(venv.glob("lib/python3*/site-packages/magika"))


def typed_files(folder, extensions):
    """{label: paths} beneath the folder; links and what the system makes up are left out."""
    paths = collections.defaultdict(list)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if os.path.join(place, f) not in ("/proc", "/sys", "/dev", "/run", "/tmp"))
        for name in sorted(names):
            label = extensions.get(os.path.splitext(name)[1])
            path = os.path.join(place, name)
            if label is not None and not os.path.islink(path):
                paths[label].append(path)
    return paths


def distinct(paths, tokens, seen, most):
    """The model's inputs of files whose content nobody else has."""
    rows = []
    for path in paths:
        if len(rows) == most:
            break
        try:
            with open(path, "rb") as stream:
                row = tokens(stream)
                stream.seek(0)
                keys = {hashlib.file_digest(stream, "sha256").digest()}
        except OSError:
            continue
        if row is None:
            continue
        keys.add(hashlib.sha256(row.tobytes()).digest())
        if not keys & seen:
            seen |= keys
            rows.append(row)
    return rows


def magika(options):
    sys.path.insert(0, str(ROOT / "samples/filetype"))
    import files_to_npz
    package = magika_package(options.work)
    shuffle, seen, pool = random.Random(7), set(), {}
    each = LOCAL + TEST
    for label, paths in sorted(typed_files(options.files, files_to_npz.types(package)).items()):
        shuffle.shuffle(paths)
        pool[label] = distinct(paths, files_to_npz.tokens, seen, 6 * each) if len(paths) >= each else []
    used, users = collections.Counter(), []
    for i in range(USERS):      # users share types, but no file
        free = [t for t in sorted(pool) if len(pool[t]) >= each * (used[t] + 1)]
        shuffle.shuffle(free)
        free.sort(key=lambda t: used[t])
        if len(free) < TYPES:
            print(f"magika: files for {i} users only", file=sys.stderr)
            break
        parts = []
        for t in free[:TYPES]:
            rows = pool[t][each * used[t]:each * (used[t] + 1)]
            used[t] += 1
            parts.append((rows[:LOCAL], rows[LOCAL:], t))
        stack = lambda k: np.stack([row for part in parts for row in part[k]])
        order = np.random.default_rng(i).permutation(LOCAL * TYPES)     # data come in no order of types
        users.append(User(f"user{i + 1:02}", package / "models/standard_v3_3/model.onnx", stack(0)[order], stack(1),
                          np.repeat([p[2] for p in parts], TEST), np.repeat([p[2] for p in parts], LOCAL)[order]))
    return users


SUITES = {"gesture": gesture, "digits": digits, "activity": activity, "magika": magika}


# ---- columns

def answers(model, x):
    session = ort.InferenceSession(model if isinstance(model, bytes) else str(model))
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i:i + 64]})[0] for i in range(0, len(x), 64)])


def accuracy(model, user):
    return float((answers(model, user.test).argmax(1) == user.labels).mean())


def prune(options, user, local, method, sparsity, out):
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "local.npz")
        np.savez(data, **{onnx.load(user.model).graph.input[0].name: local})
        done = subprocess.run([options.binary, "prune", user.model, "--data", data, "-o", out, "-f", "-q", "-s", str(sparsity),
                               "--method", method], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{user.name}, {method}: exit code {done.returncode}: {done.stderr.strip()}")


def rival(user, method, sparsity, out):
    import onnxsim
    model = onnx.load(user.model)
    data = [{model.graph.input[0].name: user.local[i:i + 32]} for i in range(0, len(user.local), 32)]
    call = onnxsim.apply_sparsegpt_pruning if method == "onnxsim-sparsegpt" else onnxsim.apply_wanda_pruning
    more = {"global_sparsity": True} if method == "onnxsim-wanda-global" else {}
    onnx.save(call(model, calibration_data=data, sparsity=sparsity, **more), out)


def with_features(path):
    """The model with the last layer's input as its first output, and the rest of what it gave behind that."""
    model = onnx.load(path)
    graph = model.graph
    stored = {i.name for i in graph.initializer}
    last = [n for n in graph.node if n.op_type in ("Gemm", "MatMul") and n.input[1] in stored][-1]
    graph.output.insert(0, onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    return model.SerializeToString()


def labelled(user):
    """Accuracy after fine-tuning the dense model's last layer with the local data's labels: logistic regression from where it is."""
    model = with_features(user.model)
    session = ort.InferenceSession(model)
    name = session.get_inputs()[0].name
    (f, y), (g, z) = (session.run(None, {name: x})[:2] for x in (user.local, user.test))
    if f.ndim != 2:
        return None
    if (y >= 0).all() and np.allclose(y.sum(1), 1, atol=1e-3):      # probabilities
        y, z = np.log(np.maximum(y, 1e-30)), np.log(np.maximum(z, 1e-30))
    mean, spread = f.mean(0), f.std(0) + 1e-6
    f, g = (np.c_[(v - mean) / spread, np.ones(len(v))] for v in (f, g))
    truth = np.eye(y.shape[1])[user.local_labels]
    change, speed = np.zeros((f.shape[1], y.shape[1])), 0
    step = 2 / (np.linalg.norm(f, 2) ** 2 / len(f))
    for _ in range(300):
        p = np.exp(y + f @ change - (y + f @ change).max(1, keepdims=True))
        slope = f.T @ (p / p.sum(1, keepdims=True) - truth) / len(f) + 1e-3 * change
        speed = .9 * speed - step * slope
        change += speed
    return float(((z + g @ change).argmax(1) == user.labels).mean())


def column(options, users, i, name, sparsity, out):
    """One user's accuracy; None where the column does not exist."""
    user, rest = users[i], users[:i] + users[i + 1:]
    if name == "labelled":
        return labelled(user) if user.local_labels is not None else None
    if name == "generic":
        if len(rest) < 2:
            return None
        mixed = np.concatenate([u.local for u in rest])
        pick = np.sort(np.random.default_rng(i).permutation(len(mixed))[:len(user.local)])
        prune(options, user, mixed[pick], "fine-pruning", sparsity, out)
    elif name == "another":
        if not rest:
            return None
        prune(options, user, users[(i + 1) % len(users)].local, "fine-pruning", sparsity, out)
    elif name in RIVALS:
        rival(user, name, sparsity, out)
    else:
        prune(options, user, user.local, name, sparsity, out)
    return accuracy(out, user)


# ---- the table

def measure(options, suite, users):
    rows = []
    for i, user in enumerate(users[:options.users]):
        dense = accuracy(user.model, user)
        fixed = {}      # what no sparsity changes
        for s in options.sparsity:
            for name in options.columns:
                with tempfile.TemporaryDirectory() as folder:
                    if name not in fixed:
                        a = column(options, users, i, name, s, pathlib.Path(folder, "out.onnx"))
                        if name == "labelled":
                            fixed[name] = a
                    else:
                        a = fixed[name]
                if a is not None:
                    rows.append(dict(suite=suite, user=user.name, column=name, sparsity=s, dense=dense, accuracy=a))
        print(f"{suite}: {user.name} done", file=sys.stderr)
    return rows


def print_table(options, rows):
    names = [n for n in options.columns if any(r["column"] == n for r in rows)]
    print(f"{'suite':9}{'zeros':>6}{'':>7}{'dense':>7}" + "".join(f"{n:>{max(len(n), 6) + 2}}" for n in names))
    for suite, s in dict.fromkeys((r["suite"], r["sparsity"]) for r in rows):
        cells = {n: [r for r in rows if (r["suite"], r["sparsity"], r["column"]) == (suite, s, n)] for n in names}
        dense = {r["user"]: r["dense"] for c in cells.values() for r in c}
        for what in ("mean", "worst"):
            line = f"{suite:9}{s:6.0%}{what:>7}" + (f"{statistics.mean(dense.values()):7.3f}" if what == "mean" else " " * 7)
            for n, c in cells.items():
                value = "-" if not c else (f"{statistics.mean(r['accuracy'] for r in c):.3f}" if what == "mean" else
                                           f"{min(r['accuracy'] - r['dense'] for r in c):+.3f}")
                line += f"{value:>{max(len(n), 6) + 2}}"
            print(line)
    print("mean: accuracy over users; worst: the smallest difference from dense of one user; -: the suite has no such data"
          " (labelled: no labels of local data; generic, another: one user only)")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", default=os.environ.get("FINEPRUNE", str(ROOT / "build/fineprune")))
    p.add_argument("--suite", default="gesture,digits,activity,magika", help="which, with commas")
    p.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared/bench", help="folder of digits and activity")
    p.add_argument("--files", default="/", help="folder whose files become the users of magika (default /)")
    p.add_argument("--work", type=pathlib.Path, default=ROOT / "build/bench", help="where magika is installed when it is missing")
    p.add_argument("--columns", default=",".join(METHODS + OTHERS), help="which, with commas")
    p.add_argument("--rival", action="store_true", help="the three methods of onnxsim 0.8.1 too (it must be installed)")
    p.add_argument("--sparsity", default="0.7,0.8,0.9")
    p.add_argument("--users", type=int, help="at most so many of each suite")
    p.add_argument("--json", type=pathlib.Path, help="every measurement")
    options = p.parse_args()
    options.columns = [c for c in options.columns.split(",") if c] + (RIVALS if options.rival else [])
    options.sparsity = [float(s) for s in options.sparsity.split(",")]
    rows = []
    for suite in options.suite.split(","):
        if suite in ("digits", "activity") and not (options.shared / suite).is_dir():
            print(f"{suite}: skipped, no {options.shared / suite}", file=sys.stderr)
            continue
        rows += measure(options, suite, SUITES[suite](options))
    print_table(options, rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
