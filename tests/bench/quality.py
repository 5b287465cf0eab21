#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The personalisation table: does pruning with one user's unlabelled data keep, or raise, that user's accuracy?

Every user's model is pruned with the user's local data, without labels, and measured with ONNX Runtime on other data of the
same user. README.md beside this file says what the suites, scenarios and columns are.
"""
import argparse, functools, json, os, pathlib, statistics, subprocess, sys, tempfile, time
import numpy as np, onnx, onnxruntime as ort
from suites import metrics, scenarios
from suites.users import Missing, SUITES

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHODS = ["fine-pruning", "wanda", "magnitude", "paper"]
OTHERS = ["keep", "generic", "another", "labelled"]
RIVALS = ["onnxsim-wanda", "onnxsim-wanda-global", "onnxsim-sparsegpt"]
KEEP = ["--outputs", "keep", "--readout", "keep"]
HARM = .01      # a user is harmed whose model lost more than that


# ---- one model

def answers(model, x):
    """What the model gives for all samples; one at a time where its batch is fixed at one."""
    session = ort.InferenceSession(model if isinstance(model, bytes) else str(model))
    entry = session.get_inputs()[0]
    if entry.shape and entry.shape[0] == 1:
        single = [session.run(None, {entry.name: x[i:i + 1]})[0] for i in range(len(x))]
        return np.stack([y.reshape(y.shape[1:] if y.shape[0] == 1 and y.ndim == len(entry.shape) + 1 else y.shape) for y in single])
    return np.concatenate([session.run(None, {entry.name: x[i:i + 64]})[0] for i in range(0, len(x), 64)])


def zeros(path):
    """Share of zeros over all initializers of two axes or more."""
    stored = [onnx.numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer if len(i.dims) >= 2]
    return sum(int((a == 0).sum()) for a in stored) / max(sum(a.size for a in stored), 1)


@functools.cache
def input_name(model):
    graph = onnx.load(model, load_external_data=False).graph
    stored = {i.name for i in graph.initializer}
    return next(i.name for i in graph.input if i.name not in stored)


def measured(suite, user, model):
    y = answers(model, user.test)
    return dict(score=float(metrics.of(suite)[1](y, user)), own=metrics.own_classes(suite, y, user), zeros=zeros(model))


# ---- columns: each writes a model; what it returns is kept beside the measurement

def prune(options, user, local, more, sparsity, out):
    """A refused prune (exit code 5) leaves no file: its user keeps the dense model."""
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "local.npz")
        np.savez(data, **{input_name(user.model): local})
        start = time.perf_counter()
        done = subprocess.run([options.binary, "prune", user.model, "--data", data, "-o", out, "-f", "-s", str(sparsity), *more,
                               *options.more.split()], capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode not in (0, 5):
        sys.exit(f"{user.name}, {' '.join(more)}: exit code {done.returncode}: {done.stderr.strip()}")
    return dict(seconds=seconds, exit=done.returncode, said=(done.stderr.splitlines() or [""])[0])


def rival(user, method, sparsity, out):
    import onnxsim
    model = onnx.load(user.model)
    data = [{input_name(user.model): user.local[i:i + 32]} for i in range(0, len(user.local), 32)]
    call = onnxsim.apply_sparsegpt_pruning if method == "onnxsim-sparsegpt" else onnxsim.apply_wanda_pruning
    more = {"global_sparsity": True} if method == "onnxsim-wanda-global" else {}
    start = time.perf_counter()
    onnx.save(call(model, calibration_data=data, sparsity=sparsity, **more), out)
    return dict(seconds=time.perf_counter() - start)


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
    name = input_name(user.model)
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


def mixed(users, i):
    """As many samples as the user has, of all others."""
    pool = np.concatenate([u.local for k, u in enumerate(users) if k != i])
    return pool[np.sort(np.random.default_rng(i).permutation(len(pool))[:len(users[i].local)])]


def column(options, suite, users, i, name, sparsity):
    """One user's measurement; None where the column does not exist."""
    user = users[i]
    if name == "labelled":
        right = labelled(user) if user.local_labels is not None and metrics.of(suite)[0] == "accuracy" else None
        return None if right is None else dict(score=right)
    fine = ["--method", "fine-pruning"]
    if name in ("generic", "another") and len(users) < 3 - (name == "another"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "out.onnx")
        how = {"keep": lambda: prune(options, user, user.local, fine + KEEP, sparsity, out),
               "generic": lambda: prune(options, user, mixed(users, i), fine, sparsity, out),
               "another": lambda: prune(options, user, users[(i + 1) % len(users)].local, fine, sparsity, out)}
        if name in how:
            told = how[name]()
        elif name in RIVALS:
            told = rival(user, name, sparsity, out)
        else:
            told = prune(options, user, user.local, ["--method", name], sparsity, out)
        return dict(told, **measured(suite, user, out if out.exists() else user.model))


# ---- the table

def measure(options, suite, scenario, users):
    rows = []
    users = [scenarios.applied(user, k, scenario) for k, user in enumerate(users)]
    users = [user for user in users if user is not None]
    for i, user in enumerate(users[:options.users]):
        dense = measured(suite, user, user.model)
        for name in options.columns:
            for s in [None] if name == "labelled" else options.sparsity:     # no sparsity changes that one
                found = column(options, suite, users, i, name, s)
                if found is not None:
                    rows.append(dict(suite=suite, scenario=scenario, user=user.name, column=name, sparsity=s, dense=dense["score"],
                                     dense_own=dense["own"], **found))
        line = "; ".join(f"{r['column']} {r['sparsity'] or 0:.0%} {r['score']:.3f}" for r in rows if r["user"] == user.name)
        print(f"{suite}/{scenario}: {user.name}: dense {dense['score']:.3f}; {line}", file=sys.stderr)
    return rows


