#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What fineprune computes, against independent references.

    masks         of `magnitude` and `wanda` equal NumPy's bit for bit, at 70 % in every row
    repair        by least squares equals NumPy in double precision to 1e-4 relative
    bytes         only pruned and repaired tensors and metadata_props differ from the input, byte for byte; and constants for layers that have
                  no bias
    differential  `run` gives what ONNX Runtime gives; `prune` hits the asked sparsity, its output is valid to onnx.checker, opens in
                  ONNX Runtime and runs there as here
    threads       the same bytes with any number of threads
    neighbours    the same bytes with any number of threads and any batch, whatever the operators
    spectra       DFT and STFT equal NumPy's in double precision to 2e-6 of the largest element, with the same bytes by any number of threads
"""
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
import models  # noqa: E402

onnxruntime.set_default_logger_severity(3)
TALLY = harness.Tally("reference")
ONLY = sys.argv[1] if len(sys.argv) > 1 else ""
GESTURE = harness.ROOT / "samples" / "gesture"


def wanted(name):
    return re.search(ONLY, name)


def fineprune(case, *arguments):
    """True when it ended well; else the case has failed."""
    ran = harness.run(*arguments, timeout=120)
    return TALLY.check(case, ran.code == 0 and not ran.crashed, f"exit {ran.code}: {ran.err[:400]}")


def store(folder, model, data):
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    np.savez(folder / "data.npz", **data)
    return folder / "model.onnx", folder / "data.npz"


def initializers(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


# ---- weights as matrices ------------------------------------------------------------------------------------------------------------


def windows(x, kernel, strides, pads, dilations):
    """im2col: [rows, channels * kernel positions], rows over samples and output positions; padding is zero."""
    n = len(kernel)
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:n], pads[n:])])
    out = [(x.shape[2 + i] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(n)]
    columns = []
    for offset in np.ndindex(*kernel):
        part = x
        for axis in range(n):
            start = offset[axis] * dilations[axis]
            part = np.take(part, np.arange(out[axis]) * strides[axis] + start, axis=2 + axis)
        columns.append(part)
    stacked = np.stack(columns, axis=2)  # [N, C, K, out...]
    stacked = np.moveaxis(stacked.reshape(*stacked.shape[:3], -1), 3, 1)  # [N, P, C, K]
    return stacked.reshape(-1, stacked.shape[2], stacked.shape[3])


class Layer:
    """One weight with the input that it sees: `matrix` [groups, rows, cols] of the stored tensor and `seen` [groups, samples, cols]."""

    def __init__(self, name, model, data, weight, to_matrix, from_matrix, seen):
        self.name, self.model, self.data, self.weight = name, model, data, weight
        self.to_matrix, self.from_matrix, self.seen = to_matrix, from_matrix, seen


def single(name, op, weight, x_shape, x, bias=None, rank=None, **attributes):
    node = helper.make_node(op, ["x", "w"] + (["b"] if bias is not None else []), ["y"], name="layer", **attributes)
    constants = [numpy_helper.from_array(weight, "w")] + ([numpy_helper.from_array(bias, "b")] if bias is not None else [])
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [f"d{i}" for i in range(rank or x.ndim)])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def convolution(name, weight_shape, x_shape, group=1, bias=True, strides=None, pads=None, dilations=None, seed=0):
    random = np.random.default_rng(seed)
    n = len(weight_shape) - 2
    w = random.standard_normal(weight_shape).astype(np.float32)
    b = random.standard_normal(weight_shape[0]).astype(np.float32) if bias else None
    x = (random.standard_normal((12, *x_shape)) * random.uniform(0.2, 3, (1, x_shape[0], *[1] * n)) + 0.3).astype(np.float32)
    strides, pads, dilations = strides or [1] * n, pads or [0] * 2 * n, dilations or [1] * n
    model = single(name, "Conv", w, ["N", *x_shape], x, b, group=group, strides=strides, pads=pads, dilations=dilations)
    seen = windows(x.astype(np.float64), weight_shape[2:], strides, pads, dilations)  # [rows, C, K]
    per = seen.shape[1] // group
    seen = np.stack([seen[:, g * per:(g + 1) * per].reshape(len(seen), -1) for g in range(group)])
    return Layer(name, model, {"x": x}, "w", lambda t: t.reshape(group, t.shape[0] // group, -1), lambda m: m.reshape(weight_shape), seen)


def product(name, op, rows, cols, lead=(), transpose=False, seed=0, bias=True):
    random = np.random.default_rng(seed)
    w = random.standard_normal((rows, cols) if transpose else (cols, rows)).astype(np.float32)
    x = (random.standard_normal((40, *lead, cols)) * random.uniform(0.2, 3, cols) + 0.3).astype(np.float32)
    b = random.standard_normal(rows).astype(np.float32) if op == "Gemm" and bias else None
    attributes = {"transB": 1} if transpose else {}
    model = single(name, op, w, ["N", *lead, cols], x, b, **attributes)
    seen = x.astype(np.float64).reshape(1, -1, cols)
    if transpose:
        return Layer(name, model, {"x": x}, "w", lambda t: t[None], lambda m: m[0], seen)
    return Layer(name, model, {"x": x}, "w", lambda t: t.T[None], lambda m: m[0].T, seen)


def einsum(name, equation, weight_shape, x_shape, to_matrix, from_matrix, seen, seed):
    random = np.random.default_rng(seed)
    w = random.standard_normal(weight_shape).astype(np.float32)
    x = (random.standard_normal((24, *x_shape)) * random.uniform(0.2, 3, x_shape) + 0.3).astype(np.float32)
    model = single(f"Einsum {name}", "Einsum", w, ["N", *x_shape], x, rank=len(equation.split(">")[1]), equation=equation)
    return Layer(f"Einsum {name}", model, {"x": x}, "w", to_matrix, from_matrix, seen(x.astype(np.float64)))


def einsums():
    yield einsum("by heads", "bsd,hdk->bhsk", (3, 8, 5), (6, 8), lambda t: t.transpose(0, 2, 1).reshape(1, 15, 8),
                 lambda m: m.reshape(3, 5, 8).transpose(0, 2, 1), lambda x: x.reshape(1, -1, 8), seed=11)
    yield einsum("of heads", "bhsk,hkd->bsd", (3, 5, 8), (3, 6, 5), lambda t: t.reshape(1, 15, 8).transpose(0, 2, 1),
                 lambda m: m.transpose(0, 2, 1).reshape(3, 5, 8), lambda x: x.transpose(0, 2, 1, 3).reshape(1, -1, 15), seed=12)
    yield einsum("in heads", "bhsk,khe->bhse", (7, 3, 4), (3, 6, 7), lambda t: t.transpose(1, 2, 0), lambda m: m.transpose(2, 0, 1),
                 lambda x: x.transpose(1, 0, 2, 3).reshape(3, -1, 7), seed=13)


def layers():
    yield convolution("Conv 3x3", (16, 5, 3, 3), (5, 9, 9), pads=[1, 1, 1, 1], seed=1)
    yield convolution("Conv strided, dilated, uneven pads", (8, 4, 3, 2), (4, 14, 11), strides=[2, 1], dilations=[1, 2], pads=[0, 2, 1, 1], seed=2)
    yield convolution("Conv grouped", (12, 3, 3, 3), (12, 8, 8), group=4, seed=3)
    yield convolution("Conv 1-D", (10, 7, 5), (7, 30), pads=[2, 2], seed=4)
    yield convolution("Conv 3-D", (6, 2, 2, 3, 3), (2, 4, 6, 6), seed=5)
    yield convolution("Conv 1x1 without bias", (20, 16, 1, 1), (16, 6, 6), bias=False, seed=6)
    yield product("Gemm transB", "Gemm", 17, 33, transpose=True, seed=7)
    yield product("Gemm", "Gemm", 9, 40, seed=8)
    yield product("MatMul", "MatMul", 21, 30, seed=9)
    yield product("MatMul on rank 3", "MatMul", 12, 16, lead=(5,), seed=10)
    yield from einsums()


# ---- masks -----------------------------------------------------------------------------------------------------------------------------


def reference_mask(layer, method, sparsity=0.7):
    """The floor(sparsity * columns) lowest scores of every row go; equal scores go by index. Single precision, as the weights."""
    w = layer.to_matrix(initializers_of(layer.model)[layer.weight])
    factor = np.ones((w.shape[0], w.shape[2]))
    if method == "wanda":
        factor = np.sqrt((layer.seen ** 2).mean(axis=1))
    score = np.abs(w) * factor.astype(np.float32)[:, None, :]
    kept = np.ones(w.shape, bool)
    order = np.argsort(score, axis=2, kind="stable")
    np.put_along_axis(kept, order[:, :, : int(sparsity * w.shape[2] + 1e-9)], False, axis=2)
    return layer.from_matrix(kept)


def initializers_of(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def test_masks(scratch):
    for layer in layers():
        for method in ("magnitude", "wanda"):
            case = f"masks: {method}, {layer.name}"
            if not wanted(case):
                continue
            folder = Path(tempfile.mkdtemp(dir=scratch))
            model, data = store(folder, layer.model, layer.data)
            if not fineprune(case, "prune", model, "--data", data, "--method", method, "-s", "70%", "--reserve", "0",
                             "-o", folder / "out.onnx", "--masks", folder / "masks.npz"):
                continue
            kept, expected = dict(np.load(folder / "masks.npz")), reference_mask(layer, method)
            got = kept.get(layer.weight)
            if not TALLY.check(case, got is not None and got.shape == expected.shape and got.dtype == bool,
                               f"masks hold {[(k, v.shape, v.dtype) for k, v in kept.items()]}, expected {layer.weight} {expected.shape}"):
                continue
            TALLY.check(case, np.array_equal(got, expected), f"{np.count_nonzero(got != expected)} of {got.size} differ")
            before, after = initializers(model)[layer.weight], initializers(folder / "out.onnx")[layer.weight]
            TALLY.check(f"{case}: values", np.array_equal(after, np.where(expected, before, 0)), "kept weights changed or pruned ones did not")


# ---- least squares -----------------------------------------------------------------------------------------------------------------------


def reference_repair(layer, kept):
    """W_r,S <- (C_SS + l I)^-1 (C_S,: W_r + l W_r,S), l = 1 % of the mean diagonal, and 10 % of it
    times columns / rows - 1/2 where there are fewer than two rows to a column, rows being the geometric mean of rows and samples; the bias gains (W_old - W_new) . E[x]."""
    w = layer.to_matrix(initializers_of(layer.model)[layer.weight]).astype(np.float64)
    kept = layer.to_matrix(kept)
    new = np.zeros_like(w)
    gain = np.zeros(w.shape[:2])
    for g in range(w.shape[0]):
        mean = layer.seen[g].mean(axis=0)
        centred = layer.seen[g] - mean
        c = centred.T @ centred / len(centred)
        samples = len(next(iter(layer.data.values())))
        rows = np.sqrt(len(centred) * min(len(centred), samples))
        ridge = (0.01 + 0.1 * max(len(c) / rows - 0.5, 0)) * np.trace(c) / len(c)
        for r in range(w.shape[1]):
            s = np.flatnonzero(kept[g, r])
            new[g, r, s] = np.linalg.solve(c[np.ix_(s, s)] + ridge * np.eye(len(s)), c[s] @ w[g, r] + ridge * w[g, r, s])
        gain[g] = (w[g] - new[g]) @ mean
    return layer.from_matrix(new), gain.reshape(-1)


def test_repair(scratch):
    for layer in layers():
        case = f"repair: {layer.name}"
        if not wanted(case):
            continue
        folder = Path(tempfile.mkdtemp(dir=scratch))
        model, data = store(folder, layer.model, layer.data)
        if not fineprune(case, "prune", model, "--data", data, "--method", "wanda", "--repair", "least-squares",
                         "--outputs", "keep", "--readout", "keep", "--rounds", "1", "-s", "70%", "--reserve", "0", "-o", folder / "out.onnx"):
            continue
        before, after = initializers(model), initializers(folder / "out.onnx")
        expected, gain = reference_repair(layer, reference_mask(layer, "wanda"))
        error = np.linalg.norm(after[layer.weight] - expected) / np.linalg.norm(expected)
        TALLY.check(f"{case}: weight", error < 1e-4, f"relative error {error:.2e}")
        TALLY.check(f"{case}: zeros", np.array_equal(after[layer.weight] == 0, expected == 0), "the support changed")
        if "b" in before:
            error = np.linalg.norm(after["b"] - (before["b"] + gain)) / np.linalg.norm(before["b"] + gain)
            TALLY.check(f"{case}: bias", error < 1e-4, f"relative error {error:.2e}")


# ---- bytes -------------------------------------------------------------------------------------------------------------------------------


def fields(data):
    """(number, wire type, start, body start, end) of every field of one message."""
    at = 0

    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    while at < len(data):
        start = at
        key, at = varint(at)
        if key & 7 == 2:
            size, body = varint(at)
            at = body + size
        else:
            body = at
            at = varint(at)[1] if key & 7 == 0 else at + (8 if key & 7 == 1 else 4)
        yield key >> 3, key & 7, start, body, at


def without_metadata(data):
    return b"".join(data[start:end] for number, kind, start, _, end in fields(data) if not (number == 14 and kind == 2))


def differing_tensors(before, after):
    """Names of the tensors in which two files of equal length differ; raises when they differ anywhere else."""
    assert len(before) == len(after), f"{len(before)} bytes became {len(after)}"
    different = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))
    regions = sorted(payloads(before))
    starts = np.array([r[0] for r in regions])
    names = set()
    for at in different:
        index = np.searchsorted(starts, at, side="right") - 1
        assert index >= 0 and at < regions[index][1], f"byte {at} differs outside of any tensor"
        names.add(regions[index][2])
    return names


def payloads(data, base=0, path=("model",)):
    """(start, end, name) of the elements of every TensorProto: raw_data or the packed typed fields."""
    inside = {"model": {7: "graph", 25: "function"}, "graph": {1: "node", 5: "tensor"}, "function": {7: "node"},
              "node": {5: "attribute"}, "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"}}
    kind = path[-1]
    if kind == "tensor":
        rows = list(fields(data))
        name = next((data[b:e].decode() for n, _, _, b, e in rows if n == 8), "")
        for number, wire, _, body, end in rows:
            if number in (4, 5, 7, 9, 10, 11) and wire == 2:
                yield base + body, base + end, name
        return
    for number, wire, _, body, end in fields(data):
        if wire == 2 and number in inside[kind]:
            yield from payloads(data[body:end], base + body, (*path, inside[kind][number]))


def check_bytes(case, before, after, allowed=None):
    try:
        names = differing_tensors(without_metadata(before), without_metadata(after))
    except AssertionError as error:
        TALLY.bad(case, error)
        return
    TALLY.check(case, names and (allowed is None or names <= allowed), f"tensors that differ: {sorted(names)}, allowed: {sorted(allowed or ())}")


def without_added_biases(before, after):
    """The file after, less the constants that layers without a writable bias have got: inputs, or sums behind products."""
    old, new = onnx.load_from_string(before), onnx.load_from_string(after)
    known = {t.name for t in old.graph.initializer}
    added = {t.name for t in new.graph.initializer} - known
    if not added:
        return after
    for field in (new.graph.initializer, new.graph.input):
        for item in [item for item in field if item.name in added]:
            field.remove(item)
    for node in [n for n in new.graph.node if n.op_type == "Add" and n.input[1] in added and n.input[0].endswith(".product")]:
        next(n for n in new.graph.node if n.output[0] == node.input[0]).output[0] = node.output[0]
        new.graph.node.remove(node)
    for node, was in zip(new.graph.node, old.graph.node):
        if added & set(node.input):
            del node.input[:]
            node.input.extend(was.input)
    return new.SerializeToString()


def decorate(model):
    """Fields that fineprune has no use for, and one that no schema knows, must survive."""
    model.doc_string = "a model with ünïcode"
    model.metadata_props.add(key="author", value="somebody")
    model.graph.doc_string = "graph"
    model.graph.node[0].doc_string = "node"
    model.graph.quantization_annotation.add(tensor_name="x")
    model.graph.node[0].metadata_props.add(key="k", value="v")
    return model.SerializeToString() + b"\xfa\x3e\x07unknown"


def test_bytes(scratch):
    if not wanted("bytes"):
        return
    folder = Path(tempfile.mkdtemp(dir=scratch))
    model, data = models.MODELS["conv2d"]()
    (folder / "model.onnx").write_bytes(decorate(model))
    np.savez(folder / "data.npz", **data)
    for method in ("magnitude", "fine-pruning"):
        out = folder / f"{method}.onnx"
        if fineprune(f"bytes: {method}", "prune", folder / "model.onnx", "--data", folder / "data.npz", "--method", method, "-o", out):
            before, after = (folder / "model.onnx").read_bytes(), out.read_bytes()
            weights = {t.name for t in model.graph.initializer if method != "magnitude" or len(t.dims) in (2, 4)}
            check_bytes(f"bytes: {method}", before, after, weights)
            kept = onnx.load(out)
            TALLY.check(f"bytes: {method}: metadata", {"author": "somebody"}.items() <= {p.key: p.value for p in kept.metadata_props}.items(),
                        "the old metadata_props are gone")
    if fineprune("bytes: no metadata", "prune", folder / "model.onnx", "--data", folder / "data.npz", "--method", "magnitude",
                 "--no-metadata", "-o", folder / "bare.onnx"):
        before, after = (folder / "model.onnx").read_bytes(), (folder / "bare.onnx").read_bytes()
        TALLY.check("bytes: no metadata: length", len(before) == len(after), f"{len(before)} bytes became {len(after)}")
    if fineprune("bytes: nothing pruned", "prune", folder / "model.onnx", "--data", folder / "data.npz", "--method", "magnitude", "-s", "0",
                 "--no-metadata", "-o", folder / "same.onnx"):
        TALLY.check("bytes: nothing pruned: identical", (folder / "model.onnx").read_bytes() == (folder / "same.onnx").read_bytes(), "bytes differ")


# ---- differential ------------------------------------------------------------------------------------------------------------------------


def fixed_batch(model):
    """Whether samples run one by one: the model wants it, or its quantization would mix them."""
    return model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1 or any("DynamicQuantize" in n.op_type for n in model.graph.node)


def runtime(path, data, one_by_one):
    """ONNX Runtime's outputs, keyed by name, axis 0 the samples."""
    options = onnxruntime.SessionOptions()
    # Without VNNI its products of eight-bit integers saturate at 16 bits in between, but when it is told to be precise, which is an optimization.
    options.add_session_config_entry("session.x64quantprecision", "1")
    precise = any(n.op_type == "MatMulInteger" for n in onnx.load(path).graph.node)
    if not precise and all(array.dtype != np.float16 for array in data.values()):  # float16 is rounded where it is by default; without, nothing is quantized anew
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    names = [o.name for o in session.get_outputs()]
    if not one_by_one:
        return dict(zip(names, session.run(None, data)))
    runs = [session.run(None, {k: v[i:i + 1] for k, v in data.items()}) for i in range(len(next(iter(data.values()))))]
    return {name: np.concatenate([r[i] for r in runs]) for i, name in enumerate(names)}


