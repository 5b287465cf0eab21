#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every allocation and system call of the program and its library fails once, or all do from one on, and the program is killed at every
call: no crash, the right exit code and one line, and every output is the old or the new one, whole. What other libraries want fails too: then
only the outputs must be whole, as not every library can bear it.

    run_faults.py [WORDS]        a sample of each scenario's faults (whose name has the word)
    run_faults.py --all [WORDS]  all of them; hours, as a prune wants memory 60,000 times, 55,000 of them for other libraries
    run_faults.py --own ...      without the faults of other libraries' allocations
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

TALLY = harness.Tally("faults")
SAMPLE = 16      # of each scenario, kind and mode
MEMORY, IO = 7, 6
# Who fails to open, stat or list what the user named may call it missing data or an unreadable model.
CODES = {"memory": {0, MEMORY}, "calls": {0, 2, 3, 4, IO, MEMORY}}


def network(path):
    rng = np.random.default_rng(3)
    weight = lambda name, *shape: numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) / 4, name)
    stored = [weight("w1", 12, 3, 3, 3), weight("b1", 12), weight("w2", 16, 12, 3, 3), weight("b2", 16), weight("w3", 16, 6), weight("b3", 6)]
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1] * 4), helper.make_node("Relu", ["c1"], ["r1"]),
             helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"]), helper.make_node("Relu", ["c2"], ["r2"]),
             helper.make_node("GlobalAveragePool", ["r2"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
             helper.make_node("MatMul", ["f", "w3"], ["m"]), helper.make_node("Add", ["m", "b3"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 6])], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def png(pixels):
    """An array of height, width and 3 as a PNG file."""
    part = lambda kind, content: struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def prepare(folder):
    """What the scenarios read: a model, samples, pictures, statistics, a model with dead channels."""
    rng = np.random.default_rng(4)
    network(folder / "model.onnx")
    np.savez(folder / "data.npz", x=rng.standard_normal((48, 3, 8, 8)).astype(np.float32))
    np.savez_compressed(folder / "small.npz", x=rng.standard_normal((6, 3, 8, 8)).astype(np.float32))
    (folder / "photos").mkdir()
    for i in range(3):
        (folder / "photos" / f"{i}.png").write_bytes(png(rng.integers(0, 255, (9, 8, 3), np.uint8)))
    stored = onnx.load(folder / "model.onnx")
    stored.graph.initializer[1].raw_data = np.where(np.arange(12) < 5, 0, 1).astype(np.float32).tobytes()
    first = numpy_helper.to_array(stored.graph.initializer[0]).copy()
    first[:5] = 0
    stored.graph.initializer[0].raw_data = first.tobytes()
    onnx.save(stored, folder / "dead.onnx")
    for name, part in (("a.stats", "data.npz"), ("b.stats", "small.npz")):
        made = harness.run("score", folder / "model.onnx", "--data", folder / part, "-o", folder / name)
        assert made.code == 0, made.err


# name: arguments, and the files that it makes
SCENARIOS = {
    "inspect": (["inspect", "dead.onnx"], []),
    "check": (["check", "model.onnx", "--data", "small.npz"], []),
    "run": (["run", "model.onnx", "--data", "small.npz", "-o", "out.npz"], ["out.npz"]),
    "run photos": (["run", "model.onnx", "--data", "photos", "--mean", "0", "--std", "1", "-o", "out.npz"], ["out.npz"]),
    "prune": (["prune", "model.onnx", "--data", "data.npz", "-s", "70%", "-o", "out.onnx", "--json=out.json", "--report", "out.html",
               "--masks", "out.npz"], ["out.onnx", "out.json", "out.html", "out.npz"]),
    "prune target": (["prune", "model.onnx", "--data", "data.npz", "--target", "macs=0.7", "--round", "1", "-o", "out.onnx"], ["out.onnx"]),
    "score": (["score", "model.onnx", "--data", "small.npz", "-o", "out.stats"], ["out.stats"]),
    "merge": (["merge", "a.stats", "b.stats", "-o", "out.stats"], ["out.stats"]),
    "apply": (["apply", "model.onnx", "--stats", "a.stats", "-s", "60%", "-o", "out.onnx"], ["out.onnx"]),
    "compare": (["compare", "model.onnx", "dead.onnx", "--data", "small.npz", "--json=out.json"], ["out.json"]),
    "compare layers": (["compare", "model.onnx", "dead.onnx", "--data", "small.npz", "--layers", "--json=out.json", "--report=out.html"], ["out.json", "out.html"]),
    "compact": (["compact", "dead.onnx", "-o", "out.onnx", "--round", "1"], ["out.onnx"]),
    "show": (["show", "model.onnx", "--data", "photos", "--mean", "0", "--std", "1", "-o", "out"], [f"out/{i}_00000{i}.png" for i in range(3)]),
    "schema": (["--schema"], []),
    "inspect -": (["inspect", "-", "--json=out.json"], ["out.json"]),
}


def library(folder):
    out = folder / "fault.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_FILE_OFFSET_BITS=64", "-o", out, Path(__file__).with_name("fault.c"), "-ldl"], check=True)
    return out