def summary(group):
    """A row of the table: over the users of a suite, scenario, column and sparsity."""
    change = [r["score"] - r["dense"] for r in group]
    mean = lambda key: statistics.mean(r[key] for r in group) if all(r.get(key) is not None for r in group) else None
    return dict(suite=group[0]["suite"], scenario=group[0]["scenario"], measure=metrics.of(group[0]["suite"])[0],
                users=len(group), column=group[0]["column"], asked=group[0]["sparsity"], dense=mean("dense"), mean=mean("score"),
                worst=min(change), harmed=sum(c < -HARM - 1e-9 for c in change) / len(change), zeros=mean("zeros"),
                refused=sum(r.get("exit") == 5 for r in group), dense_own=mean("dense_own"), own=mean("own"), seconds=mean("seconds"))


SHOWN = {   # heading: field, how it is written
    "suite": ("suite", "{}"), "scenario": ("scenario", "{}"), "measure": ("measure", "{}"), "users": ("users", "{}"),
    "asked": ("asked", "{:.0%}"), "column": ("column", "{}"), "dense": ("dense", "{:.3f}"), "mean": ("mean", "{:.3f}"),
    "worst": ("worst", "{:+.3f}"), "harmed": ("harmed", "{:.0%}"), "zeros": ("zeros", "{:.1%}"), "refused": ("refused", "{}"),
    "own dense": ("dense_own", "{:.3f}"), "own": ("own", "{:.3f}"), "seconds": ("seconds", "{:.2f}")}


def summaries(rows):
    groups = {}
    for r in rows:
        groups.setdefault((r["suite"], r["scenario"], r["sparsity"] or 0, r["column"]), []).append(r)
    return [summary(g) for g in groups.values()]


def cells(row):
    return ["-" if row[field] is None else form.format(row[field]) for field, form in SHOWN.values()]


def print_table(rows, markdown):
    table = [list(SHOWN)] + [cells(r) for r in summaries(rows)]
    if markdown:
        table.insert(1, ["---"] * len(SHOWN))
        print("\n".join("| " + " | ".join(line) + " |" for line in table))
        return
    widths = [max(len(line[k]) for line in table) for k in range(len(SHOWN))]
    for line in table:
        print("  ".join(f"{cell:<{w}}" if k < 3 else f"{cell:>{w}}" for k, (cell, w) in enumerate(zip(line, widths))).rstrip())
    print("mean: over users; worst: the smallest difference from dense of one user; harmed: users below dense - .01; refused: users who"
          " keep the dense model;\nown: among the user's own classes; -: there is no such number")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", default=os.environ.get("FINEPRUNE", str(ROOT / "build/fineprune")))
    p.add_argument("--suite", default="gesture,digits,activity,images,magika", help=f"which, with commas: {', '.join(SUITES)}")
    p.add_argument("--scenario", default="all", help="all (the users as they are), c1, c2, c3, hid1, hid2, n10, n20, n40, zipf; with commas")
    p.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared/bench", help="folder of digits, activity and images")
    p.add_argument("--files", default="/", help="folder whose files become the users of magika (default /)")
    p.add_argument("--work", type=pathlib.Path, default=ROOT / "build/bench", help="where magika is installed when it is missing")
    p.add_argument("--made", type=pathlib.Path, help="folder of the suites that are made (default made, below --work)")
    p.add_argument("--torch", help="a Python that has torch, to make suites with (default: this one, if it has)")
    p.add_argument("--columns", "--method", default=",".join(METHODS + OTHERS), help="which, with commas; any --method of the program is one")
    p.add_argument("--more", default="", help="options that every prune gets, in one string, as in --more='--outputs keep'")
    p.add_argument("--rival", action="store_true", help="the three methods of onnxsim 0.8.1 too (it must be installed)")
    p.add_argument("--sparsity", default="0.7,0.8,0.9")
    p.add_argument("--users", type=int, help="at most so many of each suite")
    p.add_argument("--json", type=pathlib.Path, help="every measurement")
    p.add_argument("--markdown", action="store_true", help="the table as Markdown")
    options = p.parse_args()
    options.made = options.made or options.work / "made"
    options.columns = [c for c in options.columns.split(",") if c] + (RIVALS if options.rival else [])
    options.sparsity = [float(s) for s in options.sparsity.split(",")]
    options.suite, options.scenario = options.suite.split(","), options.scenario.split(",")
    for bad in [s for s in options.suite if s not in SUITES] + [s for s in options.scenario if not scenarios.known(s)]:
        p.error(f"no suite or scenario {bad}")
    return options


def main():
    options, rows = arguments(), []
    for suite in options.suite:
        try:
            users = SUITES[suite](options)
        except Missing as reason:
            print(f"{suite}: left out, {reason}", file=sys.stderr)
            continue
        for scenario in options.scenario:
            rows += measure(options, suite, scenario, users)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print_table(rows, options.markdown)


if __name__ == "__main__":
    main()
