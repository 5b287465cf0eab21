# SPDX-License-Identifier: Apache-2.0
"""Small networks of the shapes that people export, with random weights and data. `MODELS` maps a name to a function that returns
(model, {input: samples}); axis 0 of the samples is the sample."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODELS = {}
F32, F16, I64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64


def network(function):
    MODELS[function.__name__] = function
    return function


class Builder:
    """Collects nodes and constants; every method returns the name of the value that it made."""

    def __init__(self, seed=0, prefix=""):
        self.random = np.random.default_rng(seed)
        self.prefix = prefix  # of names in a body, which must differ from those around it
        self.nodes, self.constants, self.count = [], [], 0

    def const(self, array, name=None):
        name = name or f"{self.prefix}const_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape, name=None, scale=None):
        fan = np.prod(shape[1:]) if len(shape) > 2 else shape[0]
        scale = scale or 1.5 / np.sqrt(fan)
        return self.const((self.random.standard_normal(shape) * scale).astype(np.float32), name)

    def __call__(self, op, *inputs, outputs=1, domain="", **attributes):
        self.count += 1
        names = [f"{self.prefix}{op.lower()}_{self.count}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"/{op}_{self.count}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def model(self, inputs, outputs, opset=17, ir=8, functions=(), domains=(), ranks=None):
        """inputs: name -> (type, shape); outputs: names, or name -> type; ranks: of the outputs where their shapes are beyond onnx."""
        values = [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()]
        types = outputs if isinstance(outputs, dict) else dict.fromkeys(outputs, F32)
        results = [helper.make_tensor_value_info(n, t, None) for n, t in types.items()]
        graph = helper.make_graph(self.nodes, "network", values, results, self.constants)
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=ir, functions=functions, producer_name="tests")
        inferred = onnx.shape_inference.infer_shapes(model)
        for value, known in zip(model.graph.output, inferred.graph.output):
            shape = known.type.tensor_type.shape
            for _ in range(0 if known.type.tensor_type.HasField("shape") else ranks):
                shape.dim.add()
            for index, dim in enumerate(shape.dim):
                if dim.WhichOneof("value") != "dim_value":
                    dim.dim_param = f"{value.name}_{index}"
            value.type.tensor_type.shape.CopyFrom(shape)
        return model

    # ---- layers

    def linear(self, x, rows, columns, bias=True):
        y = self("MatMul", x, self.weight(rows, columns))
        return self("Add", y, self.weight(columns, scale=0.1)) if bias else y

    def gemm(self, x, rows, columns):
        return self("Gemm", x, self.weight(columns, rows, scale=1 / np.sqrt(rows)), self.weight(columns, scale=0.1), transB=1)

    def norm(self, x, channels):
        return self("BatchNormalization", x, self.const(self.random.uniform(0.5, 1.5, channels).astype(np.float32)),
                    self.weight(channels, scale=0.2), self.weight(channels, scale=0.2),
                    self.const(self.random.uniform(0.5, 2, channels).astype(np.float32)))

    def conv(self, x, cin, cout, *kernel, bias=True, **attributes):
        group = attributes.get("group", 1)
        inputs = [x, self.weight(cout, cin // group, *kernel)]
        if bias:
            inputs.append(self.weight(cout, scale=0.1))
        return self("Conv", *inputs, **attributes)

    def layer_norm(self, x, width):
        return self("LayerNormalization", x, self.const(self.random.uniform(0.5, 1.5, width).astype(np.float32)),
                    self.weight(width, scale=0.1), axis=-1)

    def attention(self, x, width, heads):
        def split(value):
            value = self("Reshape", value, self.const(np.array([0, -1, heads, width // heads], np.int64)))
            return self("Transpose", value, perm=[0, 2, 1, 3])

        q, k, v = (split(self.linear(x, width, width)) for _ in range(3))
        scores = self("Div", self("MatMul", q, self("Transpose", k, perm=[0, 1, 3, 2])), self.const(np.float32(np.sqrt(width // heads))))
        mixed = self("Transpose", self("MatMul", self("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        return self.linear(self("Reshape", mixed, self.const(np.array([0, -1, width], np.int64))), width, width)

    def gelu(self, x):
        erf = self("Erf", self("Div", x, self.const(np.float32(np.sqrt(2)))))
        return self("Mul", self("Mul", x, self("Add", erf, self.const(np.float32(1)))), self.const(np.float32(0.5)))

    def block(self, x, width, heads):
        x = self("Add", x, self.attention(self.layer_norm(x, width), width, heads))
        hidden = self.gelu(self.linear(self.layer_norm(x, width), width, 4 * width))
        return self("Add", x, self.linear(hidden, 4 * width, width))


def samples(shape, n=24, seed=7):
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


# ---- convolutions -------------------------------------------------------------------------------------------------------------------


@network
def conv2d():
    b = Builder(1)
    x = b("Relu", b.norm(b.conv("x", 3, 16, 3, 3, pads=[1, 1, 1, 1], bias=False), 16))
    x = b("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = b("Relu", b.norm(b.conv(x, 16, 32, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2]), 32))
    y = b("Add", b.conv(y, 32, 32, 1, 1), y)
    y = b("Flatten", b("GlobalAveragePool", y))
    return b.model({"x": (F32, ["N", 3, 17, 19])}, [b("Softmax", b.gemm(y, 32, 10), axis=-1)]), {"x": samples((3, 17, 19))}


@network
def conv1d():
    b = Builder(2)
    x = b("LeakyRelu", b.conv("x", 6, 24, 5, pads=[2, 2], dilations=[1]), alpha=0.1)
    x = b("Elu", b.conv(x, 24, 24, 3, pads=[4, 0], dilations=[2]))
    x = b("AveragePool", x, kernel_shape=[3], strides=[2], pads=[1, 1], count_include_pad=1)
    return b.model({"x": (F32, ["N", 6, 40])}, [b.gemm(b("ReduceMean", x, axes=[2], keepdims=0), 24, 5)]), {"x": samples((6, 40))}


@network
def conv3d():
    b = Builder(3)
    x = b("Relu", b.conv("x", 2, 8, 3, 3, 3, pads=[1] * 6))
    x = b("GlobalMaxPool", b.conv(x, 8, 8, 1, 3, 3, strides=[1, 2, 2], group=2))
    return b.model({"x": (F32, ["N", 2, 5, 9, 9])}, [b.gemm(b("Flatten", x), 8, 4)]), {"x": samples((2, 5, 9, 9), 12)}


@network
def mobile():
    """Depthwise separable, hard activations, squeeze and excitation."""
    b = Builder(4)
    x = b("HardSwish", b.norm(b.conv("x", 3, 16, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1], bias=False), 16))
    x = b("Clip", b.conv(x, 16, 16, 3, 3, group=16, pads=[1, 1, 1, 1]), b.const(np.float32(0)), b.const(np.float32(6)))
    s = b("HardSigmoid", b.conv(b("Relu", b.conv(b("GlobalAveragePool", x), 16, 4, 1, 1)), 4, 16, 1, 1), alpha=1 / 6, beta=0.5)
    x = b.conv(b("Mul", x, s), 16, 24, 1, 1)
    x = b("ReduceMean", x, axes=[-1, -2], keepdims=0)
    return b.model({"x": (F32, ["N", 3, 32, 32])}, [b.linear(x, 24, 7)], opset=14), {"x": samples((3, 32, 32))}


@network
def unet():
    b = Builder(5)
    down = b("Relu", b.conv("x", 2, 8, 3, 3, pads=[1, 1, 1, 1]))
    deep = b("Relu", b.conv(down, 8, 16, 2, 2, strides=[2, 2]))
    up = b("ConvTranspose", deep, b.weight(16, 8, 2, 2), b.weight(8, scale=0.1), strides=[2, 2])
    near = b("Resize", deep, "", b.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    linear = b("Resize", deep, "", b.const(np.array([1, 1, 2, 2], np.float32)), mode="linear", coordinate_transformation_mode="half_pixel")
    x = b("Concat", up, down, near, linear, axis=1)
    return b.model({"x": (F32, ["N", 2, 12, 16])}, [b("Sigmoid", b.conv(x, 48, 1, 1, 1))]), {"x": samples((2, 12, 16), 10)}


@network
def channels_last():
    """As tf2onnx writes it: transposes around, weights behind Transpose, Reshape and Cast."""
    b = Builder(6)
    x = b("Transpose", "x", perm=[0, 3, 1, 2])
    kernel = b("Transpose", b.weight(3, 3, 3, 12, scale=0.3), perm=[3, 2, 0, 1])
    x = b("Relu", b("Conv", x, kernel, b.weight(12, scale=0.1), auto_pad="SAME_UPPER"))
    x = b("Transpose", b("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), perm=[0, 2, 3, 1])
    flat = b("Reshape", x, b.const(np.array([-1, 7 * 7 * 12], np.int64)))
    half = b("Cast", b.const((b.random.standard_normal((7 * 7 * 12, 9)) * 0.05).astype(np.float16)), to=F32)
    return b.model({"x": (F32, ["N", 14, 14, 3])}, [b("LogSoftmax", b("MatMul", flat, half), axis=-1)], opset=13), {"x": samples((14, 14, 3))}


@network
def opset_7():
    """As the first exporters wrote it: initializers are inputs, padding, limits and ratios are attributes."""
    b = Builder(7)
    x = b("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant", value=0.0)
    x = b("Conv", x, b.weight(8, 3, 3, 3, name="w1"))
    x = b("Add", x, b.weight(8, 1, 1, name="b1", scale=0.1))
    x = b("Dropout", b("Clip", x, min=0.0, max=6.0), ratio=0.5)
    x = b("Reshape", b("GlobalMaxPool", x), b.const(np.array([-1, 8], np.int64), name="shape"))
    x = b("Gemm", x, b.weight(8, 5, name="w2"), b.weight(5, name="b2"))
    model = b.model({"x": (F32, [1, 3, 10, 10])}, [b("Softmax", x)], opset=7, ir=3, ranks=2)
    for t in b.constants:
        model.graph.input.append(helper.make_tensor_value_info(t.name, t.data_type, t.dims))
    return model, {"x": samples((3, 10, 10))}


@network
def far_from_zero():
    """Inputs that move a little around a large mean, as temperatures in kelvin do: their covariance is what rounding leaves of large products."""
    b = Builder(38)
    x = b("Relu", b.linear("x", 12, 24))
    return b.model({"x": (F32, ["N", 12])}, [b.linear(x, 24, 6)], ranks=2), {"x": samples((12,), 40) * np.float32(0.01) + np.float32(100)}


# ---- sequences ----------------------------------------------------------------------------------------------------------------------


@network
def lstm():
    b = Builder(8)
    x = b("Transpose", "x", perm=[1, 0, 2])
    hidden = 12
    y, h, c = b("LSTM", x, b.weight(2, 4 * hidden, 6, scale=0.4), b.weight(2, 4 * hidden, hidden, scale=0.3),
                b.weight(2, 8 * hidden, scale=0.1), outputs=3, direction="bidirectional", hidden_size=hidden)
    last = b("Reshape", b("Transpose", h, perm=[1, 0, 2]), b.const(np.array([-1, 2 * hidden], np.int64)))
    flat = b("ReduceMax", b("Squeeze", b("Slice", y, b.const(np.array([0], np.int64)), b.const(np.array([1], np.int64)),
                                       b.const(np.array([1], np.int64))), b.const(np.array([1], np.int64))), axes=[0], keepdims=0)
    return b.model({"x": (F32, ["N", 15, 6])}, [b.gemm(b("Concat", last, flat, axis=1), 3 * hidden, 4)]), {"x": samples((15, 6))}


@network
def gru():
    b = Builder(9)
    x = b("Transpose", "x", perm=[1, 0, 2])
    hidden = 10
    y, h = b("GRU", x, b.weight(1, 3 * hidden, 5, scale=0.4), b.weight(1, 3 * hidden, hidden, scale=0.3), b.weight(1, 6 * hidden, scale=0.1),
             outputs=2, hidden_size=hidden, linear_before_reset=1)
    return b.model({"x": (F32, ["N", 11, 5])}, [b.linear(b("Squeeze", h, b.const(np.array([0], np.int64))), hidden, 3)]), {"x": samples((11, 5))}


@network
def rnn():
    b = Builder(10)
    x = b("Transpose", "x", perm=[1, 0, 2])
    y, h = b("RNN", x, b.weight(1, 8, 5, scale=0.4), b.weight(1, 8, 8, scale=0.3), outputs=2, hidden_size=8, direction="reverse")
    return b.model({"x": (F32, ["N", 9, 5])}, [b.linear(b("Squeeze", h, b.const(np.array([0], np.int64))), 8, 3)]), {"x": samples((9, 5))}


@network
def stateful():
    """State goes in and comes out, as streaming speech models have it."""
    b = Builder(11)
    hidden = 8
    x = b("Unsqueeze", "x", b.const(np.array([0], np.int64)))
    state = b("Transpose", "state", perm=[1, 0, 2])
    y, h = b("GRU", x, b.weight(1, 3 * hidden, 6, scale=0.4), b.weight(1, 3 * hidden, hidden, scale=0.3), "", "", state, outputs=2, hidden_size=hidden)
    answer = b("Sigmoid", b.linear(b("Squeeze", h, b.const(np.array([0], np.int64))), hidden, 1))
    return (b.model({"x": (F32, ["N", 6]), "state": (F32, ["N", 1, hidden])}, [answer, b("Transpose", h, perm=[1, 0, 2])]),
            {"x": samples((6,)), "state": samples((1, hidden), seed=8)})


@network
def spectrum():
    """A speech front end in the network, the signal without an axis of components, as PyTorch writes it."""
    b = Builder(37)
    s = b("STFT", "x", b.const(np.array(16, np.int64)), b.const(np.hanning(64).astype(np.float32)), b.const(np.array(64, np.int64)))
    power = b("ReduceSum", b("Mul", s, s), b.const(np.array([3], np.int64)), keepdims=0)
    power = b("Reshape", power, b.const(np.array([-1, 22, 33], np.int64)))  # onnx's inference has other shapes
    mel = b("Log", b("Add", b("MatMul", power, b.const(b.random.uniform(0, 1, (33, 12)).astype(np.float32))), b.const(np.float32(1e-3))))
    x = b("Relu", b.conv(b("Transpose", mel, perm=[0, 2, 1]), 12, 16, 3))
    return b.model({"x": (F32, ["N", 400])}, [b.gemm(b("ReduceMax", x, axes=[2], keepdims=0), 16, 5)], ranks=2), {"x": samples((400,))}


# ---- transformers -------------------------------------------------------------------------------------------------------------------


@network
def bert():
    """Token and position embeddings, two blocks, a mask, tied classifier."""
    b = Builder(12)
    words = b.weight(50, 16, scale=0.5)
    x = b("Add", b("Gather", words, "ids", axis=0), b.weight(1, 9, 16, scale=0.1))
    mask = b("Unsqueeze", b("Cast", "mask", to=F32), b.const(np.array([2], np.int64)))
    x = b("Mul", x, mask)
    for _ in range(2):
        x = b.block(x, 16, 4)
    first = b("Gather", x, b.const(np.array(0, np.int64)), axis=1)
    random = np.random.default_rng(13)
    return (b.model({"ids": (I64, ["N", 9]), "mask": (I64, ["N", 9])}, [b("Tanh", b.linear(first, 16, 6))]),
            {"ids": random.integers(0, 50, (24, 9)), "mask": random.integers(0, 2, (24, 9))})


@network
def vit():
    b = Builder(14)
    x = b.conv("x", 3, 24, 4, 4, strides=[4, 4])
    x = b("Transpose", b("Reshape", x, b.const(np.array([0, 24, -1], np.int64))), perm=[0, 2, 1])
    shape = b("Shape", x)
    n = b("Gather", shape, b.const(np.array([0], np.int64)))
    token = b("Expand", b.weight(1, 1, 24, scale=0.1), b("Concat", n, b.const(np.array([1, 24], np.int64)), axis=0))
    x = b("Add", b("Concat", token, x, axis=1), b.weight(1, 17, 24, scale=0.1))
    x = b.layer_norm(b.block(x, 24, 3), 24)
    return b.model({"x": (F32, ["N", 3, 16, 16])}, [b.gemm(b("Gather", x, b.const(np.array(0, np.int64)), axis=1), 24, 5)]), {"x": samples((3, 16, 16))}


@network
def einsum():
    """Constants whose axes are rows, columns and groups in several orders; one that is no product stays dense."""
    b = Builder(15)
    q = b("Einsum", "x", b.weight(8, 2, 6, scale=0.4), equation="bsd,dhk->bhsk")
    k = b("Einsum", b.weight(2, 8, 6, scale=0.4), "x", equation="hdk,bsd->bhsk")
    p = b("Softmax", b("Einsum", q, k, equation="bhsk,bhtk->bhst"), axis=-1)
    v = b("Einsum", k, b.weight(2, 6, 4, scale=0.4), equation="b h s k, h k e -> b h s e")
    y = b("Einsum", b("Einsum", p, v, equation="bhst,bhte->bhse"), b.weight(2, 4, 7, scale=0.4), equation="bhse,hen->bsn")
    y = b("Add", b("Einsum", y, b.weight(7, 7, scale=0.4), equation="...n,nm->...m"), b.weight(7, scale=0.1))
    y = b("Einsum", y, b.weight(5, 7, scale=0.4), equation="bsm,sm->bsm")
    return b.model({"x": (F32, ["N", 5, 8])}, [b("Einsum", y, b.weight(7, 3, scale=0.4), equation="bsm,mo")]), {"x": samples((5, 8))}


# ---- types --------------------------------------------------------------------------------------------------------------------------


@network
def float16():
    b = Builder(16)
    x = b("Cast", "x", to=F16)
    w = b.const((b.random.standard_normal((20, 12)) * 0.3).astype(np.float16))
    x = b("Relu", b("Add", b("MatMul", x, w), b.const((b.random.standard_normal(12) * 0.1).astype(np.float16))))
    x = b("Gemm", x, b.const((b.random.standard_normal((12, 4)) * 0.3).astype(np.float16)))  # without a bias
    return b.model({"x": (F32, ["N", 20])}, [b("Cast", x, to=F32)]), {"x": samples((20,))}


@network
def float16_transformer():
    """A network whose every number is float16: rounded where ONNX Runtime rounds, which computes with float32."""
    model, data = vit()
    for constant in model.graph.initializer:
        if constant.data_type == F32:
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), constant.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = F16
    return model, {name: array.astype(np.float16) for name, array in data.items()}


@network
def float16_decoder():
    """Where runtimes keep float32 between operators: norms whose numbers come through Identity, halves that are negated and joined, a Cast to
    the type that is already there. A number that is rounded at another place makes whole outputs differ."""
    b = Builder(36)

    def half(*shape, scale=None):
        name = b.weight(*shape, scale=scale)
        b.constants[-1].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(b.constants[-1]).astype(np.float16), name))
        return name

    width = 32
    gain, bias, halves = half(width, scale=1), half(width, scale=0.1), b.const(np.array([16, 16], np.int64))
    x = b("MatMul", "x", half(width, width, scale=0.3))
    for _ in range(2):
        low, high = b("Split", x, halves, outputs=2, axis=2)
        x = b("Add", b("Mul", x, half(width, scale=0.5)), b("Mul", b("Concat", b("Neg", high), low, axis=2), half(width, scale=0.5)))
        y = b("LayerNormalization", x, b("Identity", gain), b("Identity", bias), axis=-1)
        y = b("Cast", b("MatMul", y, half(width, 4 * width)), to=F16)
        y = b("Transpose", b("Cast", b("Tanh", y), to=F16), perm=[0, 2, 1])
        y = b("MatMul", b("Identity", b("Transpose", b("Identity", b("Mul", y, half(1, scale=1))), perm=[0, 2, 1])), half(4 * width, width))
        x = b("Add", x, y)
    return b.model({"x": (F16, ["N", 6, width])}, {x: F16}), {"x": samples((6, width), 8).astype(np.float16)}


@network
def qdq():
    """Quantized by QuantizeLinear and DequantizeLinear: weights int8 per channel, activations uint8 per tensor."""
    b = Builder(17)

    def activation(x, scale):
        args = [b.const(np.float32(scale)), b.const(np.uint8(120))]
        return b("DequantizeLinear", b("QuantizeLinear", x, *args), *args)

    def quantized(*shape):
        rows = shape[0]
        return b("DequantizeLinear", b.const(b.random.integers(-127, 128, shape).astype(np.int8)),
                 b.const(b.random.uniform(0.002, 0.004, rows).astype(np.float32)), b.const(np.zeros(rows, np.int8)), axis=0)

    x = activation("x", 0.04)
    x = activation(b("Relu", b("Conv", x, quantized(8, 3, 3, 3), b.weight(8, scale=0.1))), 0.03)
    x = activation(b("Flatten", b("GlobalAveragePool", x)), 0.02)
    return b.model({"x": (F32, ["N", 3, 12, 12])}, [b("Gemm", x, quantized(6, 8), b.weight(6, scale=0.1), transB=1)]), {"x": samples((3, 12, 12))}


@network
def quantized_resize():
    """Interpolated numbers often lie halfway between two steps of the scale that they are quantized with next."""
    b = Builder(35)
    scale, zero = b.const(np.float32(0.037)), b.const(np.uint8(128))

    def quantized(x):
        return b("DequantizeLinear", b("QuantizeLinear", x, scale, zero), scale, zero)

    x = b("Resize", quantized("x"), "", b.const(np.array([1, 1, 2, 2], np.float32)), mode="linear", coordinate_transformation_mode="half_pixel")
    return b.model({"x": (F32, ["N", 3, 7, 6])}, [b.conv(quantized(x), 3, 4, 3, 3, pads=[1, 1, 1, 1])]), {"x": samples((3, 7, 6))}


@network
def quantized_in_graph():
    """As networks are exported that were trained to be quantized: weights are floats that the graph quantizes and dequantizes."""
    b = Builder(32)

    def fake(w, axis, domain=""):
        count = {b.constants[-1].name: b.constants[-1].dims[axis]}[w]
        scale, zero = b.const(np.linspace(0.02, 0.03, count).astype(np.float32)), b.const(np.zeros(count, np.int8))
        q = b("QuantizeLinear", w, scale, zero, axis=axis, domain=domain)
        return b("DequantizeLinear", q, scale, zero, axis=axis, domain=domain)

    x = b("Relu", b("Conv", "x", fake(b.weight(8, 3, 3, 3), 0), b.weight(8, scale=0.1)))
    x = b("Flatten", b("GlobalAveragePool", x), axis=1)
    return b.model({"x": (F32, ["N", 3, 9, 9])}, [b("MatMul", x, fake(b.weight(8, 6), 1, "com.microsoft"))], domains=["com.microsoft"], ranks=2), {
        "x": samples((3, 9, 9))}


@network
def fused_products():
    """What ONNX Runtime's graph optimizer writes for products and what follows them."""
    b = Builder(33)
    x = b("Attention", "x", b.weight(12, 36), b.weight(36, scale=0.1), num_heads=3, domain="com.microsoft")
    x = b("FusedMatMul", x, b.weight(10, 12), alpha=0.7, transB=1, domain="com.microsoft")
    x = b("Reshape", x, b.const(np.array([-1, 50], np.int64)))
    x = b("FusedGemm", x, b.weight(50, 8), b.weight(8, scale=0.1), domain="com.microsoft", activation="Relu")
    for name, parameters in (("LeakyRelu", {"alpha": 0.2}), ("Tanh", {}), ("Sigmoid", {}), ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
                             ("Elu", {"alpha": 0.8}), ("Selu", {"alpha": 1.5, "gamma": 1.1}), ("Softsign", {}), ("Softplus", {})):
        parameters = {f"activation_{key}": value for key, value in parameters.items()}
        x = b("FusedGemm", x, b.weight(8, 8), b.weight(8, scale=0.1), domain="com.microsoft", activation=name, alpha=0.9, beta=0.5, transB=1,
              **parameters)
    return b.model({"x": (F32, ["N", 5, 12])}, [x], domains=["com.microsoft"], ranks=2), {"x": samples((5, 12))}


