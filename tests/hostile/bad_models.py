# SPDX-License-Identifier: Apache-2.0
"""Models that are damaged, malicious or only wrong. Each function fills a folder and returns the model's path; `MODELS` lists them with
the exit codes that fit and what the message must name."""
import gzip
import io
import os
import struct
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODELS = []


def bad_model(name, pattern, codes=(3,), runs=False):
    """Registers a case. `runs`: the fault shows only when the model is prepared or run, so `inspect` is not asked."""

    def register(function):
        MODELS.append((name, function, pattern, codes, runs))
        return function

    return register


# ---- a good model to damage ------------------------------------------------------------------------------------------------------


def weights(seed=0):
    return np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)


def tiny(nodes=None, initializers=None, inputs=None, outputs=None, opset=17, ir=8):
    """x[N,4] -> MatMul w[4,3] -> Relu -> y[N,3]"""
    nodes = nodes if nodes is not None else [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="multiply"), helper.make_node("Relu", ["h"], ["y"], name="rectify")]
    initializers = initializers if initializers is not None else [numpy_helper.from_array(weights(), "w")]
    inputs = inputs or [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])]
    outputs = outputs or [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def one_node(op, constants=(), outputs=None, extra_inputs=(), opset=17, **attributes):
    """x -> MatMul weight[4,4] -> op(h, constants...) -> y"""
    names = [name for name, _ in constants]
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["h"]),
             helper.make_node(op, ["h", *extra_inputs, *names], ["y"], name="suspect", **attributes)]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)]
    weight = np.random.default_rng(3).standard_normal((4, 4)).astype(np.float32)
    initializers = [numpy_helper.from_array(value, name) for name, value in [("weight", weight), *constants]]
    return tiny(nodes, initializers, outputs=out, opset=opset)


def save(folder, model):
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


# ---- the wire format by hand -----------------------------------------------------------------------------------------------------


def varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


OPSET_17 = field(8, varint(2 << 3) + varint(17))


# ---- not a model at all ----------------------------------------------------------------------------------------------------------


@bad_model("missing", r"model\.onnx.*(No such file|not exist)", (6,))
def _(folder):
    return folder / "model.onnx"


@bad_model("folder", r"model\.onnx.*(folder|directory|regular file)", (3, 6))
def _(folder):
    (folder / "model.onnx").mkdir()
    return folder / "model.onnx"


@bad_model("empty", r"model\.onnx.*empty")
def _(folder):
    return save(folder, b"")


@bad_model("text", r"model\.onnx.*(not an ONNX|text)")
def _(folder):
    return save(folder, b"Dear reader,\nthis is not a model but a letter.\n" * 20)


