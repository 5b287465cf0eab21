#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Outputs that are named as an input, or as each other: every command, each of its inputs, each of its outputs, in every spelling. The command is
refused with exit code 2 and one line, nothing is written, and all files keep their bytes and their inodes.

    run_names.py [WORD]      only the cases whose name holds WORD
    run_names.py --all       every one, not a sample
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from bad_models import save, tiny  # noqa: E402

TALLY = harness.Tally("names")
ALL = "--all" in sys.argv
ONLY = next((word for word in sys.argv[1:] if word != "--all"), "")
EACH = 1 if ALL or ONLY else 25 if harness.SANITIZED else 5  # one of so many


def judge(ran, codes, pattern):
    """None, or what is not as it should be."""
    errors = [line for line in ran.err.splitlines() if line.startswith("fineprune: error: ")]
    if ran.crashed or ran.code not in codes:
        return f"exit {ran.code}, expected {codes}: {ran.err[:300]}"
    if len(errors) != 1 or not re.search(pattern, errors[0]):
        return f"not one line of error that names {pattern}: {ran.err[:300]}"
    return None


def state(folder):
    """What lies in the folder: kind, bytes, inode."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inode = path.lstat().st_ino
        found[str(path)] = (inode, os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder")
    return found


# ---- a folder with inputs of every kind -------------------------------------------------------------------------------------------------


def fill(folder):
    """Models, one with its weights in another file; samples in all forms; labels, configuration, statistics."""
    model = tiny()
    (folder / "plain.onnx").write_bytes(model.SerializeToString())
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    save(folder, model)
    picture = tiny([helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
                    helper.make_node("MatMul", ["f", "w"], ["y"])], [numpy_helper.from_array(np.ones((3, 3), np.float32), "w")],
                   [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])])
    (folder / "picture").mkdir()
    (folder / "picture" / "m.onnx").write_bytes(picture.SerializeToString())
    (folder / "picture" / "preprocess.json").write_text('{"resize": 8, "mean": [0.5], "std": [0.5]}')
    (folder / "hub" / "onnx").mkdir(parents=True)
    (folder / "hub" / "onnx" / "m.onnx").write_bytes(picture.SerializeToString())
    (folder / "hub" / "onnx" / "labels.txt").write_text("a\nb\nc\n")
    (folder / "hub" / "config.json").write_text('{"id2label": {"0": "a", "1": "b", "2": "c"}}')
    (folder / "hub" / "preprocessor_config.json").write_text('{"size": 8, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    (folder / "given.json").write_text('{"resize": 8, "mean": [0.4], "std": [0.5]}')
    (folder / "shots" / "a").mkdir(parents=True)
    header = b"BM" + np.array([54 + 192, 0, 54, 40, 8, 8, 1 | 24 << 16, 0, 192, 0, 0, 0, 0], "<i4").tobytes()
    for i in range(6):
        (folder / "shots" / "a" / f"{i}.bmp").write_bytes(header + bytes((i * 40 + k) % 256 for k in range(192)))
    x = np.random.default_rng(5).standard_normal((24, 4)).astype(np.float32)
    np.savez(folder / "good.npz", x=x)
    np.save(folder / "labels.npy", np.arange(24) % 3)
    (folder / "config.txt").write_text('{"quiet": true}')
    for name, rows in (("rows/one.npy", x[:12]), ("rows/below/two.npy", x[12:])):
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / name, rows)
    (folder / "list.txt").write_text("rows/one.npy\nrows/below/two.npy\n")
    for i in range(3):
        (folder / "sets" / f"test_data_set_{i}").mkdir(parents=True)
        (folder / "sets" / f"test_data_set_{i}" / "input_0.pb").write_bytes(numpy_helper.from_array(x[i:i + 1], "x").SerializeToString())
    for name in ("one.stats", "two.stats"):
        ran = harness.run("score", folder / "model.onnx", "--data", folder / "good.npz", "-o", folder / name)
        assert ran.code == 0, ran.err
    ran = harness.run("score", folder / "hub" / "onnx" / "m.onnx", "--data", folder / "shots", "-o", folder / "hub.stats")
    assert ran.code == 0, ran.err


PRUNE = ("-o", "--json=", "--report=", "--masks=")
TEXTS = ("--json=", "--report=")
BESIDE = ["hub/onnx/labels.txt", "hub/config.json", "hub/preprocessor_config.json"]  # what is read without being named
# a command without its outputs, what it reads, the options that name an output
COMMANDS = (
    (["prune", "model.onnx", "--data", "good.npz"], ["model.onnx", "weights.bin", "good.npz"], PRUNE),
    (["prune", "model.onnx", "--data", "x=good.npz", "--config", "config.txt"], ["good.npz", "config.txt"], PRUNE),
    (["prune", "model.onnx", "--data", "rows"], ["rows/one.npy", "rows/below/two.npy"], PRUNE),
    (["prune", "model.onnx", "--data", "@list.txt"], ["list.txt", "rows/one.npy", "rows/below/two.npy"], PRUNE),
    (["prune", "model.onnx", "--data", "sets"], ["sets/test_data_set_1/input_0.pb"], PRUNE),
    (["prune", "picture/m.onnx", "--data", "shots"], ["shots/a/3.bmp", "picture/preprocess.json"], PRUNE),
    (["run", "picture/m.onnx", "--data", "shots", "--preprocess", "given.json"], ["given.json", "shots/a/0.bmp", "picture/m.onnx"], ("-o", *TEXTS)),
    (["run", "model.onnx", "--data", "rows"], ["model.onnx", "weights.bin", "rows/one.npy"], ("-o", *TEXTS)),
    (["score", "model.onnx", "--data", "good.npz"], ["model.onnx", "weights.bin", "good.npz"], ("-o",)),
    (["apply", "model.onnx", "--stats", "one.stats"], ["model.onnx", "weights.bin", "one.stats"], PRUNE),
    (["merge", "one.stats", "two.stats"], ["one.stats", "two.stats"], ("-o",)),
    (["compact", "model.onnx"], ["model.onnx", "weights.bin"], ("-o", *TEXTS)),
    (["compare", "plain.onnx", "model.onnx", "--data", "good.npz", "--labels", "labels.npy"],
     ["plain.onnx", "model.onnx", "weights.bin", "good.npz", "labels.npy"], TEXTS),
    (["inspect", "model.onnx"], ["model.onnx", "weights.bin"], TEXTS),
    (["check", "model.onnx", "--data", "good.npz"], ["model.onnx", "weights.bin", "good.npz"], TEXTS),
    (["prune", "hub/onnx/m.onnx", "--data", "shots"], BESIDE, PRUNE),
    (["run", "hub/onnx/m.onnx", "--data", "shots"], BESIDE, ("-o", *TEXTS)),
    (["score", "hub/onnx/m.onnx", "--data", "shots"], BESIDE, ("-o",)),
    (["apply", "hub/onnx/m.onnx", "--stats", "hub.stats"], BESIDE, PRUNE),
    (["compact", "hub/onnx/m.onnx"], BESIDE, ("-o", *TEXTS)),
    (["compare", "picture/m.onnx", "hub/onnx/m.onnx", "--data", "shots"], BESIDE, TEXTS),
    (["inspect", "hub/onnx/m.onnx"], BESIDE, TEXTS),
    (["check", "hub/onnx/m.onnx", "--data", "shots"], BESIDE, TEXTS),
)


def spellings(folder, name):
    """Other paths to the file that is there, most of them links that are made here: (path, file that 9 is opened to)."""
    plain = name.replace("/", "-")
    path = folder / name
    made = {f"hard-{plain}": None, f"sub/hard-{plain}": None, f"soft-{plain}": str(path), f"sub/soft-{plain}": f"../{name}", f"softer-{plain}": f"sub/soft-{plain}"}
    for link, target in made.items():
        if (folder / link).is_symlink() or (folder / link).exists():
            continue
        if target:
            (folder / link).symlink_to(target)
        else:
            os.link(path, folder / link)
    for spelling in (name, f"./{name}", f".//{name}", f"sub/../{name}", f"sub/./..//./{name}", str(path), f"{folder}/../{folder.name}//{name}", f"//{path}",
                     f"also/{name}", f"also/also/also/{name}", *made, f"also/sub/../hard-{plain}", f"/proc/self/cwd/{name}", f"/proc/self/root{path}"):
        yield spelling, None
    for spelling in ("/proc/self/fd/9", "/dev/fd/9", "/proc/thread-self/fd/9"):
        yield spelling, path


class Attempts:
    def __init__(self, folder):
        self.folder, self.before, self.number = folder, state(folder), 0

    def attempt(self, case, arguments, codes=(2,), pattern="output", **kwargs):
        if ONLY not in case:
            return
        ran = harness.run(*arguments, cwd=self.folder, **kwargs)
        why = judge(ran, codes, pattern)
        after = state(self.folder)
        if after != self.before:
            changed = [name for name in set(self.before) | set(after) if self.before.get(name) != after.get(name)]
            why = f"{why or ''} left behind or changed: {changed}"
            self.repair(after)
        TALLY.check(case, not why, why)

    def repair(self, after):
        for name, (_, content) in after.items():
            if name not in self.before:
                shutil.rmtree(name) if content == "folder" else os.unlink(name)
        for name, (_, content) in self.before.items():
            if isinstance(content, bytes) and not (os.path.exists(name) and Path(name).read_bytes() == content):
                Path(name).write_bytes(content)
        self.before = state(self.folder)

    def chosen(self):
        """A sample that meets every spelling and every option: the steps have no factor in common with their numbers."""
        self.number += 1
        return self.number % EACH == 0


def named_as_an_input(folder):
    for _, inputs, _ in COMMANDS:
        for name in inputs:
            list(spellings(folder, name))
    attempts = Attempts(folder)
    for arguments, inputs, options in COMMANDS:
        for name in inputs:
            with open(folder / name, "rb") as opened:
                for spelling, fd in spellings(folder, name):
                    for option in options:
                        if not attempts.chosen():
                            continue
                        here = spelling.replace("/9", f"/{opened.fileno()}") if fd else spelling
                        out = [option, here] if option == "-o" else [option + here]
                        new = ["-o", "new.out"] if option != "-o" and arguments[0] in ("prune", "run", "score", "apply", "merge", "compact") else []
                        attempts.attempt(f"{' '.join(arguments)} {option}{spelling} ({name})", [*arguments, "-f", *new, *out],
                                         pass_fds=(opened.fileno(),))


def standard_streams(folder):
    """Standard output that is opened on an input, to write over it or behind it; standard input that is the file an output is named as."""
    attempts = Attempts(folder)
    for arguments, inputs, options in COMMANDS:
        for name in inputs:
            for mode in (os.O_RDWR, os.O_WRONLY | os.O_APPEND):
                for out in (["-o", "-"], ["-o", "/dev/stdout"], ["-o", "new.out"], ["-o", "new.out", "--json=-"]):
                    if "-o" not in options and out[-1] != "--json=-":
                        out = []
                    if out[-1:] == ["--json=-"] and "-o" not in options:
                        out = out[-1:]
                    if out[-1:] == ["--json=-"] and "--json=" not in options or not attempts.chosen():
                        continue
                    attempts.attempt(f"{' '.join(arguments)} {' '.join(out)} into {name} ({mode})", [*arguments, "-f", *out],
                                     preexec_fn=lambda n=name, m=mode: os.dup2(os.open(folder / n, m), 1))
    for arguments, name in ((["prune", "plain.onnx", "--data", "-"], "good.npz"), (["run", "plain.onnx", "--data", "-"], "good.npz"),
                            (["compact", "-"], "plain.onnx"), (["prune", "-", "--data", "good.npz"], "plain.onnx")):
        for spelling in (name, f"./{name}", f"hard-{name}", f"soft-{name}", "/dev/stdin", "/proc/self/fd/0"):
            for option in ("-o", "--json="):
                new = ["-o", "new.out"] if option != "-o" else []
                attempts.attempt(f"{' '.join(arguments)} {option}{spelling} from it", [*arguments, "-f", *new, *([option, spelling] if option == "-o" else [option + spelling])],
                                 preexec_fn=lambda n=name: os.dup2(os.open(folder / n, os.O_RDONLY), 0))


def no_file(folder):
    """Folders, what cannot be made, and names that are as good as an input's."""
    attempts = Attempts(folder)
    for arguments, inputs, options in COMMANDS:
        for path in (".", "..", "/", "sub", "rows/", "also", "also/", "", f"{inputs[0]}/", f"{inputs[0]}/.", f"{inputs[0]}/x", "absent/x", "dangling", "loop", "sub/new\n/x"):
            for option in options[:2]:
                if not attempts.chosen():
                    continue
                out = [option, path] if option == "-o" else [option + path]
                new = ["-o", "new.out"] if option != "-o" and "-o" in options else []
                attempts.attempt(f"{' '.join(arguments)} {option}{path!r}", [*arguments, "-f", *new, *out], (2, 6), "output|write|empty")


