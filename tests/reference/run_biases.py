#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Biases and heads as files write them: the same layer is pruned, repaired and taught alike, whatever form its bias has.

    forms   for every operator, every form of its bias against the plain initializer: equal masks, weights and biases (as they act), equal outputs
            in ONNX Runtime; a quantized bias within its grid
    heads   the same classifier with its answers made in other ways: the same masks and answers
    named   a bias that cannot be written is named in the layer's entry and in the summary, and the errors say what it costs
"""
import copy
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

onnxruntime.set_default_logger_severity(3)
TALLY = harness.Tally("biases")
ONLY = sys.argv[1] if len(sys.argv) > 1 else ""
F32 = TensorProto.FLOAT
N = 40


def const(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def of_rng(seed, *shape, scale=0.5, mean=0.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale + mean).astype(np.float32)


class Net:
    """One layer under test between an input and something that must not change: a Relu, so that a lost mean shows."""

    def __init__(self, shape, opset=17, ir=8):
        self.shape, self.opset, self.ir = shape, opset, ir
        self.nodes, self.constants, self.inputs = [], [], []

    def node(self, op, inputs, output, domain="", **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output] if isinstance(output, str) else output, name=output if isinstance(output, str) else output[-1],
                                           domain=domain, **attributes))
        return output

    def const(self, name, values):
        self.constants.append(const(name, values))
        return name

    def model(self, output="out"):
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("x", F32, ["N", *self.shape]), *self.inputs],
                                  [helper.make_tensor_value_info(output, F32, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=self.ir)
        if self.ir < 4:
            known = {i.name for i in graph.input}
            model.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in graph.initializer if t.name not in known)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        return model


# ---- forms of a stored constant: each adds what makes the value `name` ----------------------------------------------------------------


def initializer(net, name, values):
    net.const(name, values)


def graph_input(net, name, values):
    net.const(name, values)
    net.inputs.append(helper.make_tensor_value_info(name, F32, values.shape))


def constant_node(net, name, values):
    net.node("Constant", [], name, value=const(name + "_value", values))


def constant_floats(net, name, values):
    net.node("Constant", [], name + "_flat", value_floats=[float(v) for v in values.ravel()])
    net.node("Reshape", [name + "_flat", net.const(name + "_shape", np.array(values.shape, np.int64))], name)


def reshaped(net, name, values):
    net.const(name + "_row", values.reshape(1, -1))
    net.node("Reshape", [name + "_row", net.const(name + "_shape", np.array(values.shape, np.int64))], name)


def squeezed(net, name, values):
    net.const(name + "_row", values[None])
    net.node("Squeeze", [name + "_row", net.const(name + "_axes", np.array([0], np.int64))], name)


def behind_identity(net, name, values):
    net.node("Identity", [net.const(name + "_other", values)], name)


def half(net, name, values):
    net.node("Cast", [net.const(name + "_half", values.astype(np.float16))], name, to=F32)


def double(net, name, values):
    net.node("Cast", [net.const(name + "_double", values.astype(np.float64))], name, to=F32)


def grid_of(bits):
    def quantized(net, name, values):
        kind, scale = {8: (np.int8, np.float32(1 / 32)), 32: (np.int32, np.float32(1 / 2**20))}[bits]
        net.const(name + "_q", np.round(values / scale).astype(kind))
        net.node("DequantizeLinear", [name + "_q", net.const(name + "_scale", scale)], name)
    return quantized


def shared(net, name, values):
    """Something else reads it too, and must not see another number."""
    net.const(name, values)
    net.node("Identity", [name], name + "_out")
    net.others = [name + "_out"]


def split(net, name, values):
    """A part of a larger tensor."""
    axis = next((i for i, d in enumerate(values.shape) if d > 1), 0)
    n = values.shape[axis]
    net.const(name + "_all", np.concatenate([values, of_rng(3, *values.shape)], axis))
    net.node("Split", [name + "_all", net.const(name + "_sizes", np.array([n, n], np.int64))], [name, name + "_rest"], axis=axis)
    net.node("Identity", [name + "_rest"], name + "_out")
    net.others = [name + "_out"]


STORED = {"initializer": (initializer, 0), "input": (graph_input, 0), "constant": (constant_node, 0), "floats": (constant_floats, 0), "reshape": (reshaped, 0),
          "squeeze": (squeezed, 0), "identity": (behind_identity, 0), "half": (half, 2e-3), "double": (double, 1e-6), "int32": (grid_of(32), 1e-5),
          "int8": (grid_of(8), 0.05), "shared": (shared, 0), "split": (split, 0)}

# ---- operators: build(net, place) makes the layer with its bias B in that place; "h" is the result -----------------------------------

H = 6


def conv_like(op, rows, weight, shape, **attributes):
    w = weight

    def build(net, place, store, b):
        net.const("w", w)
        tall = b.reshape(1, -1, 1, 1)
        if place == "own":
            store(net, "b", b)
            net.node(op, ["x", "w", "b"], "h", **attributes)
            return
        net.node(op, ["x", "w"], "p", **attributes)
        behind_product(net, place, store, b, {"flat": b, "row": tall, "short": tall[0]}, rows)

    return build, rows, shape, ["own", "short", "row", "first", "sub", "minus", "grid", "norm"]


def behind_product(net, place, store, b, forms, rows):
    if place in ("row", "short", "flat"):
        store(net, "b", forms[place])
        net.node("Add", ["p", "b"], "h")
    elif place == "first":
        store(net, "b", forms["row"])
        net.node("Add", ["b", "p"], "h")
    elif place == "sub":
        store(net, "b", -forms["row"])
        net.node("Sub", ["p", "b"], "h")
    elif place == "minus":  # -(b' - p) with b' = -b
        store(net, "b", -forms["row"])
        net.node("Sub", ["b", "p"], "m")
        net.node("Neg", ["m"], "h")
    elif place == "grid":  # the product is quantized finely before the sum
        net.node("QuantizeLinear", ["p", net.const("ps", np.float32(1 / 1024)), net.const("pz", np.int16(0))], "pq")
        net.node("DequantizeLinear", ["pq", "ps", "pz"], "pd")
        store(net, "b", forms["row"])
        net.node("Add", ["pd", "b"], "h")
    elif place == "norm":
        store(net, "b", -b)
        ones = net.const("ones", np.ones(rows, np.float32))
        net.node("BatchNormalization", ["p", ones, net.const("zeros", np.zeros(rows, np.float32)), "b", ones], "h", epsilon=0.0)
    else:
        raise ValueError(place)


def gemm(shape=(12,), **attributes):
    trans = attributes.get("transB", 0)
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)

    def build(net, place, store, b):
        w = of_rng(5, 9, 12) / np.float32(alpha)
        net.const("w", w if trans else w.T.copy())
        if place in ("own", "own_row"):
            store(net, "b", (b if place == "own" else b[None]) / np.float32(beta))
            net.node("Gemm", ["x", "w", "b"], "h", **attributes)
            return
        net.node("Gemm", ["x", "w"], "p", **attributes)
        behind_product(net, place, store, b, {"flat": b, "row": b[None], "short": b}, 9)

    return build, 9, shape, ["own", "own_row", "flat", "row", "first", "sub", "minus", "grid", "norm"]


def matmul(shape, **_):
    def build(net, place, store, b):
        net.const("w", of_rng(6, 12, 9))
        net.node("MatMul", ["x", "w"], "p")
        row = b.reshape((1,) * len(shape) + (-1,))
        behind_product(net, place, store, b, {"flat": b, "row": row, "short": b}, 9)

    return build, 9, shape, ["flat", "row", "first", "sub", "minus", "grid"] + (["norm"] if len(shape) == 1 else [])


def matmul_left():
    def build(net, place, store, b):
        net.const("w", of_rng(6, 9, 12))
        net.node("MatMul", ["w", "x"], "p")
        behind_product(net, place, store, b, {"flat": b[:, None], "row": b.reshape(1, -1, 1), "short": b[:, None]}, 9)

    return build, 9, (12, 5), ["flat", "row", "first", "sub", "minus"]


def batched():
    def build(net, place, store, b):
        net.const("w", of_rng(6, 3, 12, 4))
        net.node("MatMul", ["x", "w"], "p")
        grouped = b.reshape(3, 1, 4)
        behind_product(net, place, store, b, {"flat": grouped, "row": grouped[None], "short": grouped}, 12)

    return build, 12, (3, 5, 12), ["flat", "row", "first", "sub", "minus"]


def einsum():
    def build(net, place, store, b):
        net.const("w", of_rng(6, 9, 12))
        net.node("Einsum", ["x", "w"], "p", equation="btc,rc->btr")
        behind_product(net, place, store, b, {"flat": b, "row": b.reshape(1, 1, -1), "short": b}, 9)

    return build, 9, (5, 12), ["flat", "row", "first", "sub", "minus"]


def recurrent(op, gates, **attributes):
    def build(net, place, store, b):
        net.const("w", of_rng(7, 2, gates * H, 12))
        net.const("r", of_rng(8, 2, gates * H, H))
        net.node("Transpose", ["x"], "t", perm=[1, 0, 2])
        store(net, "b", b.reshape(2, 2 * gates * H))
        net.node(op, ["t", "w", "r", "b"], "h", hidden_size=H, direction="bidirectional", **attributes)

    return build, 4 * gates * H, (5, 12), ["own"]


LAYERS = {
    "Conv": conv_like("Conv", 9, of_rng(4, 9, 4, 3, 3), (4, 6, 6)),
    "Conv grouped": conv_like("Conv", 9, of_rng(4, 9, 4, 2, 2), (12, 4, 4), group=3),
    "ConvTranspose": conv_like("ConvTranspose", 9, of_rng(4, 4, 9, 3, 3), (4, 5, 5), strides=[2, 2]),
    "Gemm": gemm(),
    "Gemm transB": gemm(transB=1),
    "Gemm alpha beta": gemm(alpha=0.5, beta=4.0),
    "MatMul": matmul((12,)),
    "MatMul of rank 3": matmul((5, 12)),
    "MatMul from the left": matmul_left(),
    "MatMul batched": batched(),
    "Einsum": einsum(),
    "LSTM": recurrent("LSTM", 4),
    "GRU": recurrent("GRU", 3, linear_before_reset=1),
    "RNN": recurrent("RNN", 1),
}


def make(layer, place, store, b, ir=8):
    build, _, shape, _ = LAYERS[layer]
    net = Net(shape, opset=21, ir=max(ir, 3))
    net.others = []
    build(net, place, store, b)
    net.node("Relu", ["h"], "out")
    model = net.model()
    for other in net.others:
        model.graph.output.append(helper.make_tensor_value_info(other, F32, None))
    return onnx.shape_inference.infer_shapes(model)


def bias_of(rows):
    """Numbers that every form can hold exactly, so that the dense models are equal."""
    return np.round(np.clip(of_rng(9, rows), -1, 1) * 32).astype(np.float32) / 32


def data_of(shape):
    return of_rng(11, N, *shape, scale=1, mean=0.7)


class Pruned:
    def __init__(self, case, folder, model, x, *options):
        (folder / "m.onnx").write_bytes(model.SerializeToString())
        np.savez(folder / "x.npz", x=x)
        # A recurrent layer's hidden states see its rounded bias, and a refit follows them: there only the repair can be the same.
        options = (*options, "--refit", "none") if case.startswith(("LSTM", "GRU", "RNN")) else options
        ran = harness.run("prune", folder / "m.onnx", "--data", folder / "x.npz", "-s", "60%", "-o", folder / "p.onnx", "-f", "-q",
                          f"--json={folder / 'r.json'}", "--reserve", "0", "--rounds", "1", *options)
        self.good = TALLY.check(case, ran.code == 0 and not ran.crashed, f"exit {ran.code}: {ran.err[:400]}")
        if not self.good:
            return
        self.model = onnx.load(folder / "p.onnx")
        onnx.checker.check_model(self.model)
        self.report = json.loads((folder / "r.json").read_text())
        self.outputs = evaluate(self.model, x)
        self.dense = evaluate(model, x)
        self.weights = {t.name: numpy_helper.to_array(t) for t in self.model.graph.initializer}

    def errors(self):
        return [layer.get("error_after_repair") for layer in self.report["layers"]]


def evaluate(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x})


def close(a, b, tolerance):
    return a.shape == b.shape and np.abs(a - b).max() <= tolerance * max(1.0, np.abs(a).max())


def compare(case, plain, other, tolerance):
    names = [n for n in ("w", "r") if n in plain.weights]
    TALLY.check(f"{case}: masks", all(np.array_equal(plain.weights[n] == 0, other.weights[n] == 0) for n in names), "other synapses are pruned")
    TALLY.check(f"{case}: repair", all(close(plain.weights[n], other.weights[n], 1e-6) for n in names), "other values")
    off = np.abs(plain.outputs[0].reshape(-1) - other.outputs[0].reshape(-1)).max()
    TALLY.check(f"{case}: outputs", close(plain.outputs[0].reshape(-1), other.outputs[0].reshape(-1), max(tolerance, 2e-5)), f"off by {off:g}")
    for k in range(1, len(other.outputs)):
        TALLY.check(f"{case}: other readers", np.array_equal(other.outputs[k], other.dense[k]), "another output has changed")
    left = [layer["name"] for layer in other.report["layers"] if "bias_left" in layer]
    TALLY.check(f"{case}: said", not left, f"bias_left of {left}")
    got, wanted = other.errors(), plain.errors()
    TALLY.check(f"{case}: errors", all(abs(a - b) <= max(tolerance, 1e-4) for a, b in zip(got, wanted)), f"{got} instead of {wanted}")


def check_layer(layer, folder):
    _, rows, shape, places = LAYERS[layer]
    x, b = data_of(shape), bias_of(rows)
    plain = Pruned(f"{layer}: plain", folder, make(layer, places[0], initializer, b), x)
    if not plain.good:
        return
    for place in places:
        for form, (store, tolerance) in STORED.items():
            # every form in the first place and the last, the commonest ones in all
            if place not in (places[0], places[-1]) and form not in ("initializer", "constant", "int32", "shared"):
                continue
            if form == "floats" and 0 in b.shape:
                continue
            case = f"{layer}, {place}, {form}"
            other = Pruned(case, folder, make(layer, place, store, b), x)
            if "r" in plain.weights:
                tolerance *= 2  # a row has two biases, each rounded by itself
            if other.good:
                compare(case, plain, other, max(tolerance, 2e-3 if place == "grid" else 0))


# ---- none at all, one number for all, one bias of several layers, IR 3 ----------------------------------------------------------------


def without_bias(layer, ir=8):
    """The model with a bias of zeros, without it."""
    _, rows, shape, places = LAYERS[layer]
    model = make(layer, places[0], initializer, np.zeros(rows, np.float32))
    node = next(n for n in model.graph.node if "b" in n.input)
    if node.op_type == "Add":
        product = next(n for n in model.graph.node if n.output[0] == "p")
        product.output[0] = "h"
        model.graph.node.remove(node)
    else:
        del node.input[list(node.input).index("b"):]
    model.graph.initializer.remove(next(t for t in model.graph.initializer if t.name == "b"))
    del model.graph.value_info[:]
    if ir < 4:
        model.ir_version = ir
        del model.opset_import[:]
        model.opset_import.append(helper.make_opsetid("", 11))
        model.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in model.graph.initializer)
    return model


def check_none(layer, folder):
    _, rows, shape, places = LAYERS[layer]
    x = data_of(shape)
    plain = Pruned(f"{layer}: zeros", folder, make(layer, places[0], initializer, np.zeros(rows, np.float32)), x)
    for ir in (8, 3) if layer != "Einsum" else (8,):  # it is younger than the operator sets of IR 3
        case = f"{layer}, none, IR {ir}"
        model = without_bias(layer, ir)
        none = Pruned(case, folder, model, x)
        if not plain.good or not none.good:
            continue
        if layer == "MatMul batched":
            TALLY.check(f"{case}: named", all("bias_left" in e for e in none.report["layers"]), "its bias is not said to be missing")
            TALLY.check(f"{case}: summary", any("no bias that can be written" in n for n in none.report["notes"]), none.report.get("notes"))
            TALLY.check(f"{case}: error", none.errors()[0] > plain.errors()[0] + 0.01, f"{none.errors()} {plain.errors()}")
            continue
        compare(case, plain, none, 0)
        if ir < 4:
            inputs = {i.name for i in none.model.graph.input}
            TALLY.check(f"{case}: inputs", all(t.name in inputs for t in none.model.graph.initializer), "an initializer is no input")


def check_scalar(folder):
    """One number for all rows gets a number a row."""
    x, b = data_of((12,)), np.full(9, 0.25, np.float32)
    plain = Pruned("scalar: plain", folder, make("MatMul", "flat", initializer, b), x)
    for shape in ((), (1,), (1, 1)):
        case = f"one number of shape {list(shape)}"
        model = make("MatMul", "flat", initializer, b)
        bias = next(t for t in model.graph.initializer if t.name == "b")
        bias.CopyFrom(const("b", np.full(shape, 0.25, np.float32)))
        other = Pruned(case, folder, model, x)
        if plain.good and other.good:
            compare(case, plain, other, 0)


def two_layers(own):
    """Two layers with biases of their own, or one for both."""
    net = Net((12,), opset=21)
    net.const("w", of_rng(4, 12, 9)), net.const("r", of_rng(5, 12, 9)), net.const("b", of_rng(9, 9)), net.const("c", of_rng(9, 9))
    net.node("Gemm", ["x", "w", "b"], "h")
    net.node("Gemm", ["x", "r", "c" if own else "b"], "k")
    net.node("Relu", ["h"], "hr"), net.node("Relu", ["k"], "kr"), net.node("Mul", ["hr", "kr"], "out")
    if not own:
        net.constants.pop(next(i for i, t in enumerate(net.constants) if t.name == "c"))
    return net.model()


def used_twice(alike):
    """One weight and bias for two inputs, as a network that looks at two things has them; or one weight with two biases."""
    net = Net((2, 12), opset=21)
    net.const("w", of_rng(4, 12, 9)), net.const("b", of_rng(9, 9)), net.const("at", np.array(0, np.int64)), net.const("next", np.array(1, np.int64))
    if not alike:
        net.const("c", of_rng(10, 9))
    net.node("Gather", ["x", "at"], "x0", axis=1), net.node("Gather", ["x", "next"], "x1", axis=1)
    net.node("Gemm", ["x0", "w", "b"], "h"), net.node("Gemm", ["x1", "w", "b" if alike else "c"], "k")
    net.node("Relu", ["h"], "hr"), net.node("Relu", ["k"], "kr"), net.node("Mul", ["hr", "kr"], "out")
    return net.model()


def check_shared(folder):
    x = data_of((12,))
    plain, other = (Pruned(f"two layers, {'own' if own else 'one'} bias", folder, two_layers(own), x) for own in (True, False))
    if plain.good and other.good:
        compare("two layers with one bias", plain, other, 0)
    twice = Pruned("one layer used twice", folder, used_twice(True), data_of((2, 12)))
    if twice.good:
        TALLY.check("one layer used twice: written", not np.array_equal(twice.weights["b"], of_rng(9, 9)) and "bias_left" not in twice.report["layers"][0],
                    "its bias is as it was")


# ---- heads ----------------------------------------------------------------------------------------------------------------------------

D, C = 24, 6


def head(kind):
    """A hidden layer, then six classes, made in many ways. The first way is the plain one."""
    net = Net((16,), opset=21)
    random = np.random.default_rng(20)
    w1, b1, w, b = of_rng(21, 16, D), of_rng(22, D), of_rng(23, C, D), of_rng(24, C)
    net.node("Gemm", ["x", net.const("w1", w1), net.const("b1", b1)], "g1")
    net.node("Relu", ["g1"], "f")
    shapes = {"tall": np.array([0, D, 1, 1], np.int64), "flat": np.array([0, C], np.int64), "four": np.array([0, C, 1, 1], np.int64)}

    def gemm(out, weight=w, bias=b, inputs="f"):
        net.node("Gemm", [inputs, net.const("w", weight), net.const("b", bias)], out, transB=1)

    def conv(out):
        net.node("Reshape", ["f", net.const("tall", shapes["tall"])], "ft")
        net.node("Conv", ["ft", net.const("w", w[:, :, None, None]), net.const("b", b)], out)

    scale, shift = random.uniform(0.5, 2, C).astype(np.float32), of_rng(25, C)
    mean, variance = of_rng(26, C), random.uniform(0.5, 2, C).astype(np.float32)
    spread = np.sqrt(variance + np.float32(1e-5))
    norm = [net.const(n, v) for n, v in (("gamma", scale), ("beta", shift), ("mean", mean), ("variance", variance))] if "norm" in kind else []
    inner_w, inner_b = w * (spread / scale)[:, None], (b - shift) * spread / scale + mean
    if kind in ("plain", "softmax", "logsoftmax", "dropout", "cast", "grid", "four", "four softmax"):
        gemm("y")
    last = "y"
    if kind == "softmax":
        last = net.node("Softmax", ["y"], "p", axis=-1)
    elif kind == "logsoftmax":
        last = net.node("LogSoftmax", ["y"], "p", axis=1)
    elif kind == "dropout":
        net.node("Identity", [net.node("Dropout", ["y"], "d")], "i")
        last = net.node("Softmax", ["i"], "p", axis=-1)
    elif kind == "cast":
        last = net.node("Cast", [net.node("Cast", ["y"], "d", to=TensorProto.DOUBLE)], "p", to=F32)
    elif kind == "grid":
        net.node("QuantizeLinear", ["y", net.const("s", np.float32(1 / 512)), net.const("z", np.int16(0))], "q")
        last = net.node("DequantizeLinear", ["q", "s", "z"], "p")
    elif kind == "four":
        last = net.node("Reshape", ["y", net.const("to4", shapes["four"])], "p")
    elif kind == "four softmax":
        last = net.node("Softmax", [net.node("Reshape", ["y", net.const("to4", shapes["four"])], "y4")], "p", axis=1)
    elif kind == "conv":
        conv("p")
        last = "p"
    elif kind == "conv flat":
        conv("y4")
        last = net.node("Flatten", [net.node("Softmax", ["y4"], "s", axis=1)], "p")
    elif kind in ("conv before pool", "conv before mean", "conv before average"):
        net.node("Reshape", ["f", net.const("tall", shapes["tall"])], "ft")
        net.node("Concat", ["ft", "ft"], "f2", axis=3)
        net.node("Conv", ["f2", net.const("w", w[:, :, None, None]), net.const("b", b)], "y2")
        if kind == "conv before pool":
            net.node("Flatten", [net.node("GlobalAveragePool", ["y2"], "y4")], "y")
        elif kind == "conv before mean":
            net.node("ReduceMean", ["y2", net.const("axes", np.array([2, 3], np.int64))], "y", keepdims=0)
        else:
            net.node("Squeeze", [net.node("AveragePool", ["y2"], "y4", kernel_shape=[1, 2]), net.const("axes", np.array([2, 3], np.int64))], "y")
    elif kind == "gemm norm":
        gemm("g", inner_w, inner_b)
        last = net.node("LogSoftmax", [net.node("BatchNormalization", ["g", *norm], "n")], "p", axis=-1)
    elif kind == "matmul norm":
        net.node("MatMul", ["f", net.const("w", np.ascontiguousarray(inner_w.T))], "g")
        norm[2] = net.const("mean2", mean - inner_b)
        last = net.node("BatchNormalization", ["g", *norm], "p")
    elif kind == "matmul":
        net.node("MatMul", ["f", net.const("w", np.ascontiguousarray(w.T))], "g")
        net.node("Add", ["g", net.const("b", b[None])], "y")
    elif kind == "scaled":
        gemm("g", w * 4, b * 4 - 1)
        last = net.node("Mul", [net.node("Add", ["g", net.const("one", np.float32(1))], "a"), net.const("quarter", np.float32(0.25))], "p")
    elif kind == "alpha":
        net.node("Gemm", ["f", net.const("w", w * 4), net.const("b", b * 2)], "y", transB=1, alpha=0.25, beta=0.5)
    model = net.model(last)
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model)


HEADS = ["softmax", "logsoftmax", "dropout", "cast", "grid", "four", "four softmax", "conv", "conv flat", "conv before pool", "conv before mean",
         "conv before average", "gemm norm", "matmul norm", "matmul", "scaled", "alpha"]


def scores(outputs):
    """Whatever was made of the class scores: they less their mean."""
    y = outputs[0].reshape(len(outputs[0]), -1).astype(np.float64)
    return y - y.mean(1, keepdims=True)


def logits_of(kind, y):
    y = y.reshape(len(y), -1).astype(np.float64)
    return np.log(np.maximum(y, 1e-30)) if kind in ("softmax", "dropout", "four softmax", "conv flat") else y


def check_heads(folder):
    # Two rows to a column in every form: where they are fewer, a form that sees a sample twice is trusted more.
    x = of_rng(11, 2 * D, 16, scale=1, mean=0.7)
    options = ("--score", "magnitude", "--task", "classes") if "--task" in harness.run("prune", "--help").out.decode() else ("--score", "magnitude")
    plain = Pruned("head plain", folder, head("plain"), x, *options)
    if not plain.good:
        return
    for kind in HEADS:
        case = f"head {kind}"
        other = Pruned(case, folder, head(kind), x, *options)
        if not other.good:
            continue
        known = other.report["readout"].get("reason"), plain.report["readout"].get("reason")
        TALLY.check(f"{case}: is one", known[0] == known[1], f"{known[0]} instead of {known[1]}")
        dense = scores([logits_of(kind, other.dense[0])]) - scores([plain.dense[0]])
        TALLY.check(f"{case}: test", np.abs(dense).max() < 0.01, "the test's own network is another one")
        off = np.abs(scores([logits_of(kind, other.outputs[0])]) - scores([plain.outputs[0]])).max()
        TALLY.check(f"{case}: scores", off < 0.02, f"off by {off:g}")


def check_named(folder):
    """A bias that the samples make gets a constant beside it; in a batched product there is no place for one. Scores
    that do not follow from the last layer alone are left and named."""
    net = Net((12,), opset=21)
    net.node("Gemm", ["x", net.const("v", of_rng(30, 12, 9))], "c")
    net.node("Gemm", ["x", net.const("w", of_rng(31, 12, 9)), "c"], "h")
    net.node("Reshape", ["h", net.const("to", np.array([-1, 3, 1, 3], np.int64))], "g")
    net.node("MatMul", ["g", net.const("u", of_rng(32, 3, 3, 5))], "m")
    net.node("Relu", ["m"], "out")
    made = Pruned("bias of the samples", folder, net.model(), data_of((12,)))
    if made.good:
        left = {layer["name"]: layer.get("bias_left") for layer in made.report["layers"]}
        TALLY.check("bias of the samples: named", left == {"v": None, "w": None, "u": "its product has no place for a constant"}, left)
        TALLY.check("bias of the samples: summary", any("1 of 3 layers have no bias" in n for n in made.report.get("notes", ())), made.report.get("notes"))
    model = head("conv before pool")
    pool = next(n for n in model.graph.node if n.op_type == "GlobalAveragePool")
    model.graph.node.insert(list(model.graph.node).index(pool), helper.make_node("Relu", [pool.input[0]], ["bent"], name="bent"))
    pool.input[0] = "bent"
    bent = Pruned("head behind Relu", folder, model, data_of((16,)))
    if bent.good:
        reason = bent.report["readout"].get("reason", "")
        TALLY.check("head behind Relu: named", "an activation stands between" in reason, reason)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for layer in LAYERS:
            if re.search(ONLY, layer):
                check_layer(layer, folder)
                check_none(layer, folder)
        if re.search(ONLY, "scalar"):
            check_scalar(folder)
        if re.search(ONLY, "shared"):
            check_shared(folder)
        if re.search(ONLY, "named"):
            check_named(folder)
        if re.search(ONLY, "heads"):
            check_heads(folder)
    TALLY.finish()


if __name__ == "__main__":
    main()