@bad_model("html", r"model\.onnx.*(not an ONNX|HTML|text)")
def _(folder):
    return save(folder, b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n")


@bad_model("git-LFS pointer", r"model\.onnx.*(?i:git.?lfs)")
def _(folder):
    return save(folder, b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a2146" * 8 + b"\nsize 98765432\n")


@bad_model("gzip", r"model\.onnx.*(?i:gzip|compressed)")
def _(folder):
    return save(folder, gzip.compress(tiny().SerializeToString()))


@bad_model("zip", r"model\.onnx.*(?i:zip)")
def _(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    return save(folder, buffer.getvalue())


@bad_model("random bytes", r"model\.onnx")
def _(folder):
    return save(folder, np.random.default_rng(1).bytes(5000))


@bad_model("zeros", r"model\.onnx")
def _(folder):
    return save(folder, bytes(100000))


for part in (1, 2, 3):
    @bad_model(f"truncated at {part}/4", r"model\.onnx.*(truncated|damaged|ends|past)")
    def _(folder, part=part):
        data = tiny(initializers=[numpy_helper.from_array(np.ones((4, 3), np.float32), "w"),
                                  numpy_helper.from_array(np.ones((100, 3), np.float32), "v")]).SerializeToString()
        return save(folder, data[: len(data) * part // 4])


@bad_model("last byte missing", r"model\.onnx.*(truncated|damaged|ends|past)")
def _(folder):
    return save(folder, tiny().SerializeToString()[:-1])


@bad_model("length beyond the file", r"model\.onnx")
def _(folder):
    return save(folder, varint(7 << 3 | 2) + varint(1 << 40) + b"abc")


@bad_model("length of 2^64-1", r"model\.onnx")
def _(folder):
    return save(folder, varint(7 << 3 | 2) + b"\xff" * 9 + b"\x01" + b"abc")


@bad_model("endless varint", r"model\.onnx")
def _(folder):
    return save(folder, b"\x08" + b"\xff" * 50)


@bad_model("groups of the old wire format", r"model\.onnx")
def _(folder):
    return save(folder, b"\x3b" * 60000)


@bad_model("fifo", r"model\.onnx", (3, 6))
def _(folder):
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


# ---- too much ----------------------------------------------------------------------------------------------------------------------


@bad_model("100,000 nested subgraphs", r"(?i:nest|deep|level)", (3, 7))
def _(folder):
    # Lengths are computed from the inside out; the bytes are joined once.
    heads = []
    size = 0
    for _ in range(100_000):
        # graph -> node(1) -> attribute(5) -> g(6); each level wraps the one inside
        for number in (6, 5, 1):
            head = varint(number << 3 | 2) + varint(size)
            heads.append(head)
            size += len(head)
    body = b"".join(reversed(heads))
    return save(folder, varint(1 << 3) + varint(8) + field(7, body) + OPSET_17)


@bad_model("10 MB of empty nodes", r"model\.onnx|(?i:node|message|limit)", (3, 7))
def _(folder):
    return save(folder, varint(1 << 3) + varint(8) + field(7, b"\x0a\x00" * 5_000_000) + OPSET_17)


@bad_model("10 MB of empty initializers", r"model\.onnx|(?i:initializer|tensor|message|limit)", (3, 7))
def _(folder):
    return save(folder, varint(1 << 3) + varint(8) + field(7, b"\x2a\x00" * 5_000_000) + OPSET_17)


@bad_model("10 MB of empty metadata", r"model\.onnx|(?i:message|limit|graph)", (3, 7))
def _(folder):
    return save(folder, varint(1 << 3) + varint(8) + b"\x72\x00" * 5_000_000 + OPSET_17)


@bad_model("10 MB of unknown fields", r"model\.onnx|(?i:unknown|limit|graph)", (3, 7))
def _(folder):
    return save(folder, varint(1 << 3) + varint(8) + b"\xa2\x3f\x00" * 3_500_000 + OPSET_17)


@bad_model("a tensor of rank 2,000,000", r"(?i:rank|dim|limit)", (3, 7))
def _(folder):
    dims = field(1, varint(1) * 2_000_000)
    tensor = dims + varint(2 << 3) + varint(1) + field(8, b"w") + field(9, struct.pack("<f", 1))
    model = tiny(initializers=[])
    graph = model.graph.SerializeToString() + field(5, tensor)
    return save(folder, varint(1 << 3) + varint(8) + field(7, graph) + OPSET_17)


# ---- structure ---------------------------------------------------------------------------------------------------------------------


@bad_model("no graph", r"(?i:graph)")
def _(folder):
    return save(folder, varint(1 << 3) + varint(8) + OPSET_17)


@bad_model("no opset", r"(?i:opset)")
def _(folder):
    model = tiny()
    del model.opset_import[:]
    return save(folder, model)


@bad_model("opset 999", r"(?i:opset|operator set).*999", runs=True)
def _(folder):
    return save(folder, tiny(opset=999))


@bad_model("unknown operator", r"Frobnicate", runs=True)
def _(folder):
    return save(folder, one_node("Frobnicate"))


@bad_model("unknown domain", r"com\.example|Frobnicate", runs=True)
def _(folder):
    model = one_node("Frobnicate")
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return save(folder, model)


@bad_model("several unknown operators: all are listed", r"(?s)Frobnicate.*Quux", runs=True)
def _(folder):
    nodes = [helper.make_node("Frobnicate", ["x"], ["a"], name="one"), helper.make_node("Quux", ["a"], ["y"], name="two")]
    return save(folder, tiny(nodes, []))


@bad_model("control bytes in a name", r"Frob\\|Frob", runs=True)
def _(folder):
    model = one_node("Frob\x1b[31m\nnicate")
    return save(folder, model)


@bad_model("NUL in a name", r"(?i:NUL|zero byte)")
def _(folder):
    data = tiny().SerializeToString().replace(b"rectify", b"rec\0ify")
    return save(folder, data)


@bad_model("not UTF-8", r"\\xff|(?i:utf)|re.tify|Frob", (0, 3), runs=True)
def _(folder):
    data = one_node("FrobXicate").SerializeToString().replace(b"FrobXicate", b"Frob\xfficate")
    return save(folder, data)


@bad_model("duplicate initializer", r"'?w'?.*(?i:twice|duplicate|more than once|two|already)|(?i:twice|duplicate|two).*w")
def _(folder):
    return save(folder, tiny(initializers=[numpy_helper.from_array(weights(0), "w"), numpy_helper.from_array(weights(1), "w")]))


@bad_model("two nodes make one value", r"h\b.*(?i:twice|duplicate|more than once|two|already)|(?i:twice|duplicate|two).*\bh\b")
def _(folder):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["x", "w"], ["h"]),
             helper.make_node("Relu", ["h"], ["y"])]
    return save(folder, tiny(nodes))


@bad_model("cycle", r"(?i:cycle|circle|before|order|depend)")
def _(folder):
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], name="first"), helper.make_node("Relu", ["a"], ["b"], name="second"),
             helper.make_node("MatMul", ["b", "w"], ["y"], name="third")]
    return save(folder, tiny(nodes))