def one_file(folder):
    """Two outputs that are one file, there or not, and one that is where weights of the other go."""
    (folder / "old.out").write_text("old")
    (folder / "old.out.data").write_text("old")
    new = ("new.out", "./new.out", "sub/../new.out", f"{folder}/new.out", "also/new.out", "/proc/self/cwd/new.out", f"{folder}//sub/..//new.out")
    old = [spelling for spelling, fd in spellings(folder, "old.out") if not fd]
    beside = [spelling for spelling, fd in spellings(folder, "old.out.data") if not fd]
    attempts = Attempts(folder)
    for arguments, _, options in COMMANDS:
        for i, one in enumerate(options):
            for other in options[i + 1:]:
                for first, paths in (("new.out", new), ("sub/../new.out", new), ("old.out", old)):
                    for path in paths:
                        if not attempts.chosen():
                            continue
                        out = [[option, at] if option == "-o" else [option + at] for option, at in ((one, first), (other, path))]
                        more = ["-o", "third.out"] if one != "-o" and "-o" in options else []
                        attempts.attempt(f"{arguments[0]} {one}{first} {other}{path}", [*arguments, "-f", *more, *out[0], *out[1]], pattern="out")
        for option in options[1:] if options[0] == "-o" else ():
            for first, paths in (("new.out", ("new.out.data", "./new.out.data", "also/new.out.data")), ("old.out", beside)):
                for path in paths:
                    attempts.attempt(f"{arguments[0]} -o{first} {option}{path}", [*arguments, "-f", "-o", first, option + path], pattern="out.data")


