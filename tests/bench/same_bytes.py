#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether two builds write the same bytes: some forty prunes of small networks that differ in method, pattern, types, layers and limits.

    tests/bench/same_bytes.py BEFORE AFTER      two programs; exits with 1 when a model differs
    tests/bench/same_bytes.py PROGRAM           the SHA-256 of every model that it writes, and of all of them

A change that should change no result shows so here. Metadata that names the program's version is left out (--no-metadata).
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "samples"


def store(path, nodes, weights, shape, width, kind=TensorProto.FLOAT, **more):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, ["N", *shape])],
                              [helper.make_tensor_value_info("y", kind, ["N", width])],
                              [numpy_helper.from_array(a, n) for n, a in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path, **more)


def make(folder):
    """The networks and their data. They are random, and the data have fewer directions than the layers have columns."""
    r, node = np.random.default_rng(8), helper.make_node
    w = lambda *shape: (r.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
    mlp = {"a": w(192, 40), "a0": w(192, 1)[:, 0], "b": w(128, 192), "b0": w(128, 1)[:, 0], "c": w(12, 128), "c0": w(12, 1)[:, 0]}
    layers = [node("Gemm", ["x", "a", "a0"], ["h"], transB=1), node("Relu", ["h"], ["i"]), node("Gemm", ["i", "b", "b0"], ["j"], transB=1),
              node("Relu", ["j"], ["k"]), node("Gemm", ["k", "c", "c0"], ["y"], transB=1)]
    store(folder / "mlp.onnx", layers, mlp, [40], 12)
    store(folder / "far.onnx", layers, mlp, [40], 12, save_as_external_data=True, location="far.data", size_threshold=64)
    store(folder / "half.onnx", layers, {n: a.astype(np.float16) for n, a in mlp.items()}, [40], 12, TensorProto.FLOAT16)
    coded, scales, grids = {}, [], []
    for name in "abc":
        step = np.abs(mlp[name]).max() / 127
        coded |= {name + "q": np.round(mlp[name] / step).astype(np.int8), name + "s": np.float32(step), name + "z": np.int8(0), name + "0": mlp[name + "0"]}
        grids.append(node("DequantizeLinear", [name + "q", name + "s", name + "z"], [name]))
    store(folder / "coded.onnx", grids + layers, coded, [40], 12)
    cnn = {"s": w(96, 3, 3, 3), "s0": w(96, 1)[:, 0], "d": w(96, 1, 3, 3), "e": w(128, 96, 1, 1), "e0": w(128, 1)[:, 0], "f": w(10, 128), "f0": w(10, 1)[:, 0]}
    store(folder / "cnn.onnx", [node("Conv", ["x", "s", "s0"], ["h"], pads=[1] * 4, strides=[2, 2]), node("Relu", ["h"], ["i"]),
                                node("Conv", ["i", "d"], ["j"], pads=[1] * 4, group=96), node("Relu", ["j"], ["k"]), node("Conv", ["k", "e", "e0"], ["l"]),
                                node("Relu", ["l"], ["m"]), node("GlobalAveragePool", ["m"], ["n"]), node("Flatten", ["n"], ["o"]),
                                node("Gemm", ["o", "f", "f0"], ["y"], transB=1)], cnn, [3, 12, 12], 10)
    rnn = {"w": w(1, 4 * 48, 16), "u": w(1, 4 * 48, 48), "v": w(9, 48), "v0": w(9, 1)[:, 0], "at": np.int64(-1)}
    store(folder / "lstm.onnx", [node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("LSTM", ["t", "w", "u"], ["all", "last"], hidden_size=48),
                                 node("Gather", ["last", "at"], ["h"], axis=0), node("Gemm", ["h", "v", "v0"], ["y"], transB=1)], rnn, [10, 16], 9)
    store(folder / "attend.onnx", [node("MatMul", ["x", "q"], ["a"]), node("MatMul", ["x", "k"], ["b"]), node("Transpose", ["b"], ["c"], perm=[0, 2, 1]),
                                   node("MatMul", ["a", "c"], ["d"]), node("Softmax", ["d"], ["e"], axis=-1), node("MatMul", ["x", "v"], ["f"]),
                                   node("MatMul", ["e", "f"], ["g"]), node("Add", ["g", "x"], ["h"]), node("ReduceMean", ["h"], ["i"], axes=[1], keepdims=0),
                                   node("MatMul", ["i", "o"], ["y"])], {n: w(32, 32) for n in "qkv"} | {"o": w(32, 8)}, [7, 32], 8)

    def data(name, *shape, kind=np.float32):
        size = int(np.prod(shape))
        np.savez(folder / name, x=(r.standard_normal((130, 9)) @ r.standard_normal((9, size)) / 3 + 0.1 * r.standard_normal((130, size)))
                 .reshape(130, *shape).astype(kind))

    data("flat.npz", 40), data("flat16.npz", 40, kind=np.float16), data("images.npz", 3, 12, 12), data("steps.npz", 10, 16), data("words.npz", 7, 32)


def cases():
    gesture = (SAMPLES / "gesture" / "gesture.onnx", SAMPLES / "gesture" / "local.npz")
    small = ("mlp.onnx", "flat.npz")
    yield from ((model, data, f"-s {s}%") for model, data in (gesture, small, ("cnn.onnx", "images.npz"), ("lstm.onnx", "steps.npz")) for s in (50, 70, 90))
    yield from ((*net, "-s 70%") for net in (("half.onnx", "flat16.npz"), ("coded.onnx", "flat.npz"), ("far.onnx", "flat.npz"), ("attend.onnx", "words.npz")))
    yield from ((*small, f"-s 60% --method {m}") for m in ("wanda", "magnitude", "paper"))
    yield from ((*small, f"-s 50% --pattern {p}") for p in ("2:4", "block:1x4", "block:4x4", "channel"))
    yield from ((*small, f"-s 60% --score {s} --channels none") for s in ("deviation", "activation", "ria"))
    yield from ((*small, f"-s 60% --allocation {a}") for a in ("row", "uniform", "global", "owl"))
    yield from ((*small, f"-s 60% {o}") for o in ("--repair bias", "--repair none", "--swaps none", "--refit none", "--rounds 3", "--task classes",
                                                   "--task labels", "--strict-sparsity", "-j 1", "--batch 1"))
    yield ("cnn.onnx", "images.npz", "-s 70% --max-memory 24M")
    yield ("lstm.onnx", "steps.npz", "-s 70% --task classes --max-memory 24M")
    yield (*gesture, "-s auto --min-agreement 80%")
    yield (*gesture, "-s 98%")


def digests(program, folder):
    found = {}
    for model, data, options in cases():
        out = folder / "out.onnx"
        ran = subprocess.run([str(pathlib.Path(program).resolve()), "prune", str(folder / model), "--data", str(folder / data), "-o", str(out), "-f", "-q",
                              "--no-metadata", *options.split()], capture_output=True, text=True)
        files = sorted(folder.glob("out.onnx*")) if ran.returncode == 0 else []
        told = "".join(hashlib.sha256(f.read_bytes()).hexdigest() for f in files) or f"exit {ran.returncode}"
        found[f"{pathlib.Path(model).name} {options}"] = told if len(files) < 2 else hashlib.sha256(told.encode()).hexdigest()
        for f in files:
            f.unlink()
    return found


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make(folder)
        sides = [digests(program, folder) for program in sys.argv[1:]]
    for case, digest in sides[0].items():
        same = digest == sides[-1][case]
        if len(sides) == 1 or not same:
            print(f"{digest[:16]}{'' if same else ' != ' + sides[-1][case][:16]}  {case}")
    differ = sum(sides[0][c] != sides[-1][c] for c in sides[0])
    print(f"{len(sides[0])} models, {differ} differ; together {hashlib.sha256(''.join(sides[-1].values()).encode()).hexdigest()[:16]}")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