@bad_model("a node that reads itself", r"(?i:cycle|circle|before|order|depend)")
def _(folder):
    nodes = [helper.make_node("Add", ["x", "h"], ["h"], name="first"), helper.make_node("MatMul", ["h", "w"], ["y"], name="second")]
    return save(folder, tiny(nodes))


@bad_model("an input that nobody makes", r"ghost")
def _(folder):
    return save(folder, tiny([helper.make_node("MatMul", ["ghost", "w"], ["y"], name="multiply")]))


@bad_model("an output that nobody makes", r"phantom")
def _(folder):
    return save(folder, tiny(outputs=[helper.make_tensor_value_info("phantom", TensorProto.FLOAT, ["N", 3])]))


@bad_model("two inputs of one name", r"'?x'?.*(?i:twice|duplicate|more than once|two|already)|(?i:twice|duplicate|two).*x")
def _(folder):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    return save(folder, tiny(inputs=[x, x]))


@bad_model("function that calls itself", r"(?i:recurs|itself|nest|deep|call)", (3, 7), runs=True)
def _(folder):
    model = tiny([helper.make_node("Again", ["x"], ["y"], domain="local", name="call")], [])
    model.functions.append(helper.make_function("local", "Again", ["x"], ["y"], [helper.make_node("Again", ["x"], ["y"], domain="local")],
                                                [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]))
    model.opset_import.append(helper.make_opsetid("local", 1))
    return save(folder, model)


# ---- tensors -----------------------------------------------------------------------------------------------------------------------


def raw_tensor(dims, data_type, raw, name="w"):
    return TensorProto(dims=dims, data_type=data_type, raw_data=raw, name=name)


def with_tensor(folder, tensor):
    return save(folder, tiny(initializers=[tensor]))


@bad_model("negative dim", r"\bw\b.*-4|-4.*\bw\b|\bw\b.*negative")
def _(folder):
    return with_tensor(folder, raw_tensor([-4, 3], TensorProto.FLOAT, bytes(48)))


@bad_model("overflowing dims", r"\bw\b")
def _(folder):
    return with_tensor(folder, raw_tensor([1 << 33, 1 << 33], TensorProto.FLOAT, bytes(48)))


@bad_model("dims whose product wraps to the right count", r"\bw\b")
def _(folder):
    return with_tensor(folder, raw_tensor([1 << 62, 4, 12], TensorProto.FLOAT, bytes(48)))


@bad_model("huge dims without data", r"\bw\b")
def _(folder):
    return with_tensor(folder, raw_tensor([1 << 30, 3], TensorProto.FLOAT, b""))


@bad_model("raw_data too short", r"\bw\b.*4[48]|4[48].*\bw\b")
def _(folder):
    return with_tensor(folder, raw_tensor([4, 3], TensorProto.FLOAT, bytes(44)))