@network
def dynamic_quantized():
    b = Builder(18)
    q, scale, zero = b("DynamicQuantizeLinear", "x", outputs=3)
    w = b.const(b.random.integers(-127, 128, (10, 7)).astype(np.int8))
    product = b("Cast", b("MatMulInteger", q, w, zero), to=F32)
    y = b("Mul", product, b("Mul", scale, b.const(np.float32(0.01))))
    return b.model({"x": (F32, ["N", 10])}, [y]), {"x": samples((10,))}


@network
def quantized_lstm():
    """As ONNX Runtime quantizes an LSTM: eight-bit weights, one scale a direction or one a column, data quantized as they come."""
    b, hidden = Builder(34), 5

    def codes(*shape):
        return b.const(b.random.integers(0, 256, shape).astype(np.uint8))

    x = b("Transpose", "x", perm=[1, 0, 2])
    w = [codes(2, 6, 4 * hidden), b.const(np.array([0.004, 0.003], np.float32)), b.const(np.array([127, 130], np.uint8))]
    r = [codes(2, hidden, 4 * hidden), b.const(b.random.uniform(0.002, 0.005, (2, 4 * hidden)).astype(np.float32)),
         b.const(np.full((2, 4 * hidden), 128, np.uint8))]
    y, h, c = b("DynamicQuantizeLSTM", x, w[0], r[0], b.weight(2, 8 * hidden, scale=0.1), "", "", "", "", *w[1:], *r[1:], outputs=3,
                domain="com.microsoft", direction="bidirectional", hidden_size=hidden)
    last = b("Unsqueeze", b("Mul", h, c), b.const(np.array([0], np.int64)))
    flat = b("Reshape", b("Concat", y, last, axis=0), b.const(np.array([1, -1], np.int64)))
    return b.model({"x": (F32, [1, 7, 6])}, [b.linear(flat, 80, 4)], domains=["com.microsoft"], ranks=2), {"x": samples((7, 6))}


