# SPDX-License-Identifier: Apache-2.0
"""The users of every suite: what each has, what is measured with, and by which model."""
import collections, hashlib, importlib.util, io, json, os, pathlib, random, subprocess, sys, zipfile
from typing import NamedTuple, Optional
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
LOCAL, TEST, TYPES, USERS, MOST = 30, 60, 5, 50, 25     # magika: files of a type, types of a user, users, users of a type


class User(NamedTuple):
    name: str
    model: pathlib.Path
    local: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    local_labels: Optional[np.ndarray] = None   # for the column `labelled` only


class Missing(Exception):
    """A suite cannot be measured here."""


# ---- recordings in files

def gesture(_):
    folder = ROOT / "samples/gesture"
    local, test = (next(iter(np.load(folder / name).values())) for name in ("local.npz", "test.npz"))
    return [User("demo", folder / "gesture.onnx", local, test, np.load(folder / "test_labels.npy"))]


def floats(array):
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def recorded(folder, model_of):
    """A user for each .npz; model_of(name, what it holds) says which model is the user's."""
    if not folder.is_dir():
        raise Missing(f"no {folder}")
    users = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as z:
            users.append(User(path.stem, model_of(path.stem, z), floats(z["local"]), floats(z["test"]), z["test_labels"],
                              z["local_labels"] if "local_labels" in z else None))
    return users


def digits(options):
    folder = options.shared / "digits"
    return recorded(folder, lambda name, _: folder / f"digits_without_{name}.onnx")


def activity(options):
    folder = options.shared / "activity"
    return recorded(folder, lambda *_: folder / "activity.onnx")


def made(suite, file="model.onnx"):
    """A suite that made.py builds the first time it is asked for."""
    def users(options):
        folder = options.made / suite
        if not folder.is_dir():
            if not importlib.util.find_spec("torch") and not options.torch:
                raise Missing(f"no {folder} and no torch to make it with (--torch PYTHON)")
            subprocess.run([options.torch or sys.executable, ROOT / "tests/bench/made.py", "--out", options.made,
                            "--shared", options.shared, suite], check=True, stdout=sys.stderr)
        return recorded(folder, lambda _, z: folder / (str(z["model"]) if "model" in z else file))
    return users


# ---- photos

def photos(archive, part, how):
    """The pictures of a folder in a zip, as the model wants them: [n, 3, height, width]."""
    from PIL import Image
    names = sorted(n for n in archive.namelist() if n.startswith(part + "/") and n.lower().endswith((".jpg", ".jpeg", ".png")))
    size = how["size"]["width"], how["size"]["height"]
    pixels = [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB").resize(size, how["resample"]), np.float32) for n in names]
    mean, deviation = (np.asarray(how[key], np.float32) for key in ("image_mean", "image_std"))
    return ((np.stack(pixels) * np.float32(how["rescale_factor"]) - mean) / deviation).transpose(0, 3, 1, 2).copy()


def images(options):
    folder = options.shared / "images"
    if not folder.is_dir() or not importlib.util.find_spec("PIL"):
        raise Missing(f"needs {folder} and pillow")
    how = json.loads((folder / "preprocessor_config.json").read_text())
    users = []
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            local, test = (photos(archive, part, how) for part in ("local", "test"))
            users.append(User(path.stem, next(folder.glob("*.onnx")), local, test, np.load(io.BytesIO(archive.read("test_labels.npy")))))
    return users


# ---- files of this machine

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
        pool[label] = distinct(paths, files_to_npz.tokens, seen, MOST * each) if len(paths) >= each else []
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


SUITES = {"gesture": gesture, "digits": digits, "activity": activity, "images": images, "magika": magika,
          "residual": made("residual"), "residual-dynamo": made("residual", "dynamo.onnx"), "faces-raw": made("faces", "raw.onnx")}
SUITES |= {name: made(name) for name in ("sensors", "sensors-lstm", "words", "topics",
                                         "tags", "landmarks", "autoencoder", "tokens", "tokens-squeezed", "faces")}
