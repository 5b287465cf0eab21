#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Channels that nothing reads leave the shapes, and nothing else changes: random networks of coupled operators in which the columns of random
channels are zero, before and after 'compact' in ONNX Runtime. What should go is worked out here, from how the network was made.

    run_compact.py [NUMBER OF NETWORKS]
"""
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

onnxruntime.set_default_logger_severity(3)
TALLY = harness.Tally("compact")
F32 = TensorProto.FLOAT
SIZE = 8  # of the pictures


class Made:
    """A chain of layers. `groups`: for each hidden group its channels and which of them all its readers ignore."""

    JOINED = True  # with values that are joined and parted, and recurrent layers

    def __init__(self, seed):
        self.rng, self.sharing = np.random.default_rng(seed), np.random.default_rng([seed, 1])
        self.nodes, self.constants, self.info, self.groups, self.made, self.shapes = [], [], [], [], 0, False
        self.computed = False  # a shape is put together as the network runs: nothing declares what is behind it
        self.shared = {}  # by shape: constants of channels
        self.folds = {}  # by number of a group: rows of each channel, when several

    def name(self, word):
        self.made += 1
        return f"{word}{self.made}"

    def const(self, values, dtype=np.float32):
        """An initializer, or a Constant node."""
        values, name = np.asarray(values, dtype), self.name("c")
        if self.rng.random() < 0.2:
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values, name)))
        else:
            self.constants.append(numpy_helper.from_array(values, name))
        return name

    def beside(self, *shape):
        """Numbers of channels that operators of the same width may share, as exporters and optimizers leave them."""
        name = self.const(self.values(*shape))
        others = self.shared.setdefault(shape, [])
        if others and self.sharing.random() < 0.4:
            return others[self.sharing.integers(len(others))]
        others.append(name)
        return name

    def node(self, op, inputs, **attributes):
        out = self.name("v")
        self.nodes.append(helper.make_node(op, inputs, [out], name=self.name("n"), **attributes))
        return out

    def values(self, *shape):
        return self.rng.standard_normal(shape) * 0.5

    def group(self, channels):
        """Channels that readers will ignore, and those that they read."""
        dead = self.rng.random(channels) < self.rng.choice([0, 0.3, 0.6, 1], p=[0.2, 0.4, 0.3, 0.1])
        self.groups.append(dead)
        return dead

    # ---- pieces

    def conv(self, x, n_in, n_out, dead=None, kernel=3):
        w = self.values(n_out, n_in, kernel, kernel)
        if dead is not None:
            w[:, dead] = 0
        bias = [self.beside(n_out)] if self.rng.random() < 0.6 else []
        return self.node("Conv", [x, self.const(w), *bias], pads=[kernel // 2] * 4, kernel_shape=[kernel] * 2)

    def between(self, x, channels):
        """Operators that keep channels apart, a few of them."""
        for _ in range(self.rng.integers(0, 4)):
            kind = self.rng.integers(0, 11)
            if kind == 0:
                x = self.node("Relu", [x])
            elif kind == 1:
                x = self.node("BatchNormalization", [x, *(self.const(abs(self.values(channels)) + 0.1) for _ in range(4))])
            elif kind == 2:
                w = self.const(self.values(channels, 1, 3, 3))
                bias = [self.beside(channels)] if self.rng.random() < 0.5 else []
                x = self.node("Conv", [x, w, *bias], pads=[1] * 4, group=channels)
            elif kind == 3:
                x = self.node("PRelu", [x, self.beside(channels, 1, 1)])
            elif kind == 4:
                x = self.node("Clip", [x, self.const(-1.0), self.const(1.0)])
            elif kind == 5:
                x = self.node("MaxPool", [x], kernel_shape=[3, 3], pads=[1] * 4)
            elif kind == 6:
                x = self.node(self.rng.choice(["Mul", "Add"]), [x, self.beside(*(int(n) for n in self.rng.choice([1, channels], 1)), 1, 1)])
            elif kind == 7:
                x = self.node("Mul", [x, self.node("Sigmoid", [x])])
            elif kind == 8:
                x = self.node("Add", [self.beside(1, channels, 1, 1), x])
            elif kind == 9:
                x = self.node("InstanceNormalization", [x, self.beside(channels), self.beside(channels)])
            else:
                x = self.node("Mul", [x, self.node("Sigmoid", [self.node("GlobalAveragePool", [x])])])
        return x

    def block(self, x, n_in, dead_in):
        """A hidden group, or a residual stream that two convolutions write."""
        channels = int(self.rng.choice([5, 16, 24, 33, 40]))
        y = self.between(self.conv(x, n_in, channels, dead_in, self.rng.choice([1, 3])), channels)
        if self.rng.random() < 0.35:  # y + conv(hidden(y)): the stream is ignored by both of its readers
            dead, hidden = self.group(channels), int(self.rng.choice([8, 24, 32]))
            inner = self.between(self.conv(y, channels, hidden, dead), hidden)
            y = self.node("Add", [y, self.conv(inner, hidden, channels, self.group(hidden))])
            return self.between(y, channels), channels, dead
        return y, channels, self.group(channels)

    def spread(self, x, n_in, dead_in):
        """To twice the size and back: a transposed convolution, or a Resize between two others."""
        channels = int(self.rng.choice([16, 24, 40]))
        dead = self.group(channels)
        if self.rng.random() < 0.5:
            w = self.values(n_in, channels, 2, 2)
            w[dead_in] = 0
            bias = [self.const(self.values(channels))] if self.rng.random() < 0.5 else []
            y = self.node("ConvTranspose", [x, self.const(w), *bias], strides=[2, 2], kernel_shape=[2, 2])
        else:
            y = self.conv(x, n_in, channels, dead_in)
            y = self.node("Resize", [self.node("Relu", [y]), "", self.const([1, 1, 2, 2])], mode="nearest")
        w = self.values(8, channels, 2, 2)
        w[:, dead] = 0
        back = self.node("Conv", [self.node("Relu", [y]), self.const(w)], strides=[2, 2], kernel_shape=[2, 2])
        self.groups.append(np.zeros(8, bool))
        return back, 8, self.groups[-1]

    def parts(self, x, channels, dead):
        """The value in two pieces, by a Split of it or two Slices, with their shares of `dead`."""
        at = int(self.rng.integers(2, channels - 1))
        form = self.rng.random()
        if form < 0.5:
            names = [self.name("v"), self.name("v")]
            even = channels % 2 == 0 and form < 0.25  # then nothing says how long the parts are
            at = channels // 2 if even else at
            lengths = [] if even else [self.const([at, channels - at], np.int64)]
            self.nodes.append(helper.make_node("Split", [x, *lengths], names, axis=int(self.rng.choice([1, -3]))))
        else:
            ends = [at, int(self.rng.choice([channels, 2**31 - 1]))]
            starts = [self.rng.choice([0, -channels]), self.rng.choice([at, at - channels])]
            names = [self.node("Slice", [x, *(self.const([v], np.int64) for v in (starts[i], ends[i], 1, 1))]) for i in range(2)]
        return [(names[0], dead[:at]), (names[1], dead[at:])]

    def many(self, x, n_in, dead_in):
        """Values side by side: of two layers, of the input and a layer, or pieces of one layer that change places. A layer reads them all."""
        form = self.rng.integers(0, 3)
        sizes = [int(self.rng.choice([8, 24, 33])) for _ in range(2)]
        if form == 0:
            pieces = [(self.between(self.conv(x, n_in, size, dead_in), size), self.group(size)) for size in sizes]
        elif form == 1:
            pieces = [("x", np.zeros(3, bool)),
                      (self.between(self.conv(x, n_in, sizes[0], dead_in), sizes[0]), self.group(sizes[0]))]
        else:
            total, dead = sum(sizes), self.rng.random(sum(sizes)) < 0.5
            pieces = self.parts(self.between(self.conv(x, n_in, total, dead_in), total), total, dead)[::-1]
            self.groups += [piece[1] for piece in pieces]
            pieces = [(self.between(name, len(piece)), piece) for name, piece in pieces]
        self.rng.shuffle(pieces)
        dead = np.concatenate([piece[1] for piece in pieces])
        y = self.between(self.node("Concat", [str(piece[0]) for piece in pieces], axis=int(self.rng.choice([1, -3]))), len(dead))
        if self.rng.random() < 0.5:  # a second reader, of the whole
            self.groups.append(np.zeros(8, bool))
            return self.node("Add", [self.conv(y, len(dead), 8, dead), self.conv(y, len(dead), 8, dead, 1)]), 8, self.groups[-1]
        self.groups.append(np.zeros(8, bool))
        return self.conv(y, len(dead), 8, dead), 8, self.groups[-1]

    def shape(self, x, dims):
        """A shape in one of the ways in which exporters write it: numbers, zeros and -1, or put together from the shape of x. dims: numbers, or
        (axis of x, length) of those that x has; length None: it depends on the samples."""
        form = self.rng.integers(0, 3)
        if form < 2:
            self.shapes |= any(isinstance(d, tuple) and d[1] for d in dims)  # else nothing says how long these are
            given = [(d[1] or 0) if isinstance(d, tuple) else d for d in dims]
            return self.const([-1, *given[1:]] if form and 0 not in given[1:] else given, np.int64)
        self.computed = True
        whole, parts = self.node("Shape", [x]), []
        for d in dims:
            if isinstance(d, tuple):
                parts.append(self.node("Unsqueeze", [self.node("Gather", [whole, self.const(d[0], np.int64)], axis=0), self.const([0], np.int64)]))
            else:
                parts.append(self.const([d], np.int64))
        return self.node("Concat", parts, axis=0)

    def shuffled(self, x, n_in, dead_in):
        """Channels that change places between two layers: those of one place in each part go together."""
        parts, each = int(self.rng.choice([2, 3, 4])), int(self.rng.choice([8, 12, 16]))
        y = self.between(self.conv(x, n_in, parts * each, dead_in), parts * each)
        self.folds[len(self.groups)] = parts
        dead = self.group(each)
        y = self.node("Reshape", [y, self.shape(y, [(0, None), parts, each, (2, SIZE), (3, SIZE)])])
        y = self.node("Transpose", [y], perm=[0, 2, 1, 3, 4])
        y = self.node("Reshape", [y, self.shape(y, [(0, None), parts * each, (3, SIZE), (4, SIZE)])])
        y, dead = self.between(y, parts * each), np.repeat(dead, parts)
        self.groups.append(np.zeros(8, bool))
        return self.conv(y, parts * each, 8, dead), 8, self.groups[-1]

    def grouped(self, x, n_in, dead_in):
        """A convolution of several groups, or a transposed one, between two others: a group goes with all that it reads and makes."""
        groups, reads, makes = (int(self.rng.choice(sizes)) for sizes in ([4, 6, 16], [1, 2, 4], [1, 2, 3, 4]))
        y = self.between(self.conv(x, n_in, groups * reads, dead_in), groups * reads)
        self.folds[len(self.groups)] = math.gcd(reads, makes)
        dead = self.group(groups)
        bias = [self.const(self.values(groups * makes))] if self.rng.random() < 0.5 else []
        if self.rng.random() < 0.3:
            w = self.const(self.values(groups * reads, makes, 3, 3))
            y = self.node("ConvTranspose", [y, w, *bias], pads=[1] * 4, group=groups)
        else:
            y = self.node("Conv", [y, self.const(self.values(groups * makes, reads, 3, 3)), *bias], pads=[1] * 4, group=groups)
        y, dead = self.between(y, groups * makes), np.repeat(dead, makes)
        self.groups.append(np.zeros(8, bool))
        return self.conv(y, groups * makes, 8, dead), 8, self.groups[-1]

    def attention(self, x, n_in):
        """Heads that nothing reads behind them, over three places; queries, keys and values in three products or in one."""
        heads, each = int(self.rng.choice([2, 3, 6])), int(self.rng.choice([4, 8]))
        whole, packed = heads * each, self.rng.random() < 0.4
        self.groups.append(np.zeros(n_in, bool))
        x = self.node("Mul", [self.node("Unsqueeze", [x, self.const([1], np.int64)]), self.const(self.values(1, 3, 1))])
        self.folds[len(self.groups)] = each
        dead = self.group(heads)
        if packed:
            y = self.node("Add", [self.node("MatMul", [x, self.const(self.values(n_in, 3 * whole))]), self.const(self.values(3 * whole))])
            y = self.node("Reshape", [y, self.shape(y, [(0, None), (1, 3), 3, heads, each])])
            y = self.node("Transpose", [y], perm=[2, 0, 3, 1, 4])
            q, k, v = (self.node("Gather", [y, self.const(i, np.int64)], axis=0) for i in range(3))
            k = self.node("Transpose", [k], perm=[0, 1, 3, 2])
        else:
            q, k, v = (self.node("MatMul", [x, self.const(self.values(n_in, whole))]) for _ in range(3))
            q = self.node("Add", [q, self.const(self.values(whole))])
            q, k, v = (self.node("Reshape", [y, self.shape(y, [(0, None), (1, 3), heads, each])]) for y in (q, k, v))
            q, v = (self.node("Transpose", [y], perm=[0, 2, 1, 3]) for y in (q, v))
            k = self.node("Transpose", [k], perm=[0, 2, 3, 1])
        scale = self.const(0.5)
        if self.rng.random() < 0.5:  # of the length of a head, as it is found
            end = self.node("Slice", [self.node("Shape", [q]), self.const([-1], np.int64), self.const([2**63 - 1], np.int64)])
            scale = self.node("Div", [self.const([1.0]), self.node("Sqrt", [self.node("Cast", [end], to=F32)])])
        scores = self.node("MatMul", [self.node("Mul", [q, scale]), k])
        if self.rng.random() < 0.5:
            scores = self.node("Add", [scores, self.const(self.values(*self.rng.choice([1, heads], 1), 3, 3))])
        y = self.node("MatMul", [self.node("Softmax", [scores], axis=-1), v])
        y = self.node("Transpose", [y], perm=[0, 2, 1, 3])
        y = self.node("Reshape", [y, self.shape(y, [(0, None), (1, 3), whole])])
        out = self.values(whole, 10)
        out[np.repeat(dead, each)] = 0
        return self.node("ReduceMean", [self.node("MatMul", [y, self.const(out)])], axes=[1], keepdims=0)

    def head(self, x, channels, dead):
        """To ten numbers, in one of the ways in which exporters write it."""
        form = self.rng.integers(0, 5)
        positions = 1
        if form in (0, 1):
            x = self.node("GlobalAveragePool", [x])
        if form == 2:
            x = self.node("ReduceMean", [x], axes=[2, 3], keepdims=0)
        else:
            positions = SIZE * SIZE if form > 2 else 1
            if form in (1, 4):
                shape = [0, -1] if self.rng.random() < 0.5 or self.computed else [-1, channels * positions]
                self.shapes |= shape[1] > 0  # else nothing says how many positions there are
                x = self.node("Reshape", [x, self.const(shape, np.int64)])
            else:
                x = self.node("Flatten", [x])
        w = self.values(channels * positions, 10)
        w.reshape(channels, positions, 10)[dead] = 0
        kind = self.rng.integers(0, 3)
        if kind == 0:
            return self.node("Gemm", [x, self.const(w.T), self.const(self.values(10))], transB=1)
        if kind == 1:
            return self.node("Gemm", [x, self.const(w), self.const(self.values(1, 10))])
        return self.node("Add", [self.node("MatMul", [x, self.const(w)]), self.const(self.values(10))])

    def mlp(self, x, n_in):
        """Hidden units of products, with a gate. What it reads is hidden, too."""
        self.groups.append(np.zeros(n_in, bool))
        units = int(self.rng.choice([12, 32, 48]))
        dead = self.group(units)
        up = self.node("Add", [self.node("MatMul", [x, self.const(self.values(n_in, units))]), self.const(self.values(units))])
        form = self.rng.random()
        if form < 0.25:  # both in one product
            both = self.node("MatMul", [x, self.const(self.values(n_in, 2 * units))])
            names = [self.name("v"), self.name("v")]
            self.nodes.append(helper.make_node("Split", [both], names, axis=-1))
            up = self.node("Mul", [self.node("Sigmoid", [names[0]]), names[1]])
        elif form < 0.5:
            gate = self.node("Gemm", [x, self.const(self.values(units, n_in)), self.const(self.values(units))], transB=1)
            up = self.node("Mul", [self.node("Sigmoid", [gate]), up])
        else:
            up = self.node("Relu", [self.node("Mul", [up, self.const(self.values(units))])])
        down = self.values(units, 10)
        down[dead] = 0
        return self.node("MatMul", [up, self.const(down)])

    def gates(self, values, units):
        """A recurrent layer's weight, stored, or put together from the gates of each direction."""
        if self.rng.random() < 0.6:
            return self.const(values)
        ways = []
        for way in values:
            stored = self.const(np.concatenate([way[-units:], way[:-units]]))  # the last gate first
            at = [self.const([v], np.int64) for v in (0, units, len(way))]
            parts = [self.node("Slice", [stored, at[1], at[2], at[0]])] if len(way) > units else []
            parts.append(self.node("Slice", [stored, at[0], at[1], at[0]]))
            ways.append(self.node("Unsqueeze", [self.node("Concat", parts, axis=0), self.const([0], np.int64)]))
        return self.node("Concat", ways, axis=0) if len(ways) > 1 else ways[0]

    def side_by_side(self, y, units):
        """[steps, samples, directions, units] with the last two as one: numbers, or a product of what is measured."""
        if self.rng.random() < 0.5:
            return self.node("Reshape", [y, self.const([0, 0, int(self.rng.choice([-1, 2 * units]))], np.int64)])
        whole, at = self.node("Shape", [y]), [self.const([v], np.int64) for v in range(5)]
        lengths = [self.node("Slice", [whole, at[i], at[i + 1]]) for i in range(4)]
        both = self.node("Reshape", [self.node("Mul", lengths[2:]), self.const([-1], np.int64)])
        return self.node("Reshape", [y, self.node("Concat", [*lengths[:2], both], axis=0)])

    def recurrent(self, x, n_in):
        """Hidden units of a recurrent layer that sees the same three times, and of a second one that reads the first; in one direction, or two."""
        step = self.node("Unsqueeze", [x, self.const([0], np.int64)])
        y = self.node("Concat", [step, step, step], axis=0)
        layers = int(self.rng.integers(1, 3))
        dead_in = np.zeros(n_in, bool)
        self.groups.append(dead_in)
        for layer in range(layers):
            kind, units = self.rng.choice(["LSTM", "GRU", "RNN"]), int(self.rng.choice([12, 32, 33]))
            ways = int(self.rng.integers(1, 3))
            gates, dead = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], self.group(units)
            w, r = self.values(ways, gates * units, n_in), self.values(ways, gates * units, units)
            w[:, :, dead_in] = 0
            r[:, :, dead] = 0
            more = {"linear_before_reset": int(self.rng.integers(0, 2))} if kind == "GRU" else {}
            inputs = [y, self.gates(w, units), self.gates(r, units)]
            inputs += [self.const(self.values(ways, 2 * gates * units))] if self.rng.random() < 0.7 else [""]
            if self.rng.random() < 0.5:  # zeros of a shape that is computed
                samples = self.node("Slice", [self.node("Shape", [x]), *(self.const([v], np.int64) for v in (0, 1, 0))])
                shape = self.node("Concat", [self.const([ways], np.int64), samples, self.const([units], np.int64)], axis=0)
                inputs += ["", self.node("ConstantOfShape", [shape])]
            names = [self.name("v"), self.name("v")]
            way = "bidirectional" if ways > 1 else str(self.rng.choice(["forward", "reverse"]))
            self.nodes.append(helper.make_node(kind, inputs, names, hidden_size=units, direction=way, **more))
            n_in, dead_in = ways * units, np.tile(dead, ways)
            if ways == 1:
                y = self.node("Squeeze", [names[0], self.const([1], np.int64)])
            else:  # side by side
                y = self.node("Transpose", [names[0]], perm=[0, 2, 1, 3])
                y = self.side_by_side(y, units)
        if self.rng.random() < 0.5:
            y = self.node("Gather", [y, self.const(-1, np.int64)], axis=0)
        elif ways == 1:
            y = self.node("Squeeze", [names[1], self.const([0], np.int64)])
        elif self.rng.random() < 0.5:
            y = self.node("Concat", [self.node("Gather", [names[1], self.const(at, np.int64)], axis=0) for at in (-2, -1)], axis=-1)
        else:
            y = self.node("Reshape", [self.node("Transpose", [names[1]], perm=[1, 0, 2]), self.const([0, -1], np.int64)])
        out = self.values(n_in, 10)
        out[dead_in] = 0
        return self.node("MatMul", [y, self.const(out)])

    def model(self):
        x, channels, dead = "x", 3, None
        for _ in range(self.rng.integers(1, 4)):
            x, channels, dead = self.block(x, channels, dead)
        if self.rng.random() < 0.4:
            x, channels, dead = self.spread(x, channels, dead)
        if self.JOINED and self.rng.random() < 0.6:
            x, channels, dead = self.many(x, channels, dead)
        if self.JOINED and self.rng.random() < 0.3:
            x, channels, dead = self.shuffled(x, channels, dead)
        if self.JOINED and self.rng.random() < 0.3:
            x, channels, dead = self.grouped(x, channels, dead)
        y = self.head(x, channels, dead)
        if self.JOINED:
            y = [self.mlp, self.recurrent, self.attention][self.rng.integers(0, 3)](y, 10)
        elif self.rng.random() < 0.5:
            y = self.mlp(y, 10)
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("x", F32, ["N", 3, SIZE, SIZE])],
                                  [helper.make_tensor_value_info(y, F32, ["N", 10])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model) if self.shapes or self.rng.random() < 0.5 else model