@bad_model("raw_data too long", r"\bw\b.*(52|48)|(52|48).*\bw\b")
def _(folder):
    return with_tensor(folder, raw_tensor([4, 3], TensorProto.FLOAT, bytes(52)))


@bad_model("float_data too short", r"\bw\b")
def _(folder):
    return with_tensor(folder, TensorProto(dims=[4, 3], data_type=TensorProto.FLOAT, float_data=[1.0] * 11, name="w"))


@bad_model("data in the wrong field", r"\bw\b")
def _(folder):
    return with_tensor(folder, TensorProto(dims=[4, 3], data_type=TensorProto.FLOAT, int64_data=[1] * 12, name="w"))


@bad_model("data type 0", r"\bw\b")
def _(folder):
    return with_tensor(folder, raw_tensor([4, 3], 0, bytes(48)))


@bad_model("data type 99", r"\bw\b.*99|99.*\bw\b|\bw\b.*type")
def _(folder):
    return with_tensor(folder, raw_tensor([4, 3], 99, bytes(48)))


@bad_model("string weight", r"\bw\b|multiply|no weight", runs=True)
def _(folder):
    return with_tensor(folder, TensorProto(dims=[4, 3], data_type=TensorProto.STRING, string_data=[b"a"] * 12, name="w"))


# ---- external data -----------------------------------------------------------------------------------------------------------------


def external(folder, location, offset=None, length=None, dims=(4, 3), data=bytes(48)):
    """A model in folder/inside whose weight lies at `location`; folder/outside.bin is a file that must not be read."""
    inside = folder / "inside"
    inside.mkdir()
    (folder / "outside.bin").write_bytes(bytes(4096))
    if data is not None:
        (inside / "weights.bin").write_bytes(data)
    tensor = TensorProto(dims=dims, data_type=TensorProto.FLOAT, name="w", data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return save(inside, tiny(initializers=[tensor]))


@bad_model("external data above the folder", r"\.\./outside\.bin")
def _(folder):
    return external(folder, "../outside.bin")


@bad_model("external data above the folder, in disguise", r"outside\.bin")
def _(folder):
    path = external(folder, "sub/../../outside.bin")
    (path.parent / "sub").mkdir()
    return path


@bad_model("external data with an absolute path", r"outside\.bin")
def _(folder):
    return external(folder, str(folder / "outside.bin"))


@bad_model("external data through a symbolic link out", r"link\.bin")
def _(folder):
    path = external(folder, "link.bin")
    (path.parent / "link.bin").symlink_to("../outside.bin")
    return path


@bad_model("external data through a linked folder", r"sub/outside\.bin|sub")
def _(folder):
    path = external(folder, "sub/outside.bin")
    (path.parent / "sub").symlink_to("..")
    return path


@bad_model("external data missing", r"absent\.bin", (3, 6))
def _(folder):
    return external(folder, "absent.bin")


@bad_model("external data: a folder", r"sub", (3, 6))
def _(folder):
    path = external(folder, "sub")
    (path.parent / "sub").mkdir()
    return path


@bad_model("external data: a fifo", r"pipe", (3, 6))
def _(folder):
    path = external(folder, "pipe")
    os.mkfifo(path.parent / "pipe")
    return path


@bad_model("external data: a device", r"/dev/zero|zero", (3, 6))
def _(folder):
    return external(folder, "/dev/zero")


@bad_model("external data: no location", r"(?i:location)")
def _(folder):
    return external(folder, None)


@bad_model("external data: empty location", r"(?i:location)|\bw\b")
def _(folder):
    return external(folder, "")


@bad_model("external offset past the end", r"weights\.bin|\bw\b")
def _(folder):
    return external(folder, "weights.bin", offset=4096, length=48)


@bad_model("external offset negative", r"(?i:offset)")
def _(folder):
    return external(folder, "weights.bin", offset=-16, length=48)


@bad_model("external offset overflowing", r"weights\.bin|\bw\b|(?i:offset)")
def _(folder):
    return external(folder, "weights.bin", offset=(1 << 64) - 16, length=48)


@bad_model("external offset not a number", r"(?i:offset)")
def _(folder):
    return external(folder, "weights.bin", offset="here", length=48)


for number in ("+0", " 0", "0 ", "-0", "0x0", "0.0", "0_0", "", "1" + "0" * 30):

    @bad_model(f"external offset '{number:.6}'", r"external data offset is '")
    def _(folder, number=number):
        return external(folder, "weights.bin", offset=number, length=48)

    @bad_model(f"external length '{number:.6}'", r"external data length is '")
    def _(folder, number=number):
        return external(folder, "weights.bin", offset=0, length=number.replace("0", "48"))


@bad_model("external length past the end", r"weights\.bin|\bw\b")
def _(folder):
    return external(folder, "weights.bin", offset=0, length=1 << 40)


@bad_model("external length of another shape", r"\bw\b")
def _(folder):
    return external(folder, "weights.bin", offset=0, length=44)


@bad_model("external file too short", r"weights\.bin|\bw\b")
def _(folder):
    return external(folder, "weights.bin", data=bytes(40))


# ---- operators with attributes and shapes that cannot be ------------------------------------------------------------------------------

FILTER = np.ones((2, 1, 3), np.float32)


def conv(folder, weight=FILTER, **attributes):
    """The same data x[N,4] serve: the shape [N,1,4] is made by a Reshape inside the model."""
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["h"]), helper.make_node("Reshape", ["h", "to"], ["r"]), helper.make_node("Conv", ["r", "w"], ["c"], name="suspect", **attributes),
             helper.make_node("Flatten", ["c"], ["y"])]
    to = np.array([-1, 1, 4], np.int64)
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    constants = {"w": weight, "to": to, "weight": np.random.default_rng(3).standard_normal((4, 4)).astype(np.float32)}
    return save(folder, tiny(nodes, [numpy_helper.from_array(v, n) for n, v in constants.items()], outputs=outputs))