class Scenario:
    def __init__(self, name, inputs, faults):
        self.name, self.inputs, self.faults = name, inputs, faults
        self.arguments, self.outputs = SCENARIOS[name]

    def folder(self, old):
        """A copy of the inputs, with something old where the outputs will lie."""
        folder = Path(tempfile.mkdtemp(prefix="faults"))
        for path in self.inputs.iterdir():
            os.symlink(path, folder / path.name)
        for name in self.outputs if old else []:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"old")
        return folder

    def run(self, kind, at, mode, old):
        folder = self.folder(old)
        env = {"LD_PRELOAD": str(self.faults), "FAULT_KIND": kind, "FAULT_AT": str(at), "FAULT_COUNT": str(folder / "count")}
        if mode == "all":
            env["FAULT_ALL"] = "1"
        threads = [] if self.arguments[0] in ("merge", "inspect", "compact", "--schema") else ["-j", "1"]
        stdin = (self.inputs / "dead.onnx").read_bytes() if "-" in self.arguments else None
        ran = harness.run(*self.arguments, *threads, *(["-f"] if old and self.outputs else []), env=env, cwd=folder, stdin=stdin)
        made = {str(p.relative_to(folder)): p.read_bytes() for top in folder.iterdir() if not top.is_symlink() and top.name != "count"
                for p in ([top] if top.is_file() else top.iterdir())}
        count = (folder / "count").read_text() if (folder / "count").exists() else "0"
        shutil.rmtree(folder)
        return ran, made, int(count)


def times_out(made):
    """Reports hold times and peaks of memory; models and statistics are compared byte by byte."""
    return {name: content for name, content in made.items() if not name.endswith((".json", ".html"))}


def judge(kind, ran, made, right, old, outputs):
    """None, or what is wrong."""
    if kind == "kill":
        if ran.code not in (-9, 0):
            return f"exit {ran.code}"
        parts = [name for name in made if name not in outputs]
        made = {name: content for name, content in made.items() if name in outputs}
        if len(parts) > len(outputs):
            return f"left {parts}"
    elif kind == "foreign":
        if ran.code is None:
            return "no end"
        made = {name: content for name, content in made.items() if name in outputs or not ran.crashed}
    elif ran.crashed:
        return f"crashed: exit {ran.code}: {ran.err[-400:]}"
    elif ran.code not in CODES[kind]:
        return f"exit {ran.code}: {ran.first_line()[:200]}"
    elif ran.code and ran.err.count("fineprune: error: ") != 1:
        return f"no line of error: {ran.err[:200]!r}"
    before = {name: b"old" for name in outputs} if old else {}
    for name in made:
        if name not in outputs:
            return f"left '{name}'"
    new, same = times_out(made), times_out(before)
    if ran.code == 0 and (new != right or set(made) != set(outputs)):
        return f"exit 0 with other outputs: {sorted(k for k in set(new) | set(right) if new.get(k) != right.get(k))}"
    if ran.code and any(content not in (same.get(name), right.get(name)) for name, content in new.items()):
        return "an output that is neither the old one nor the new"
    if ran.code and any(name not in made for name in before):
        return "an old output is gone"
    return None


def numbers(count, every):
    if every or count <= SAMPLE:
        return range(1, count + 1)
    return sorted({1 + round(i * (count - 1) / (SAMPLE - 1)) for i in range(SAMPLE)})


def check(scenario, every, kinds):
    for kind in kinds:
        ran, made, count = scenario.run(kind, 0, "once", False)
        if ran.code or not count:
            TALLY.bad(f"{scenario.name}: {kind}", f"exit {ran.code} without any fault, {count} counted: {ran.err[:300]}")
            continue
        right = times_out(made)
        for mode in ("once", "all") if kind in CODES else ("once",):
            for at in numbers(count, every):
                old = at % 2 == 0
                ran, made, _ = scenario.run(kind, at, mode, old)
                wrong = judge(kind, ran, made, right, old, scenario.outputs)
                case = f"{scenario.name}: {kind} {at} of {count}, {mode}"
                if wrong:
                    TALLY.bad(case, wrong)
                else:
                    TALLY.ok(case)


def main():
    words = [a for a in sys.argv[1:] if a not in ("--all", "--own")]
    kinds = [k for k in ("memory", "calls", "foreign", "kill") if k != "foreign" or "--own" not in sys.argv]
    folder = Path(tempfile.mkdtemp(prefix="faults"))
    try:
        inputs = folder / "inputs"
        inputs.mkdir()
        prepare(inputs)
        faults = library(folder)
        for name in SCENARIOS:
            if all(w in name for w in words):
                check(Scenario(name, inputs, faults), "--all" in sys.argv, kinds)
    finally:
        shutil.rmtree(folder)
    return TALLY.finish()


if __name__ == "__main__":
    sys.exit(main())