# Their constants meet no weighted operator, and fineprune says so.
NOTHING_TO_PRUNE = {"dynamic_quantized"}


def widened(model):
    """The model with float64 for float32 and float16."""
    wide, floats = onnx.ModelProto(), (TensorProto.FLOAT, TensorProto.FLOAT16)
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        if tensor.data_type in floats:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in (*wide.graph.input, *wide.graph.output):
        if value.type.tensor_type.elem_type in floats:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    del wide.graph.value_info[:]
    return wide


def as_good(got, array, name, path, data):
    """Where two runtimes differ, which one is right is said by float64: ours is when it is no further from that than twice what ONNX Runtime is."""
    try:
        wide = ReferenceEvaluator(widened(onnx.load(path)))
        exact = wide.run([name], {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in data.items()})[0]
    except Exception:  # an operator that has no float64
        return False
    off, theirs = (np.abs(y.astype(np.float64) - exact).max() for y in (got, array))
    return exact.dtype == np.float64 and bool(off <= 2 * theirs)


def close(case, expected, path, model=None, data=None):
    got = dict(np.load(path))
    for name, array in expected.items():
        if name not in got:
            return TALLY.bad(case, f"no output {name}, only {sorted(got)}")
        if got[name].shape != array.shape:
            return TALLY.bad(case, f"{name}: shape {got[name].shape}, ONNX Runtime {array.shape}")
        wide = np.abs(got[name].astype(np.float64) - array) > 1e-4 + 1e-3 * np.abs(array.astype(np.float64))
        same_nan = np.array_equal(np.isnan(got[name]), np.isnan(array))
        if not same_nan or (wide.any() and not as_good(got[name], array, name, model, data)):
            worst = np.abs(got[name].astype(np.float64) - array).max()
            return TALLY.bad(case, f"{name}: {wide.sum()} of {wide.size} differ, by {worst:.3g} at most")
    return TALLY.ok(case)