for label, attributes in {
    "group 0": {"group": 0}, "group -1": {"group": -1}, "group that does not divide": {"group": 3}, "stride 0": {"strides": [0]},
    "stride -1": {"strides": [-1]}, "dilation 0": {"dilations": [0]}, "kernel_shape of another rank": {"kernel_shape": [3, 3]},
    "kernel_shape of another size": {"kernel_shape": [5]}, "pads of another rank": {"pads": [1, 1, 1]},
    "pads that eat the input": {"pads": [-3, -3]}, "huge pads": {"pads": [1 << 40, 1 << 40]}, "auto_pad unknown": {"auto_pad": "SIDEWAYS"},
    }.items():
    @bad_model(f"Conv: {label}", r"suspect|Conv", (3, 7), runs=True)
    def _(folder, attributes=attributes):
        return conv(folder, **attributes)


@bad_model("Conv: kernel longer than the input", r"suspect|Conv", runs=True)
def _(folder):
    return conv(folder, np.ones((2, 1, 9), np.float32))


@bad_model("Conv: weight of rank 1", r"suspect|Conv", runs=True)
def _(folder):
    return conv(folder, np.ones(3, np.float32))


@bad_model("Conv: weight of other channels", r"suspect|Conv", runs=True)
def _(folder):
    return conv(folder, np.ones((2, 5, 3), np.float32))


@bad_model("Conv: weight of zero size", r"suspect|Conv|\bw\b", (0, 3), runs=True)
def _(folder):
    return conv(folder, np.ones((0, 1, 3), np.float32))