def taken_for_leftovers(folder):
    """Inputs that are called as what a killed run leaves of an output, which the next one removes; and PATH.data that is an input."""
    left = [harness.leftover("o.onnx.data" if i == 4 else "o.onnx", i) for i in range(6)]
    for path, name in (("plain.onnx", left[0]), ("one.stats", left[1]), ("labels.npy", left[2]),
                       ("config.txt", left[3]), ("weights.bin", left[4]), ("given.json", left[5])):
        shutil.copy(folder / path, folder / name)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = left[4]
    (folder / "swept.onnx").write_bytes(model.SerializeToString())
    for path, name in (("good.npz", "beside.onnx.data"), ("good.npz", "linked.npz")):
        if not (folder / name).exists():
            shutil.copy(folder / path, folder / name)
    (folder / "linked.npz").unlink()
    os.link(folder / "beside.onnx.data", folder / "linked.npz")
    attempts = Attempts(folder)
    for out in ("o.onnx", "./o.onnx", "also/o.onnx", f"{folder}/o.onnx"):
        for case in (["compact", left[0], "-o", out], ["prune", left[0], "--data", "good.npz", "-o", out],
                     ["apply", "plain.onnx", "--stats", left[1], "-o", out],
                     ["prune", "plain.onnx", "--data", "good.npz", "--config", left[3], "-o", out],
                     ["run", "picture/m.onnx", "--data", "shots", "--preprocess", left[5], "-o", out],
                     ["compare", "plain.onnx", "plain.onnx", "--data", "good.npz", "--labels", left[2], f"--json={out}"]):
            attempts.attempt(f"leftover: {' '.join(case)}", case)
    for out in ("beside.onnx", "./beside.onnx", "also/beside.onnx"):
        attempts.attempt(f"beside: {out}", ["prune", "model.onnx", "--data", "linked.npz", "-f", "-o", out], pattern="beside.onnx.data")
    attempts.attempt("leftover: weights", ["prune", "swept.onnx", "--data", "good.npz", "-o", "o.onnx.data"], pattern="read with the model")


