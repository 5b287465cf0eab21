# SPDX-License-Identifier: Apache-2.0
"""Multiply-adds of a model, counted from the shapes that ONNX Runtime finds in a run over one sample. Independent of the program."""
import math

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

onnxruntime.set_default_logger_severity(3)


def attribute(node, name, absent=None):
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), absent)


def shapes(model, sample):
    """Of all values of the main graph."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    known = {t.name: tuple(t.dims) for t in model.graph.initializer}
    known.update({name: np.asarray(x).shape for name, x in sample.items()})
    outputs = {v.name for v in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=o) for n in model.graph.node for o in n.output if o and o not in outputs)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [o.name for o in session.get_outputs()]
    known.update({name: np.shape(x) for name, x in zip(names, session.run(None, sample))})
    return known


def of_node(node, known):
    """All of it, or for recurrent layers {input: those of the weight there}."""
    shape = [known.get(name) for name in node.input]
    out = known.get(node.output[0])
    if node.op_type in ("Conv", "FusedConv"):
        return math.prod(out) * math.prod(shape[1][1:])
    if node.op_type == "ConvTranspose":
        return math.prod(shape[0]) * math.prod(shape[1][1:])
    if node.op_type == "Gemm":
        return math.prod(out) * shape[0][0 if attribute(node, "transA", 0) else 1]
    if node.op_type == "MatMul":
        return math.prod(out) * shape[0][-1]
    if node.op_type in ("LSTM", "GRU", "RNN"):
        return {i: shape[0][0] * shape[0][1] * math.prod(shape[i]) for i in (1, 2)}
    if node.op_type == "Einsum":
        terms = attribute(node, "equation").decode().replace(" ", "").split("->")[0].split(",")
        extents = {}
        for term, dims in zip(terms, shape):
            dots = len(dims) - len(term.replace("...", ""))
            term = term.replace("...", "0123456789"[10 - dots:])
            extents.update({letter: max(n, extents.get(letter, 1)) for letter, n in zip(term, dims)})
        return math.prod(extents.values()) * (len(terms) - 1)
    return 0


def count(model, sample):
    """(total, {name of a node: its own})."""
    known, own = shapes(model, sample), {}
    for number, node in enumerate(model.graph.node):
        found = of_node(node, known)
        own[node.name or number] = found
    return sum(sum(f.values()) if isinstance(f, dict) else f for f in own.values()), own