def prune_and_check(case, folder, model, data, path, source):
    out, report = folder / "pruned.onnx", folder / "report.json"
    if case.split()[-1] in NOTHING_TO_PRUNE:
        ran = harness.run("prune", path, "--data", source, "-o", out)
        TALLY.check(f"{case}: refused", ran.code == 3 and "no weight" in ran.err and not out.exists(), f"exit {ran.code}: {ran.err[:200]}")
        return
    if not fineprune(f"{case}: prune", "prune", path, "--data", source, "-s", "50%", "--strict-sparsity", "-o", out, f"--json={report}"):
        return
    # Whether one of float16's sums is nearly a tie, which two runtimes may round either way, is chance of the weights: these are always the same.
    if any(array.dtype == np.float16 for array in data.values()):
        out = folder / "magnitude.onnx"
        if not fineprune(f"{case}: prune by magnitude", "prune", path, "--data", source, "-s", "50%", "--method", "magnitude", "-o", out):
            return
    told = json.loads(report.read_text())
    params, zeros = (sum(layer[key] for layer in told["layers"]) for key in ("params", "zeros"))
    TALLY.check(f"{case}: sparsity", params > 0 and abs(zeros / params - 0.5) < 0.02 + 8 * len(told["layers"]) / params,
                f"{zeros} of {params} are zero, asked for half")
    TALLY.check(f"{case}: parameters", told["model"]["parameters"] >= params, f"{told['model']['parameters']} parameters, {params} to prune")
    pruned, left = {layer["name"] for layer in told["layers"]}, {s["name"] for s in told["skipped"]}
    TALLY.check(f"{case}: names", left.isdisjoint(pruned), "a weight is both pruned and skipped")
    named = left | pruned | {name for layer in told["layers"] for name in layer.get("tensors", ())}
    missing = {t.name for t in model.graph.initializer if len(t.dims) > 1 and np.prod(t.dims) > 1} - named
    TALLY.check(f"{case}: all named", not missing, f"neither pruned nor left alone: {sorted(missing)}")
    sizes = {t.name: int(np.prod(t.dims)) for t in model.graph.initializer}
    if named - left <= set(sizes):
        whole = sum(sizes[name] for name in named - left)
        TALLY.check(f"{case}: all elements", whole == params, f"{params} elements are pruned of tensors with {whole}")
    try:
        onnx.checker.check_model(str(path), full_check=True)
        onnx.checker.check_model(str(out), full_check=True)
        expected = runtime(out, data, fixed_batch(model))
    except Exception as error:
        TALLY.bad(f"{case}: output", f"{error!r:.300}")
        return
    TALLY.ok()
    check_bytes(f"{case}: bytes", path.read_bytes(), without_added_biases(path.read_bytes(), out.read_bytes()))
    if fineprune(f"{case}: run the output", "run", out, "--data", source, "-o", folder / "after.npz"):
        close(f"{case}: output in both", expected, folder / "after.npz", out, data)