I64 = np.int64
HUGE = 1 << 40
for label, op, constants, attributes in [
    ("MatMul: shapes that do not fit", "MatMul", [("w", np.ones((5, 3), np.float32))], {}),
    ("Gemm: shapes that do not fit", "Gemm", [("w", np.ones((5, 3), np.float32))], {}),
    ("Add: shapes that do not fit", "Add", [("b", np.ones((3,), np.float32))], {}),
    ("Reshape: two -1", "Reshape", [("to", np.array([-1, -1], I64))], {}),
    ("Reshape: another count", "Reshape", [("to", np.array([7, 13], I64))], {}),
    ("Reshape: below -1", "Reshape", [("to", np.array([-5, 4], I64))], {}),
    ("Reshape: overflowing", "Reshape", [("to", np.array([1 << 62, 1 << 62], I64))], {}),
    ("Transpose: perm twice", "Transpose", [], {"perm": [0, 0]}),
    ("Transpose: perm outside", "Transpose", [], {"perm": [0, 7]}),
    ("Transpose: perm too long", "Transpose", [], {"perm": [0, 1, 2]}),
    ("Concat: axis outside", "Concat", [("b", np.ones((1, 4), np.float32))], {"axis": 9}),
    ("Concat: no axis", "Concat", [("b", np.ones((1, 4), np.float32))], {}),
    ("Softmax: axis outside", "Softmax", [], {"axis": 12}),
    ("Gather: index outside", "Gather", [("i", np.array([0, 99], I64))], {"axis": 1}),
    ("Gather: negative index outside", "Gather", [("i", np.array([-5], I64))], {"axis": 1}),
    ("GatherElements: index outside", "GatherElements", [("i", np.array([[77]], I64))], {"axis": 1}),
    ("GatherND: index outside", "GatherND", [("i", np.array([[1 << 40]], I64))], {}),
    ("ScatterElements: index outside", "ScatterElements", [("i", np.array([[99]], I64)), ("u", np.ones((1, 1), np.float32))], {"axis": 1}),
    ("ScatterND: index outside", "ScatterND", [("i", np.array([[99]], I64)), ("u", np.ones((1, 4), np.float32))], {}),
    ("Slice: step 0", "Slice", [("a", np.array([0], I64)), ("b", np.array([9], I64)), ("c", np.array([1], I64)),
                               ("d", np.array([0], I64))], {}),
    ("Slice: axis outside", "Slice", [("a", np.array([0], I64)), ("b", np.array([9], I64)), ("c", np.array([5], I64))], {}),
    ("Expand: huge", "Expand", [("to", np.array([HUGE, 1, 4], I64))], {}),
    ("Tile: huge", "Tile", [("n", np.array([HUGE, HUGE], I64))], {}),
    ("Tile: negative", "Tile", [("n", np.array([-1, 2], I64))], {}),
    ("Pad: huge", "Pad", [("p", np.array([0, HUGE, 0, HUGE], I64))], {}),
    ("Pad: negative beyond the input", "Pad", [("p", np.array([0, -9, 0, 0], I64))], {}),
    ("Pad: reflect wider than the input", "Pad", [("p", np.array([0, 999999999999, 0, 0], I64))], {"mode": "reflect"}),
    ("TopK: k above the dim", "TopK", [("k", np.array([999], I64))], {}),
    ("TopK: k negative", "TopK", [("k", np.array([-1], I64))], {}),
    ("Split: sizes of another sum", "Split", [("s", np.array([1], I64))], {"axis": 1}),
    ("Unsqueeze: axis twice", "Unsqueeze", [("a", np.array([0, 0], I64))], {}),
    ("Squeeze: dim that is not 1", "Squeeze", [("a", np.array([1], I64))], {}),
    ("Cast: to nothing", "Cast", [], {"to": 77}),
    ("CumSum: axis outside", "CumSum", [("a", np.array(9, I64))], {}),
    ("DepthToSpace: rank 2", "DepthToSpace", [], {"blocksize": 2}),
    ("DepthToSpace: blocksize 0", "DepthToSpace", [], {"blocksize": 0}),
    ("Flatten: axis outside", "Flatten", [], {"axis": 5}),
    ("OneHot: huge depth", "OneHot", [("d", np.array(HUGE, I64)), ("v", np.array([0, 1], np.float32))], {}),
    ("BatchNormalization: other channels", "BatchNormalization", [(n, np.ones(9, np.float32)) for n in "abcd"], {}),
    ("LSTM: a rank-2 input", "LSTM", [("W", np.ones((1, 8, 4), np.float32)), ("R", np.ones((1, 8, 2), np.float32))], {"hidden_size": 2}),
    ("Resize: scales of another rank", "Resize", [("r", np.zeros(0, np.float32)), ("s", np.ones(5, np.float32))], {}),
    ("Resize: huge scale", "Resize", [("r", np.zeros(0, np.float32)), ("s", np.array([1, 1e12], np.float32))], {}),
    ("Resize: negative scale", "Resize", [("r", np.zeros(0, np.float32)), ("s", np.array([1, -2], np.float32))], {}),
    ("Resize: NaN scale", "Resize", [("r", np.zeros(0, np.float32)), ("s", np.array([1, np.nan], np.float32))], {}),
    ("Einsum: nonsense", "Einsum", [], {"equation": "ij,jk->->"}),
    ("Einsum: missing operand", "Einsum", [], {"equation": "ij,jk->ik"}),
    ("MaxPool: rank 2", "MaxPool", [], {"kernel_shape": [2, 2]}),
    ("ReduceSum: axis outside", "ReduceSum", [("a", np.array([7], I64))], {}),
]:
    @bad_model(label, r"suspect|" + op, (3, 7), runs=True)
    def _(folder, op=op, constants=constants, attributes=attributes):
        return save(folder, one_node(op, constants, **attributes))