def standard_error(folder):
    """Standard error that is opened on an input: not a byte goes there, and why is said on standard output."""
    before = state(folder)
    cases = [(arguments + ["-o", "new.out"] * ("-o" in options), name) for arguments, inputs, options in COMMANDS for name in inputs]
    for i, (arguments, name) in enumerate(cases):
        for mode in (os.O_RDWR, os.O_WRONLY | os.O_APPEND):
            case = f"{' '.join(arguments)} 2> {name} ({mode})"
            if ONLY not in case or (i + mode) % EACH:
                continue
            with os.fdopen(os.open(folder / name, mode), "ab") as opened:
                ran = subprocess.run(list(map(str, [harness.FINEPRUNE, *arguments, "-f"])), stdout=subprocess.PIPE, stderr=opened, cwd=folder, timeout=120)
            told = ran.stdout.decode()
            good = ran.returncode == 2 and "error: output '/dev/stderr' is " in told and len(told.splitlines()) == 2
            TALLY.check(case, good and state(folder) == before, f"exit {ran.returncode}, changed {state(folder) != before}: {told[:300]}")


def beside_the_model(folder):
    """Each name that is looked for beside the model and above it: never written over, though free to be made."""
    for name in ("labels.txt", "LABELS.txt", "Labels.txt", "classes.txt", "class_names.txt", "label_map.txt", "labels.json", "classes.json", "id2label.json",
                 "class_names.json", "config.json", "preprocessor_config.json", "preprocess.json", "config.min.json"):
        for place, model in ((f"hub/onnx/{name}", "hub/onnx/m.onnx"), (f"hub/{name}", "hub/onnx/m.onnx"), (name, "plain.onnx")):
            new = not (folder / place).exists()
            if new:
                ran = harness.run("inspect", model, "-f", f"--json={place}", cwd=folder)
                TALLY.check(f"beside: {place} is new", ran.code == 0 and (folder / place).exists(), ran.err[:300])
                (folder / place).write_text("{}")
            attempts = Attempts(folder)
            for arguments in (["inspect", model, f"--json={place}"], ["compact", model, "-o", place], ["compact", model, "-o", "new.out", f"--report={place}"]):
                attempts.attempt(f"beside: {' '.join(arguments)}", [*arguments, "-f"], pattern=f"{place}' is a file that is read with the model")
            attempts.attempt(f"beside: >> {place}", ["inspect", model], pattern="standard output' is a file that is read with the model",
                             preexec_fn=lambda: os.dup2(os.open(folder / place, os.O_WRONLY | os.O_APPEND), 1))
            if new:
                (folder / place).unlink()
    files = folder / "files"  # bytes as samples: any file is one, so is what external data would be called
    files.mkdir()
    (files / "config.min.json").write_text('{"beg_size": 4, "end_size": 0, "padding_token": 256, "block_size": 64, "min_file_size_for_dl": 1}')
    (files / "m.onnx").write_bytes(tiny([helper.make_node("Cast", ["x"], ["c"], to=1), helper.make_node("MatMul", ["c", "w"], ["y"])],
                                        inputs=[helper.make_tensor_value_info("x", TensorProto.INT32, ["N", 4])]).SerializeToString())
    (files / "rows").mkdir()
    for i in range(4):
        (files / "rows" / f"{i}.data").write_bytes(bytes(range(i, i + 64)))
    attempts = Attempts(folder)
    attempts.attempt("beside: PATH.data is a sample", ["prune", "files/m.onnx", "--data", "files/rows", "-f", "-o", "files/rows/0"],
                     pattern="rows/0.data' is a file that the samples are read from")


