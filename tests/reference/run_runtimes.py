#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/runtimes.md says of runtimes that can be had here, measured: in ONNX Runtime, and in OpenVINO where its wheel is installed, products with
90 % scattered zeros take as long as dense ones, and smaller ones do not. In turn in one process, one thread, the fastest of each."""
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

TALLY = harness.Tally("runtimes")
INPUTS, UNITS, LAYERS, SAMPLES, TURNS = 256, 1024, 4, 64, 15


def network(units, zeros):
    random = np.random.default_rng(1)
    sizes = [INPUTS] + [units] * (LAYERS - 1) + [INPUTS]
    nodes, weights = [], []
    for i, (rows, cols) in enumerate(zip(sizes, sizes[1:])):
        w = random.standard_normal((rows, cols)).astype(np.float32) / rows**0.5
        w[random.random(w.shape) < zeros] = 0
        weights.append(numpy_helper.from_array(w, f"w{i}"))
        nodes += [helper.make_node("MatMul", [f"y{i}", f"w{i}"], [f"p{i}"]), helper.make_node("Relu", [f"p{i}"], [f"y{i + 1}"])]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [SAMPLES, INPUTS]) for name in ("y0", f"y{LAYERS}")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def in_onnxruntime(model):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options)
    return lambda x: session.run(None, {"y0": x})


def in_openvino(model):
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_NUM_THREADS": 1})
    return lambda x: compiled([x])


def fastest(runs):
    """Seconds of each."""
    x = np.random.default_rng(2).standard_normal((SAMPLES, INPUTS)).astype(np.float32)
    best = [np.inf] * len(runs)
    for _ in range(TURNS):
        for i, run in enumerate(runs):
            started = time.perf_counter()
            run(x)
            best[i] = min(best[i], time.perf_counter() - started)
    return best


def check(name, load):
    try:
        runs = [load(network(units, zeros)) for units, zeros in ((UNITS, 0), (UNITS, 0.9), (UNITS // 2, 0))]
    except ImportError:
        TALLY.skip(name, "it is not installed")
        return
    dense, scattered, smaller = fastest(runs)
    print(f"{name}: dense {dense * 1e3:.2f} ms, 90 % scattered zeros {scattered / dense:.2f} x, half of the channels {smaller / dense:.2f} x")
    TALLY.check(f"{name}: scattered zeros", scattered > 0.75 * dense, f"they are faster: {scattered / dense:.2f} x")
    TALLY.check(f"{name}: half of the channels", smaller < 0.75 * dense, f"they are not faster: {smaller / dense:.2f} x")


def main():
    check("ONNX Runtime", in_onnxruntime)
    check("OpenVINO", in_openvino)
    TALLY.finish()


if __name__ == "__main__":
    main()