def test_differential(scratch):
    for name, make in models.MODELS.items():
        case = f"differential: {name}"
        if not wanted(case):
            continue
        model, data = make()
        folder = Path(tempfile.mkdtemp(dir=scratch))
        path, source = store(folder, model, data)
        if fineprune(f"{case}: run", "run", path, "--data", source, "-o", folder / "before.npz"):
            close(f"{case}: run", runtime(path, data, fixed_batch(model)), folder / "before.npz", path, data)
        prune_and_check(case, folder, model, data, path, source)


# ---- threads -----------------------------------------------------------------------------------------------------------------------------


def test_threads(scratch):
    if not wanted("threads"):
        return
    folder = Path(tempfile.mkdtemp(dir=scratch))
    outputs = []
    for threads in (1, 2, 3, 1):
        out = folder / f"{len(outputs)}.onnx"
        if fineprune("threads", "prune", GESTURE / "gesture.onnx", "--data", GESTURE / "local.npz", "-j", threads, "-o", out):
            outputs.append(out.read_bytes())
    TALLY.check("threads: same bytes", len(outputs) == 4 and len(set(outputs)) == 1, f"{len(set(outputs))} different files of {len(outputs)}")


def neighbours():
    """More models: convolutions in groups and products whose extents are no multiple of a kernel's."""
    for groups, channels, out, side in ((2, 8, 16, 8), (3, 9, 6, 7), (4, 16, 32, 9), (32, 64, 64, 6)):
        b = models.Builder(70 + groups)
        x = b("Conv", "x", b.weight(out, channels // groups, 3, 3), group=groups, pads=[1, 1, 1, 1])
        y = b("Flatten", b("GlobalAveragePool", b("Relu", b("Add", x, b("Sigmoid", x)))))
        shape = (channels, side, side)
        yield f"conv in {groups} groups", b.model({"x": (models.F32, ["N", *shape])}, [b.linear(y, out, 5)]), {"x": models.samples(shape, 23)}
    for rows, k, n in ((1, 12, 5), (1, 300, 17), (5, 33, 7), (7, 64, 40), (1, 1280, 100), (3, 20, 1)):
        b = models.Builder(80 + rows)
        x = b("Relu", b("Add", b("MatMul", "x", b.weight(k, n)), b("MatMul", b("Tanh", "x"), b.weight(k, n))))
        x = b("MatMul", b("Softmax", b("MatMul", x, b("Transpose", x, perm=[0, 2, 1]))), x)
        flat = b("Reshape", x, b.const(np.array([-1, n], np.int64)))
        y = b("Reshape", b.linear(flat, n, 6), b.const(np.array([-1, rows * 6], np.int64)))
        yield f"product {rows} {k} {n}", b.model({"x": (models.F32, ["N", rows, k])}, [y]), {"x": models.samples((rows, k), 23)}


def test_neighbours(scratch):
    """What is computed beside a sample, and by how many threads, must not show in its result."""
    many = [(name, *make()) for name, make in models.MODELS.items()] + list(neighbours())
    for name, model, data in many:
        if not wanted(f"neighbours: {name}"):
            continue
        folder, outputs = Path(tempfile.mkdtemp(dir=scratch)), set()
        path, source = store(folder, model, data)
        for threads, batch in ((1, 1), (1, 0), (2, 3), (3, 0)):
            out = folder / "o.npz"
            how = ("-j", threads, *(("--batch", batch) if batch else ()))
            if fineprune(f"neighbours: {name}", "run", path, "--data", source, "-f", "-o", out, *how):
                outputs.add(tuple((k, v.tobytes()) for k, v in np.load(out).items()))
        TALLY.check(f"neighbours: {name}", len(outputs) == 1, f"{len(outputs)} different results")


# ---- spectra ----------------------------------------------------------------------------------------------------------------------------

FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16


def complex_of(x):
    return x[..., 0].astype(np.float64) + (1j * x[..., 1] if x.shape[-1] == 2 else 0)


def spectra():
    """Name, shape, axis, dft_length (None: not given), attributes, type. Lengths are powers of two, products of 2, 3 and 5, and others."""
    for n in (1, 2, 3, 7, 16, 30, 37, 97, 441, 1009, 4096, 5000, 10007):
        for parts in (1, 2):
            yield f"length {n}, parts {parts}", (3, n, parts), 1, None, {}, FLOAT
            yield f"inverse, length {n}, parts {parts}", (3, n, parts), 1, None, {"inverse": 1}, FLOAT
        yield f"one side, length {n}", (3, n, 1), 1, None, {"onesided": 1}, FLOAT
        for parts in (1, 2):
            yield f"from one side, length {n}, parts {parts}", (3, n, parts), 1, n, {"onesided": 1, "inverse": 1}, FLOAT
    for axis in (0, 1, 2, -2, -3):
        yield f"axis {axis}", (6, 35, 8, 2), axis, None, {}, FLOAT
        yield f"axis {axis}, one side", (6, 35, 8, 1), axis, 11, {"onesided": 1}, FLOAT
    for length in (20, 21, 53, 64, 130):
        yield f"53 as {length}", (2, 53, 2), 1, length, {}, FLOAT
        yield f"one side of 27 as {length}", (2, 27, 2), 1, length, {"onesided": 1, "inverse": 1}, FLOAT
    for kind in (DOUBLE, HALF):
        yield f"type {kind}", (2, 45, 2), 1, 49, {}, kind


def reference_dft(x, axis, length, inverse=0, onesided=0):
    values, axis = complex_of(x), axis if axis >= 0 else axis + x.ndim
    if inverse and onesided:
        return np.fft.irfft(values, length, axis)[..., None]
    y = (np.fft.ifft if inverse else np.fft.fft)(values, length, axis)
    y = np.take(y, np.arange(y.shape[axis] // 2 + 1), axis) if onesided else y
    return np.stack([y.real, y.imag], -1)


def frames():
    """Name, shape of the signal, step, length, whether with a window, onesided."""
    for length in (1, 2, 15, 16, 37, 400, 441):
        for side in (0, 1):
            yield f"frames of {length}, side {side}", (2, 1000, 1), 13, length, True, side
    yield "no window", (2, 500, 1), 160, 63, False, 1
    yield "complex", (2, 500, 2), 7, 63, True, 0
    yield "one frame", (3, 49, 1), 5, 49, True, 1


def reference_stft(x, step, window, side):
    n = len(window)
    rows = np.stack([complex_of(x)[:, at:at + n] * window for at in range(0, x.shape[1] - n + 1, step)], axis=1)
    y = np.fft.fft(rows)[..., :n // 2 + 1 if side else n]
    return np.stack([y.real, y.imag], -1)


def check_spectra(scratch, name, x, nodes, constants):
    """Runs nodes on x in one model, by one thread and by three. nodes: case -> (node, expected)."""
    nodes, results = {case: node for case, node in nodes.items() if wanted(f"spectra: {case}")}, []
    if not nodes:
        return
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    outputs = [helper.make_tensor_value_info(node.output[0], kind, [None] * y.ndim) for node, y in nodes.values()]
    graph = helper.make_graph([node for node, _ in nodes.values()], "g", [helper.make_tensor_value_info("x", kind, x.shape)], outputs,
                              [numpy_helper.from_array(value, key) for key, value in constants.items()])
    folder = Path(tempfile.mkdtemp(dir=scratch))
    path, source = store(folder, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), {"x": x})
    for threads in (1, 3):
        if fineprune(f"spectra: {name}", "run", path, "--data", source, "-f", "-o", folder / "o.npz", "-j", threads):
            results.append(dict(np.load(folder / "o.npz")))
    if len(results) < 2:
        return
    for case, (node, y) in nodes.items():
        got, again = (result[node.output[0]] for result in results)
        TALLY.check(f"spectra: {case}, threads", got.tobytes() == again.tobytes(), "other bytes with other threads")
        same, limit = got.shape == y.shape and got.dtype == x.dtype, 2e-6 if x.dtype != np.float16 else 1e-3
        worst = np.abs(got - y).max() / np.abs(y).max() if same else np.inf
        TALLY.check(f"spectra: {case}", worst <= limit, f"{got.dtype} {got.shape}, {y.shape} expected, off by {worst:.2g}")


def test_spectra(scratch):
    groups = {}
    for case in spectra():
        groups.setdefault((case[1], case[5]), []).append(case)
    for (shape, kind), cases in groups.items():
        x = np.random.default_rng(31).standard_normal(shape).astype(helper.tensor_dtype_to_np_dtype(kind))
        nodes, constants = {}, {}
        for i, (name, _, axis, length, attributes, _) in enumerate(cases):
            constants[f"axis{i}"] = np.array(axis, np.int64)
            if length:
                constants[f"n{i}"] = np.array(length, np.int64)
            node = helper.make_node("DFT", ["x", f"n{i}" if length else "", f"axis{i}"], [f"y{i}"], **attributes)
            nodes[f"DFT, {name}"] = node, reference_dft(x, axis, length, **attributes)
        check_spectra(scratch, f"DFT of {shape}", x, nodes, constants)
    for name, shape, step, length, windowed, side in frames():
        x = np.random.default_rng(32).standard_normal(shape).astype(np.float32)
        window = np.hamming(length).astype(np.float32) if windowed else np.ones(length, np.float32)
        constants = {"step": np.array(step, np.int64), "n": np.array(length, np.int64), "window": window}
        node = helper.make_node("STFT", ["x", "step", "window" if windowed else "", "n"], ["y"], onesided=side)
        check_spectra(scratch, f"STFT, {name}", x, {f"STFT, {name}": (node, reference_stft(x, step, window, side))}, constants)


def main():
    with tempfile.TemporaryDirectory(prefix="fineprune-reference-") as scratch:
        test_masks(scratch)
        test_repair(scratch)
        test_bytes(scratch)
        test_differential(scratch)
        test_threads(scratch)
        test_neighbours(scratch)
        test_spectra(scratch)
    TALLY.finish()


if __name__ == "__main__":
    main()