def shown(folder):
    """show makes names of its own, in a folder where inputs may lie."""
    (folder / "out").mkdir()
    (folder / "out" / "one_000003.txt").write_text("../rows/one.npy\n")
    (folder / "out" / "config.txt").write_text('{"limit": 2}')
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "one_000002.txt"
    (folder / "out" / "m.onnx").write_bytes(model.SerializeToString())
    shutil.copy(folder / "weights.bin", folder / "out" / "one_000002.txt")
    for name, arguments in (("one_000003.txt", ["plain.onnx", "--data", "@out/one_000003.txt"]), ("one_000002.txt", ["out/m.onnx", "--data", "rows/one.npy"]),
                            ("config.txt", ["plain.onnx", "--data", "rows/one.npy", "--config", "out/config.txt"])):
        content = (folder / "out" / name).read_bytes()
        for to in ("out", "out/", "also/out", "./out"):
            ran = harness.run("show", *arguments, "-f", "-o", to, cwd=folder)
            lost = (folder / "out" / name).read_bytes() != content
            TALLY.check(f"show: {name}, {to}", not lost and not judge(ran, (2,), "out"), f"lost: {lost}, {judge(ran, (2,), 'out')}")


def main():
    for part in (named_as_an_input, standard_streams, standard_error, no_file, one_file, taken_for_leftovers, beside_the_model, shown):
        with tempfile.TemporaryDirectory(prefix="fineprune-names-") as folder:
            folder = Path(folder).resolve() / "place"
            folder.mkdir()
            fill(folder)
            (folder / "sub").mkdir()
            (folder / "also").symlink_to(".")
            (folder / "dangling").symlink_to("nowhere")
            (folder / "loop").symlink_to("loop")
            for name in ("good.npz", "plain.onnx"):
                list(spellings(folder, name))
            part(folder)
    TALLY.finish()


if __name__ == "__main__":
    main()