@bad_model("ConstantOfShape: huge", r"suspect|ConstantOfShape", (3, 7), runs=True)
def _(folder):
    nodes = [helper.make_node("ConstantOfShape", ["to"], ["c"], name="suspect"), helper.make_node("Add", ["x", "c"], ["z"]),
             helper.make_node("MatMul", ["z", "w"], ["y"])]
    return save(folder, tiny(nodes, [numpy_helper.from_array(weights(), "w"), numpy_helper.from_array(np.array([HUGE, HUGE], I64), "to")]))


@bad_model("Range: huge", r"suspect|Range", (3, 7), runs=True)
def _(folder):
    nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"], name="suspect"), helper.make_node("ReduceSum", ["r"], ["s"]),
             helper.make_node("Add", ["x", "s"], ["z"]), helper.make_node("MatMul", ["z", "w"], ["y"])]
    constants = [numpy_helper.from_array(weights(), "w")] + [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("a", 0), ("b", 1e30), ("c", 1))]
    return save(folder, tiny(nodes, constants))


@bad_model("Range: step 0", r"suspect|Range", (3, 7), runs=True)
def _(folder):
    nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"], name="suspect"), helper.make_node("Add", ["x", "r"], ["z"]),
             helper.make_node("MatMul", ["z", "w"], ["y"])]
    constants = [numpy_helper.from_array(weights(), "w")] + [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("a", 0), ("b", 4), ("c", 0))]
    return save(folder, tiny(nodes, constants))


@bad_model("If: branch with another number of outputs", r"suspect|If", (3,), runs=True)
def _(folder):
    good = helper.make_graph([helper.make_node("Identity", ["x"], ["t"])], "then", [],
                             [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)])
    bad = helper.make_graph([], "else", [], [])
    nodes = [helper.make_node("If", ["c"], ["z"], name="suspect", then_branch=bad, else_branch=good),
             helper.make_node("MatMul", ["z", "w"], ["y"])]
    return save(folder, tiny(nodes, [numpy_helper.from_array(weights(), "w"), numpy_helper.from_array(np.array(True), "c")],
                             outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]))


# ---- what is said twice, or with numbers that nothing has ------------------------------------------------------------------------


def changed(change, **kwargs):
    model = tiny(**kwargs)
    change(model)
    return model


for label, version in {"0": 0, "-1": -1, "2^62": 1 << 62}.items():
    @bad_model(f"opset {label}", rf"model\.onnx.*version {version} .*ai\.onnx")
    def _(folder, version=version):
        return save(folder, changed(lambda m: setattr(m.opset_import[0], "version", version)))


for label, domain in {"": "", "by its other name": "ai.onnx"}.items():
    @bad_model(f"two opsets of one domain {label}", r"model\.onnx.*ai\.onnx.*twice.*17.*13")
    def _(folder, domain=domain):
        return save(folder, changed(lambda m: m.opset_import.append(helper.make_opsetid(domain, 13))))


@bad_model("an opset of a function is 0", r"model\.onnx.*version 0 ")
def _(folder):
    def change(model):
        body = [helper.make_node("Relu", ["a"], ["b"])]
        model.functions.append(helper.make_function("f", "Rect", ["a"], ["b"], body, [helper.make_opsetid("", 0)]))
    return save(folder, changed(change))


for version in (99, -3, 1 << 40):
    @bad_model(f"IR version {version}", rf"model\.onnx.*{version}")
    def _(folder, version=version):
        return save(folder, changed(lambda m: setattr(m, "ir_version", version)))


@bad_model("two graphs in one file", r"model\.onnx.*'graph'.*twice")
def _(folder):
    return save(folder, tiny().SerializeToString() + field(7, tiny().graph.SerializeToString()))