# ---- control flow and structure ------------------------------------------------------------------------------------------------------


def subgraph(b, name, outputs, inputs=()):
    return helper.make_graph(b.nodes, name, list(inputs), [helper.make_tensor_value_info(o, t, s) for o, t, s in outputs], b.constants)


@network
def branches():
    """If with a weight in each branch; the condition depends on the data, so samples run one by one."""
    b, yes, no = Builder(19), Builder(20, "yes_"), Builder(21, "no_")
    yes_out = yes("Relu", yes("MatMul", "x", yes.weight(8, 5, name="w_yes")))
    no_out = no("Tanh", no("MatMul", "x", no.weight(8, 5, name="w_no")))
    condition = b("Greater", b("ReduceSum", "x", keepdims=0), b.const(np.float32(0)))
    y = b("If", condition, then_branch=subgraph(yes, "yes", [(yes_out, F32, [1, 5])]), else_branch=subgraph(no, "no", [(no_out, F32, [1, 5])]))
    return b.model({"x": (F32, [1, 8])}, [y]), {"x": samples((8,))}


@network
def loop():
    """A Loop that applies one weight three times and collects what it sees."""
    b, body = Builder(22), Builder(23, "body_")
    h = body("Tanh", body("MatMul", "h_in", body.weight(6, 6, name="w_loop")))
    inputs = [helper.make_tensor_value_info("i", I64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
              helper.make_tensor_value_info("h_in", F32, [1, 6])]
    go = body("Identity", "go")
    copy = body("Identity", h)
    graph = subgraph(body, "body", [(go, TensorProto.BOOL, []), (h, F32, [1, 6]), (copy, F32, [1, 6])], inputs)
    final, scanned = b("Loop", b.const(np.array(3, np.int64)), b.const(np.array(True)), "x", outputs=2, body=graph)
    return b.model({"x": (F32, [1, 6])}, [final, b("ReduceMax", scanned, axes=[0], keepdims=0)], ranks=2), {"x": samples((6,))}


@network
def scan():
    b, body = Builder(24), Builder(25, "body_")
    h = body("Sigmoid", body("Add", body("MatMul", "h_in", body.weight(4, 4)), body("MatMul", "x_in", body.weight(3, 4))))
    copy = body("Identity", h)
    inputs = [helper.make_tensor_value_info("h_in", F32, [1, 4]), helper.make_tensor_value_info("x_in", F32, [1, 3])]
    start = b("ConstantOfShape", b.const(np.array([1, 4], np.int64)), value=numpy_helper.from_array(np.array([0.5], np.float32)))
    x = b("Transpose", "x", perm=[1, 0, 2])
    final, seen = b("Scan", start, x, outputs=2, num_scan_inputs=1, body=subgraph(body, "body", [(h, F32, [1, 4]), (copy, F32, [1, 4])], inputs))
    return b.model({"x": (F32, [1, 7, 3])}, [final, b("Transpose", seen, perm=[1, 0, 2])], ranks=3), {"x": samples((7, 3))}


@network
def function():
    """A model-local function, called twice."""
    b = Builder(26)
    body = [helper.make_node("MatMul", ["a", "w"], ["p"]), helper.make_node("Relu", ["p"], ["r"]), helper.make_node("Add", ["r", "a"], ["o"])]
    residual = helper.make_function("local", "Residual", ["a", "w"], ["o"], body, [helper.make_opsetid("", 17)])
    x = b("Residual", "x", b.weight(8, 8), domain="local")
    x = b("Residual", x, b.weight(8, 8), domain="local")
    return b.model({"x": (F32, ["N", 8])}, [b.linear(x, 8, 3)], functions=[residual], domains=["local"]), {"x": samples((8,))}


@network
def constant_nodes():
    """As PyTorch writes constants: nodes, not initializers; one weight is used twice, one through Identity, one on the left."""
    b = Builder(27)
    w = (b.random.standard_normal((8, 8)) * 0.3).astype(np.float32)
    shared = b("Constant", value=numpy_helper.from_array(w))
    x = b("Relu", b("MatMul", "x", shared))
    x = b("MatMul", x, b("Identity", shared))
    left = b("MatMul", b.weight(5, 8), b("Unsqueeze", x, b.const(np.array([2], np.int64))))
    return b.model({"x": (F32, ["N", 8])}, [b("Squeeze", left, b.const(np.array([2], np.int64)))]), {"x": samples((8,))}


@network
def split_weight():
    """One tensor that is split into the weights of three products, and one that is a Concat of two."""
    b = Builder(28)
    parts = b("Split", b.weight(8, 18), b.const(np.array([6, 6, 6], np.int64)), outputs=3, axis=1)
    q, k, v = (b("MatMul", "x", part) for part in parts)
    x = b("Add", b("Mul", q, b("Sigmoid", k)), v)
    joined = b("Concat", b.weight(6, 2), b.weight(6, 3), axis=1)
    return b.model({"x": (F32, ["N", 8])}, [b("MatMul", x, joined)]), {"x": samples((8,))}


@network
def fused_qkv():
    """Attention whose projections are one tensor: [3d, d] cut by Slice and transposed, two parts of each head, [d, 3d] split behind a Cast."""
    b = Builder(31)
    width, heads = 12, 3

    def numbers(*values):
        return b.const(np.array(values, np.int64))

    fused = b.weight(3 * width, width)
    parts = [b("Transpose", b("Slice", fused, numbers(i * width), numbers(i * width + width), numbers(0)), perm=[1, 0]) for i in range(3)]
    q, k, v = (b("MatMul", "x", part) for part in parts)
    x = b("Reshape", b("MatMul", b("Softmax", b("MatMul", q, b("Transpose", k, perm=[0, 2, 1]))), v), numbers(-1, width))
    mixed = b("Reshape", b.weight(heads * 2 * 4, width), numbers(heads, 2, 4, width))
    halves = [b("Reshape", part, numbers(12, width)) for part in b("Split", mixed, numbers(1, 1), outputs=2, axis=1)]
    x = b("Add", *(b("Gemm", x, half, b.weight(width, scale=0.1), transB=1) for half in halves))
    wide = b("Split", b("Cast", b.const(np.asarray(b.random.standard_normal((width, 8)) * 0.3, np.float64)), to=TensorProto.FLOAT),
             numbers(3, 5), outputs=2, axis=1)
    x = b("Concat", b("MatMul", x, wide[0]), b("MatMul", x, wide[1]), axis=1)
    return b.model({"x": (F32, ["N", 5, width])}, [b("Reshape", x, numbers(-1, 5, 8))]), {"x": samples((5, width))}


@network
def batched_products():
    """Weights of rank 3 for all heads at once, activations of rank 4."""
    b = Builder(29)
    x = b("MatMul", b("Unsqueeze", "x", b.const(np.array([1], np.int64))), b.weight(3, 8, 4, scale=0.4))
    x = b("Transpose", x, perm=[0, 2, 1, 3])
    x = b("Reshape", x, b.const(np.array([0, 0, 12], np.int64)))
    return b.model({"x": (F32, ["N", 5, 8])}, [b.linear(x, 12, 4)]), {"x": samples((5, 8))}


def all_checked():
    """Every network, checked by onnx itself."""
    for name, make in MODELS.items():
        model, data = make()
        onnx.checker.check_model(model)
        yield name, model, data
