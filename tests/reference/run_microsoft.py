#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every operator of com.microsoft in the list, in the forms that runtimes' optimizers and quantizers write: a network of that node alone, its
outputs against ONNX Runtime's.

    run_microsoft.py [WORD]      only cases whose name holds WORD
"""
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

ort.set_default_logger_severity(4)
TALLY = harness.Tally("com.microsoft")
RNG = np.random.default_rng(11)
RTOL, ATOL = 1e-4, 2e-5   # codes are equal: scales are such that no mean lies between two of them
N = 3           # samples
CASES = []      # (name, operator, [(array, whether it is data)], attributes, number of outputs)


def case(operator, inputs, attributes=None, outputs=1, note=""):
    """inputs: Data(array) has the samples on axis 0, others are stored; None is left out."""
    CASES.append((f"{operator} {note}".strip(), operator, inputs, attributes or {}, outputs))


class Data:
    def __init__(self, array):
        self.array = array


def floats(*shape, scale=1.):
    return (scale * RNG.standard_normal(shape)).astype(np.float32)


def codes(kind, *shape):
    info = np.iinfo(kind)
    return RNG.integers(info.min, info.max + 1, shape).astype(kind)


def small_codes(*shape):
    """Weights as a quantizer with a reduced range writes them: on some processors ONNX Runtime's sums of two products saturate at 16 bits, and
    the exact sums are ours."""
    return RNG.integers(-64, 64, shape).astype(np.int8)


def scale(value):
    return np.array(value, np.float32)


def point(kind, value):
    return np.array(value, kind)


def quantized(kind):
    """Operators whose elements are bytes, for one type of them."""
    zero, other, third = (point(kind, v) for v in ((120, 131, 100) if kind == np.uint8 else (3, -7, 11)))
    name = np.dtype(kind).name
    x, y = Data(codes(kind, N, 4, 6)), Data(codes(kind, N, 4, 6))
    for op in ("QLinearAdd", "QLinearMul"):
        case(op, [x, scale(.031), zero, y, scale(.017), other, scale(.043), third], note=name)
        case(op, [x, scale(.031), zero, codes(kind, 6), scale(.017), other, scale(.043), third], note=f"{name}, one side is a row")
    for op, attributes in (("QLinearSigmoid", {}), ("QLinearLeakyRelu", {"alpha": 0.07}), ("QLinearLeakyRelu", {})):
        case(op, [x, scale(.05), zero, scale(.0041), other], attributes, note=f"{name} {attributes}")
        case(op, [x, scale(.05), None, scale(.0041), None], attributes, note=f"{name} {attributes}, no zero points")
    for axis in (1, -1):
        case("QLinearConcat", [scale(.04), third, x, scale(.031), zero, y, scale(.057), other], {"axis": axis}, note=f"{name} {axis}")
    where = RNG.integers(0, 2, (4, 6)).astype(bool)
    case("QLinearWhere", [where, x, scale(.031), zero, y, scale(.017), other, scale(.033), third], note=name)
    image = Data(codes(kind, N, 3, 7, 6))
    for last in (0, 1):
        case("QLinearGlobalAveragePool", [image, scale(.03), zero, scale(.0117), other], {"channels_last": last}, note=f"{name} last={last}")
    for more in ({"kernel_shape": [3, 2]}, {"kernel_shape": [2, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
                 {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
                 {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
                 {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}):
        case("QLinearAveragePool", [image, scale(.03), zero, scale(.0213), other], more, note=f"{name} {more}")
    flat = Data(codes(kind, N, 10))
    for opset, axis in ((13, -1), (13, 1), (11, 1)):
        case("QLinearSoftmax", [flat, scale(.06), zero, scale(1 / 256), point(kind, 0 if kind == np.uint8 else -128)], {"opset": opset, "axis": axis},
             note=f"{name} opset {opset} axis {axis}")


def products():
    a, w = Data(codes(np.uint8, N, 5)), small_codes(5, 7)
    bias = RNG.integers(-3000, 3000, 7).astype(np.int32)
    case("QGemm", [a, scale(.02), point(np.uint8, 128), w, scale(.01), point(np.int8, 0), bias, scale(.03), point(np.uint8, 120)], note="bytes")
    case("QGemm", [a, scale(.02), point(np.uint8, 128), w, scale(.01), point(np.int8, 0), bias], note="floats")
    case("QGemm", [a, scale(.02), point(np.uint8, 9), w.T.copy(), floats(7) ** 2 + .01, np.zeros(7, np.int8), None, scale(.03), point(np.uint8, 120)], {"transB": 1},
         note="scales of rows")
    case("QGemm", [a, scale(.02), point(np.uint8, 9), w, scale(.01), point(np.int8, 4)], {"alpha": .5}, note="alpha")
    case("MatMulIntegerToFloat", [a, w, scale(.02), scale(.01), point(np.uint8, 121), point(np.int8, 2), floats(7)])
    case("MatMulIntegerToFloat", [a, w, scale(.02), np.abs(floats(7)) + .01, point(np.uint8, 121), codes(np.int8, 7)], note="columns")
    case("MatMulIntegerToFloat", [a, w, scale(.02), scale(.01)], note="no zero points")
    x = Data(floats(N, 4, 5))
    case("DynamicQuantizeMatMul", [Data(floats(1, 4, 5)), w, scale(.01), point(np.int8, 3), floats(7)])
    case("DynamicQuantizeMatMul", [Data(floats(1, 4, 5)), w, np.abs(floats(7)) + .01], note="columns")
    for more in ({}, {"alpha": .3, "transB": 1}, {"transA": 1}):
        stored = floats(7, 5) if more.get("transB") else floats(4 if more.get("transA") else 5, 7)
        case("FusedMatMul", [x, stored], more, note=str(more))
    case("FusedMatMul", [x, Data(floats(N, 5, 6))], note="two computed")
    for name, more in (("Relu", {}), ("LeakyRelu", {"activation_alpha": .2}), ("Sigmoid", {}), ("Tanh", {})):
        case("FusedGemm", [Data(floats(N, 5)), floats(5, 4), floats(4)], {"activation": name, "alpha": .9, "beta": .7, **more}, note=name)
    image = Data(floats(N, 3, 7, 6))
    for name, values in (("Relu", None), ("LeakyRelu", [.1]), ("Clip", [-.2, .6]), ("Sigmoid", None), ("Tanh", None), ("HardSigmoid", [.3, .4])):
        case("FusedConv", [image, floats(4, 3, 3, 3), floats(4)], {"activation": name, **({"activation_params": values} if values else {}), "pads": [1] * 4}, note=name)
    case("FusedConv", [image, floats(4, 3, 3, 3), floats(4), Data(floats(N, 4, 5, 4))], {"activation": "Relu"}, note="a sum")


def attention():
    x = Data(floats(N, 5, 12))
    w, b = floats(12, 36, scale=.3), floats(36, scale=.1)
    lengths = Data(np.array([5, 2, 4], np.int32))
    mask = (np.arange(5) < np.array([5, 2, 4])[:, None]).astype(np.int32)
    case("Attention", [x, w, b], {"num_heads": 3})
    case("Attention", [x, w, b], {"num_heads": 3, "scale": .2, "unidirectional": 1}, note="causal")
    case("Attention", [x, w, b, Data(mask)], {"num_heads": 2}, note="mask")
    case("Attention", [x, w, b, Data(mask[:, None] * np.tri(5, dtype=np.int32))], {"num_heads": 2}, note="mask of rows")
    case("Attention", [x, w, b, lengths], {"num_heads": 2}, note="lengths")
    case("Attention", [x, w, b, None, None, Data(floats(N, 3, 5, 5))], {"num_heads": 3}, note="bias of scores")
    case("Attention", [x, floats(12, 30, scale=.3), floats(30, scale=.1)], {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 14]}, note="sizes")
    q, k, v = (Data(floats(N, n, 12)) for n in (5, 6, 6))
    case("MultiHeadAttention", [q, k, v], {"num_heads": 3})
    case("MultiHeadAttention", [q, k, Data(floats(N, 6, 9)), floats(33, scale=.1)], {"num_heads": 3}, note="bias, other values")
    case("MultiHeadAttention", [q, Data(floats(N, 5, 12)), Data(floats(N, 5, 12))], {"num_heads": 3, "unidirectional": 1, "scale": .4}, note="causal")
    case("MultiHeadAttention", [q, k, v, None, Data((np.arange(6) < np.array([6, 2, 4])[:, None]).astype(np.int32))], {"num_heads": 2}, note="padding")
    case("MultiHeadAttention", [q, k, v, None, None, Data(floats(N, 2, 5, 6))], {"num_heads": 2}, note="bias of scores")
    past = [Data(floats(N, 3, 2, 4)), Data(floats(N, 3, 2, 4))]
    case("MultiHeadAttention", [q, k, v, None, None, None, *past], {"num_heads": 3}, outputs=3, note="past")
    angles = floats(16, 4)
    places = Data(np.tile(np.arange(5, dtype=np.int64), (N, 1)))
    for interleaved in (0, 1):
        case("RotaryEmbedding", [Data(floats(N, 2, 5, 8)), places, np.cos(angles), np.sin(angles)], {"interleaved": interleaved}, note=f"{interleaved}")
        case("RotaryEmbedding", [Data(floats(N, 5, 16)), places, np.cos(angles), np.sin(angles)], {"interleaved": interleaved, "num_heads": 0}, note=f"three axes, {interleaved}")


def elementwise():
    x = Data(floats(N, 4, 6))
    case("BiasGelu", [x, floats(6)])
    case("FastGelu", [x])
    case("FastGelu", [x, floats(6)], note="bias")
    case("Gelu", [x])
    case("QuickGelu", [x])
    case("QuickGelu", [x], {"alpha": 1.1}, note="alpha")
    for kind, zero in ((np.uint8, 120), (np.int8, -5), (np.uint16, 30000), (np.int16, -9)):
        case("QuantizeLinear", [x, scale(.03), point(kind, zero)], note=np.dtype(kind).name)
        case("DequantizeLinear", [Data(codes(kind, N, 4, 6)), scale(.03), point(kind, zero)], note=np.dtype(kind).name)
        case("QuantizeLinear", [x, np.abs(floats(6)) + .01, codes(kind, 6)], {"axis": 2}, note=f"{np.dtype(kind).name}, an axis")
    case("DequantizeLinear", [Data(codes(np.int8, N, 4, 6)), np.abs(floats(4)) + .01, codes(np.int8, 4)], {"axis": 1}, note="an axis")


def normalizations():
    x, skip = Data(floats(N, 4, 8)), Data(floats(N, 4, 8))
    case("SkipLayerNormalization", [x, skip, floats(8), floats(8), floats(8)])
    case("SkipLayerNormalization", [x, skip, floats(8)], {"epsilon": .01}, note="scale alone")
    case("SkipLayerNormalization", [x, floats(4, 8), floats(8), floats(8)], note="one skip for all")
    case("SkipLayerNormalization", [x, skip, floats(8), floats(8)], outputs=4, note="the sum")
    case("SkipSimplifiedLayerNormalization", [x, skip, floats(8), floats(8)])
    case("SkipSimplifiedLayerNormalization", [x, skip, floats(8)], outputs=4, note="the sum")
    case("SimplifiedLayerNormalization", [x, floats(8)], {"axis": -1})
    case("SimplifiedLayerNormalization", [x, floats(8)], {"axis": -1, "epsilon": .1}, note="epsilon")
    words = Data(RNG.integers(0, 20, (N, 5)).astype(np.int32))
    kinds = Data(RNG.integers(0, 2, (N, 5)).astype(np.int32))
    mask = Data((np.arange(5) < np.array([5, 2, 4])[:, None]).astype(np.int32))
    tables = [floats(20, 8), floats(6, 8), floats(2, 8), floats(8), floats(8)]
    case("EmbedLayerNormalization", [words, kinds, *tables, mask], outputs=2)
    case("EmbedLayerNormalization", [words, None, tables[0], tables[1], None, *tables[3:]], {"epsilon": .001}, outputs=2, note="no segments")
    case("EmbedLayerNormalization", [words, kinds, *tables, None, Data(np.tile(np.arange(5, dtype=np.int32)[::-1], (N, 1)))], outputs=2, note="places")
    case("EmbedLayerNormalization", [words, kinds, *tables, mask], outputs=3, note="the sum")


def recurrent():
    hidden, wide = 4, 6
    w, r = small_codes(1, wide, 4 * hidden), small_codes(1, hidden, 4 * hidden)
    case("DynamicQuantizeLSTM", [Data(floats(1, 1, wide)), w, r, floats(1, 8 * hidden), None, None, None, None,
                                 np.array([.01], np.float32), np.array([0], np.int8), np.array([.01], np.float32), np.array([0], np.int8)],
         {"hidden_size": hidden}, outputs=1)


def network(operator, inputs, attributes, outputs, domain="com.microsoft"):
    names, entries, stored, data = [], [], [], {}
    for i, value in enumerate(inputs):
        name = "" if value is None else f"i{i}"
        names.append(name)
        if isinstance(value, Data):
            kind = helper.np_dtype_to_tensor_dtype(value.array.dtype)
            entries.append(helper.make_tensor_value_info(name, kind, ["n" if len(value.array) == N else 1, *value.array.shape[1:]]))
            data[name] = value.array
        elif value is not None:
            stored.append(numpy_helper.from_array(np.array(value, order="C"), name))
    node = helper.make_node(operator, names, [f"o{i}" for i in range(outputs)], domain=domain, **attributes)
    made = [helper.make_tensor_value_info(name, 0, None) for name in node.output]
    graph = helper.make_graph([node], "g", entries, made, stored)
    return graph, data


def model_of(graph, kinds):
    for value, kind in zip(graph.output, kinds):
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, None))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)


def kinds_of(operator, inputs, outputs):
    """Types of the outputs: that of the last zero point where bytes come out, floats else."""
    arrays = [v.array if isinstance(v, Data) else v for v in inputs]
    of = lambda array: helper.np_dtype_to_tensor_dtype(array.dtype)
    if operator in ("QLinearConcat", "QLinearWhere"):
        return [of(arrays[1])]
    if operator.startswith("QLinear"):
        return [of(arrays[0])]
    if operator == "QuantizeLinear":
        return [of(arrays[2])]
    if operator == "QGemm":
        return [of(arrays[8]) if len(arrays) > 8 else 1]
    if operator == "EmbedLayerNormalization":
        return [1, 6, 1][:outputs]
    return [1] * outputs


def expected(operator, model, data):
    if operator == "SimplifiedLayerNormalization":  # ONNX Runtime has it under no domain's name
        model = onnx.ModelProto.FromString(model.SerializeToString())
        model.graph.node[0].domain = ""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, data)


def differs(mine, theirs):
    if mine.shape != theirs.shape:
        return f"shape {mine.shape}, not {theirs.shape}"
    if theirs.dtype.kind in "iub":
        wrong = mine.astype(np.int64) - theirs
        if np.any(wrong):
            return f"{np.count_nonzero(wrong)} of {wrong.size} codes differ, by {np.abs(wrong).max()}"
    elif not np.allclose(mine, theirs, rtol=RTOL, atol=ATOL, equal_nan=True):
        return f"differs by {np.abs(mine - theirs).max():.3g} of {np.abs(theirs).max():.3g}"
    return None


def check(name, operator, inputs, attributes, outputs, folder):
    graph, data = network(operator, inputs, attributes, outputs)
    kinds = kinds_of(operator, inputs, outputs)
    model = model_of(graph, kinds)
    optional = [i for i in range(outputs) if operator.startswith("Skip") and i in (1, 2)]  # mean and inverse: not of this provider
    for i in optional:
        model.graph.node[0].output[i] = ""
    for i in reversed(optional):
        del model.graph.output[i]
    try:
        right = expected(operator, model, data)
    except Exception as why:
        return TALLY.skip(name, f"ONNX Runtime does not run it: {str(why)[:150]}")
    onnx.save(model, folder / "m.onnx")
    np.savez(folder / "d.npz", **data)
    ran = harness.run("run", folder / "m.onnx", "--data", folder / "d.npz", "-o", folder / "o.npz", "-f", "-q")
    if ran.code:
        return TALLY.bad(name, f"exit {ran.code}: {ran.first_line()}")
    with np.load(folder / "o.npz") as mine:
        wrong = [f"{v.name} {why}" for v, array in zip(model.graph.output, right) if (why := differs(mine[v.name], array))]
    return TALLY.check(name, not wrong, "; ".join(wrong))


def main():
    for make in (lambda: quantized(np.uint8), lambda: quantized(np.int8), products, attention, elementwise, normalizations, recurrent):
        make()
    listed = set(re.findall(r"com\.microsoft\.(\w+)", harness.run("--list=operator").out.decode()))
    TALLY.check("every operator", listed == {c[1] for c in CASES}, f"without a case, or not in the list: {listed ^ {c[1] for c in CASES}}")
    with tempfile.TemporaryDirectory() as folder:
        for one in CASES:
            if all(word in one[0] for word in sys.argv[1:]):
                check(*one, Path(folder))
    return TALLY.finish()


if __name__ == "__main__":
    sys.exit(main())