@bad_model("two models in one file", r"model\.onnx.*twice")
def _(folder):
    return save(folder, tiny().SerializeToString() * 2)


@bad_model("two names of one node", r"model\.onnx.*'name'.*twice")
def _(folder):
    first, second = (node.SerializeToString() for node in tiny().graph.node)
    graph = field(1, first + field(3, b"again")) + field(1, second)
    return save(folder, varint(1 << 3) + varint(8) + OPSET_17 + field(7, graph))


@bad_model("no outputs", r"model\.onnx.*(?i:no outputs)")
def _(folder):
    return save(folder, changed(lambda m: m.graph.ClearField("output")))


for label, extend in {
    "raw_data and float_data": lambda t: t.float_data.extend([1.0] * 12), "raw_data and int64_data": lambda t: t.int64_data.extend([1] * 12),
    "raw_data and external data": lambda t: (setattr(t, "data_location", TensorProto.EXTERNAL), t.external_data.add(key="location", value="w.bin")),
}.items():
    @bad_model(f"elements in two places: {label}", rf"model\.onnx.*'w'.*{'.*'.join(label.split(' and '))}")
    def _(folder, extend=extend):
        return save(folder, changed(lambda m: extend(m.graph.initializer[0])))


@bad_model("elements in two places in an attribute", r"model\.onnx.*'c'.*raw_data.*float_data")
def _(folder):
    value = numpy_helper.from_array(np.ones(3, np.float32), "c")
    value.float_data.extend([1.0] * 3)
    return save(folder, changed(lambda m: m.graph.node.append(helper.make_node("Constant", [], ["k"], value=value))))


@bad_model("a segment of a tensor", r"model\.onnx.*'w'.*segment")
def _(folder):
    return save(folder, changed(lambda m: (setattr(m.graph.initializer[0].segment, "begin", 0), setattr(m.graph.initializer[0].segment, "end", 6))))


for label, key in {"locations": "location", "offsets": "offset", "lengths": "length"}.items():
    @bad_model(f"two external {label}", rf"model\.onnx.*'w'.*two external {key}s")
    def _(folder, key=key):
        def change(model):
            tensor = model.graph.initializer[0]
            (folder / "w.bin").write_bytes(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for name, value in (("location", "w.bin"), ("offset", "0"), ("length", "48"), (key, "1")):
                tensor.external_data.add(key=name, value=value)
        return save(folder, changed(change))


for label, text in {"a lone byte": b"\xff", "cut": b"\xe2\x82", "overlong": b"\xc0\xaf", "a surrogate": b"\xed\xa0\x80", "beyond": b"\xf4\x90\x80\x80"}.items():
    @bad_model(f"a name that is not UTF-8: {label}", r"model\.onnx.*UTF-8")
    def _(folder, text=text):
        data = tiny().SerializeToString()
        name = b"rectify"
        return save(folder, data.replace(name, (text + b"aaaaaaa")[:len(name)]))


@bad_model("an initializer without a name", r"name of an initializer is empty")
def _(folder):
    return save(folder, changed(lambda m: m.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32)))))


@bad_model("an input without a name", r"name of an input is empty")
def _(folder):
    return save(folder, changed(lambda m: m.graph.input.append(helper.make_tensor_value_info("", TensorProto.FLOAT, [1]))))


def sparse(indices, shape=(4, 3)):
    indices = np.asarray(indices, np.int64)
    tensor = helper.make_sparse_tensor(numpy_helper.from_array(np.ones(len(indices), np.float32), "w"),
                                       numpy_helper.from_array(indices, "w_indices"), shape)
    return changed(lambda m: m.graph.sparse_initializer.append(tensor), initializers=[])


for label, indices in {"unsorted": [0, 7, 5], "repeated": [0, 5, 5], "outside": [0, 5, 12], "negative": [-1, 5], "rows unsorted": [[1, 0], [0, 1]],
                       "rows repeated": [[1, 0], [1, 0]], "rows outside": [[1, 0], [1, 3]]}.items():
    @bad_model(f"sparse indices: {label}", r"model\.onnx.*'w'.*index [0-2] ")
    def _(folder, indices=indices):
        return save(folder, sparse(indices))