def answers(model, x):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def doubled(model):
    """The same in float64, for onnx's reference evaluator."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    tensors = list(model.graph.initializer) + [a.t for n in model.graph.node for a in n.attribute if a.name == "value"]
    for t in tensors:
        if t.data_type == F32:
            t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float64), t.name))
    for cast in (n for n in model.graph.node if n.op_type == "Cast"):
        for to in (a for a in cast.attribute if a.name == "to" and a.i == F32):
            to.i = TensorProto.DOUBLE
    del model.graph.value_info[:]
    for value in list(model.graph.input) + list(model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return model


def plainly(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


class Resize(OpRun):
    """To twice the size, each element four times: the evaluator's own takes minutes."""
    def _run(self, x, roi=None, scales=None, sizes=None, mode=None, **others):
        assert mode in ("nearest", b"nearest", None) and list(scales) == [1, 1, 2, 2]
        return (x.repeat(2, 2).repeat(2, 3),)


def differ_in_double(one, other, x):
    """Where sums of great terms cancel, float32 rounds differently in another order: float64 tells. The reference evaluator knows no recurrent
    layers of several steps: there it counts by how much ONNX Runtime's own optimizations change the first model."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            a, b = (ReferenceEvaluator(doubled(m), new_ops=[Resize]).run(None, {"x": x.astype(np.float64)})[0] for m in (one, other))
    except (ValueError, NotImplementedError):
        if np.abs(plainly(one, x) - plainly(other, x)).max() <= 1e-5 * max(np.abs(answers(one, x)).max(), 1):
            return False
        return np.abs(answers(one, x) - answers(other, x)).max() > 3 * np.abs(answers(one, x) - plainly(one, x)).max()
    return np.abs(a - b).max() > 1e-10 * max(np.abs(a).max(), 1)


def parameters(model):
    return sum(numpy_helper.to_array(t).size for t in model.graph.initializer) + sum(
        numpy_helper.to_array(n.attribute[0].t).size for n in model.graph.node if n.op_type == "Constant")


def expected(made, multiple_of_rows):
    """Channels that leave when no layer becomes free by another's: the least that must."""
    gone = 0
    for number, dead in enumerate(made.groups):
        multiple = multiple_of_rows // math.gcd(multiple_of_rows, made.folds.get(number, 1))
        alive = int((~dead).sum())
        stay = -(-alive // multiple) * multiple if alive else multiple
        gone += len(dead) - min(stay, len(dead))
    return gone


def check(seed, folder):
    made = Made(seed)
    model, multiple = made.model(), [1, 4, 8, 16][seed % 4]
    before, after, report = folder / "before.onnx", folder / "after.onnx", folder / "report.json"
    before.write_bytes(model.SerializeToString())
    ran = harness.run("compact", before, "-o", after, "-f", "--round", multiple, f"--json={report}", "-q")
    if ran.code:
        return [f"exit {ran.code}: {ran.first_line()}"]
    told, small = json.loads(report.read_text())["compact"], onnx.load(after)
    onnx.checker.check_model(small, full_check=True)
    x = np.random.default_rng(seed).standard_normal((2, 3, SIZE, SIZE)).astype(np.float32)
    a, b = answers(model, x), answers(small, x)
    scale = float(np.abs(a).max())
    faults = []
    if np.abs(a - b).max() > 1e-5 * max(scale, 1) and differ_in_double(model, small, x):
        faults.append(f"outputs differ by {np.abs(a - b).max():g} of {scale:g}")
    if told["removed"] < expected(made, multiple):
        faults.append(f"{told['removed']} channels left, {expected(made, multiple)} could: {told.get('reason')}")
    if told["groups"] != len(made.groups):
        faults.append(f"{told['groups']} groups of {len(made.groups)}")
    if not any(dead.any() for dead in made.groups) and (told["removed"] or told["parameters"] != told["parameters_before"]):
        faults.append("something that is read left")
    names = {t.name: numpy_helper.to_array(t).size for t in model.graph.initializer}
    if told["parameters"] - told["parameters_before"] != sum(numpy_helper.to_array(t).size for t in small.graph.initializer) - sum(names.values()):
        faults.append("the parameters are counted wrong")
    return faults


class Silenced(Made):
    """Layers of which some rows are zero, so that the channels they make are constants. A channel leaves when each layer that reads it can take
    the constant into its bias: zero, or the same at all positions."""

    def __init__(self, seed):
        super().__init__(seed)
        self.hidden = []  # (channels, values from the last weight to the reader's input, of each the channels that matter, the reader pads it)
        self.trail = []

    def node(self, op, inputs, **attributes):
        out = super().node(op, inputs, **attributes)
        self.trail = [(out, True)] if op in ("Conv", "Gemm", "MatMul") and "group" not in attributes else [*self.trail, (out, True)]
        return out

    def cut_trail(self, scale):
        """What was before a scale of zero does not matter."""
        alive = scale.ravel() != 0
        self.trail = [(name, alive & matter) for name, matter in self.trail[:-1]] + self.trail[-1:]

    def silent(self, rows, values):
        """Some rows are zero, of a bias that a Relu keeps, cuts off, or zero."""
        dead = self.rng.random(rows) < 0.5
        values[dead] = 0
        bias = self.values(rows)
        bias[self.rng.random(rows) < 0.3] = 0
        return bias

    def between(self, x, channels):
        for _ in range(self.rng.integers(0, 4)):
            kind = self.rng.integers(0, 9)
            if kind == 0:
                x = self.node(self.rng.choice(["Relu", "Sigmoid", "HardSwish"]), [x])
            elif kind == 1:
                scale = abs(self.values(channels)) + 0.1
                scale[self.rng.random(channels) < self.rng.choice([0, 0.3])] = 0
                x = self.node("BatchNormalization", [x, self.const(scale), *(self.const(abs(self.values(channels)) + 0.1) for _ in range(3))])
                self.cut_trail(scale)
            elif kind == 2:
                w, pad = self.values(channels, 1, 3, 3), int(self.rng.integers(0, 2))
                x = self.node("Conv", [x, self.const(w), self.const(self.silent(channels, w))], pads=[pad] * 4, group=channels)
                self.cut_trail(w.reshape(channels, -1).any(1))
            elif kind == 3:
                x = self.node("AveragePool", [x], kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=int(self.rng.integers(0, 2)))
            elif kind == 4:
                x = self.node("Mul", [self.node("Sigmoid", [x]), x])
            elif kind == 8:
                scale = self.values(channels, 1, 1)
                scale[self.rng.random(channels) < 0.3] = 0
                x = self.node("Mul", [x, self.const(scale)])
                self.cut_trail(scale)
            elif kind == 5:
                x = self.node("Pad", [x, self.const([0, 0, 1, 1, 0, 0, 1, 1], np.int64)])
            elif kind == 6:
                x = self.node("Add", [x, self.const(self.values(channels, 1, 1))])
            else:
                x = self.node("MaxPool", [x], kernel_shape=[2, 2])
        return x

    def model(self):
        x, n_in = "x", 3
        for _ in range(self.rng.integers(1, 4)):
            channels, kernel, pad = int(self.rng.choice([5, 16, 24])), int(self.rng.choice([1, 2])), int(self.rng.integers(0, 2))
            w = self.values(channels, n_in, kernel, kernel)
            bias = self.silent(channels, w)
            if n_in > 3:
                self.hidden.append((n_in, self.trail, pad > 0))
            x = self.node("Conv", [x, self.const(w), self.const(bias)], pads=[pad] * 4, kernel_shape=[kernel] * 2)
            x = self.between(x, channels)
            n_in = channels
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        self.hidden.append((n_in, self.trail, False))
        units = int(self.rng.choice([8, 20]))
        w = self.values(units, n_in)
        x = self.node("LeakyRelu", [self.node("Gemm", [x, self.const(w), self.const(self.silent(units, w))], transB=1)])
        self.hidden.append((units, self.trail, False))
        y = self.node("Add", [self.node("MatMul", [x, self.const(self.values(units, 10))]), self.const(self.values(10))])
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("x", F32, ["N", 3, SIZE, SIZE])],
                                  [helper.make_tensor_value_info(y, F32, ["N", 10])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def gone_for_certain(made, model, x):
    """How many channels have one value for all samples and positions, from the last weight on, that their reader takes: as ONNX Runtime has it."""
    model, count = onnx.ModelProto.FromString(model.SerializeToString()), 0
    names = sorted({name for _, trail, _ in made.hidden for name, _ in trail})
    model.graph.output.extend(helper.make_tensor_value_info(name, F32, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    seen = dict(zip(names, session.run(names, {"x": np.concatenate([x, 50 * x, -50 * x])})))
    for channels, trail, padded in made.hidden:
        rows = [np.moveaxis(seen[name], 1, 0).reshape(channels, -1) for name, _ in trail]
        constant = np.all([(np.ptp(y, axis=1) <= 1e-6 * np.abs(y).max(axis=1)) | ~np.broadcast_to(matter, channels)
                           for y, (_, matter) in zip(rows, trail)], axis=0)
        count += min(int((constant & (np.all(rows[-1] == 0, axis=1) | (not padded))).sum()), channels - 1)
    return count


def check_silenced(seed, folder):
    made = Silenced(seed)
    model = made.model()
    before, after, report = folder / "before.onnx", folder / "after.onnx", folder / "report.json"
    before.write_bytes(model.SerializeToString())
    ran = harness.run("compact", before, "-o", after, "-f", "--round", 1, f"--json={report}", "-q")
    if ran.code:
        return [f"exit {ran.code}: {ran.first_line()}"]
    small = onnx.load(after)
    onnx.checker.check_model(small, full_check=True)
    x = np.random.default_rng(seed).standard_normal((4, 3, SIZE, SIZE)).astype(np.float32)
    a, b = answers(model, x), answers(small, x)
    faults = []
    if np.abs(a - b).max() > 1e-5 * max(float(np.abs(a).max()), 1):
        faults.append(f"outputs differ by {np.abs(a - b).max():g}")
    removed, wanted = json.loads(report.read_text())["compact"]["removed"], gone_for_certain(made, model, x)
    if removed != wanted and np.ptp(a, axis=0).max() > 1e-4:  # else all channels of a layer are constants, of which one stays
        faults.append(f"{removed} channels left, {wanted} are constants")
    return faults


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(count // 3):
            faults = check_silenced(seed, Path(folder))
            TALLY.check(f"network of constant channels {seed}", not faults, "; ".join(faults))
        for seed in range(count):
            faults = check(seed, Path(folder))
            TALLY.check(f"network {seed}", not faults, "; ".join(faults))
    TALLY.finish()


if __name__ == "__main__":
    main()
