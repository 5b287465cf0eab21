#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models of ONNX's own node tests, changed at random where it hurts: inputs and outputs left out, swapped or called otherwise, attributes of other
values and kinds, shapes, types and opsets. Each goes through check, run and prune; a crash, no end or a message without a name is a finding,
whose model is kept.

    tests/hostile/mutate.py [SECONDS [SEED [FOLDER FOR FINDINGS]]]
"""
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import onnx
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

INTEGERS = (0, 1, -1, 2, 3, 7, -2, 127, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 32, 1 << 62, -(1 << 63))
FLOATS = (0.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (b"", b"?", b"SAME_UPPER", b"linear", b"x" * 300)


def bases():
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
    return sorted(p for p in folder.glob("*/model.onnx") if p.stat().st_size < 20000)


def change_attribute(model, node, rng):
    if not node.attribute:
        return
    a = rng.choice(node.attribute)
    kind = rng.randrange(5)
    if kind == 0:
        node.attribute.remove(a)
    elif kind == 1:
        node.attribute.append(a)
    elif a.type == onnx.AttributeProto.INT:
        a.i = rng.choice(INTEGERS)
    elif a.type == onnx.AttributeProto.INTS:
        if a.ints and rng.random() < 0.7:
            a.ints[rng.randrange(len(a.ints))] = rng.choice(INTEGERS)
        elif rng.random() < 0.5:
            a.ints.append(rng.choice(INTEGERS))
        else:
            del a.ints[:]
    elif a.type == onnx.AttributeProto.FLOAT:
        a.f = rng.choice(FLOATS)
    elif a.type == onnx.AttributeProto.STRING:
        a.s = rng.choice(TEXTS)
    elif a.type == onnx.AttributeProto.TENSOR:
        change_tensor(a.t, rng)
    elif a.type == onnx.AttributeProto.GRAPH:
        change_graph(model, a.g, rng)


def change_tensor(t, rng):
    kind = rng.randrange(4)
    if kind == 0 and t.dims:
        t.dims[rng.randrange(len(t.dims))] = rng.choice(INTEGERS)
    elif kind == 1:
        t.dims.append(rng.choice(INTEGERS))
    elif kind == 2:
        t.data_type = rng.randrange(30)
    elif t.raw_data:
        data = bytearray(t.raw_data)
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
        t.raw_data = bytes(data)


def change_names(model, node, rng):
    names = node.input if rng.random() < 0.7 else node.output
    kind = rng.randrange(5)
    if kind == 0 and names:
        names[rng.randrange(len(names))] = ""
    elif kind == 1 and names:
        del names[rng.randrange(len(names))]
    elif kind == 2:
        names.append(rng.choice(list(node.input) or ["extra"]) if names is node.input else f"extra{rng.random()}")
    elif kind == 3 and len(names) > 1:
        i, k = rng.sample(range(len(names)), 2)
        names[i], names[k] = names[k], names[i]
    elif names:
        every = [v.name for v in model.graph.input] + [n for node in model.graph.node for n in node.output]
        names[rng.randrange(len(names))] = rng.choice(every)


def change_value(model, graph, rng):
    values = list(graph.input) + list(graph.output)
    if not values:
        return
    tensor = rng.choice(values).type.tensor_type
    kind = rng.randrange(4)
    if kind == 0:
        tensor.elem_type = rng.randrange(30)
    elif kind == 1 and tensor.shape.dim:
        tensor.shape.dim[rng.randrange(len(tensor.shape.dim))].dim_value = rng.choice((0, 1, 2, 3, 5, -1, 1 << 20, 1 << 40))
    elif kind == 2 and tensor.shape.dim:
        del tensor.shape.dim[rng.randrange(len(tensor.shape.dim))]
    else:
        tensor.shape.dim.add().dim_value = rng.choice((0, 1, 2))


def change_graph(model, graph, rng):
    kind = rng.randrange(12)
    if graph.node and kind < 4:
        change_names(model, rng.choice(graph.node), rng)
    elif graph.node and kind < 8:
        change_attribute(model, rng.choice(graph.node), rng)
    elif kind < 10:
        change_value(model, graph, rng)
    elif kind == 10 and graph.input:  # an input becomes a constant, so that it is folded, or traced as a weight
        value = rng.choice(graph.input)
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        kind = value.type.tensor_type.elem_type
        if kind in (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL) and all(0 <= d < 100 for d in dims):
            n = 1
            for d in dims:
                n *= d
            if n < 10000:
                graph.initializer.append(helper.make_tensor(value.name, kind, dims, [rng.choice((0, 1, 1, 2)) if kind != TensorProto.BOOL else True for _ in range(n)]))
                graph.input.remove(value)
    elif graph.node:
        graph.node.add().CopyFrom(rng.choice(graph.node))


def mutant(path, rng):
    model = onnx.load(path)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if rng.random() < 0.1:
            model.opset_import[0].version = rng.randrange(1, 27)
        elif rng.random() < 0.1:
            other = onnx.load(rng.choice(bases()))  # a node of another kind on the same values
            node = model.graph.node.add()
            node.CopyFrom(other.graph.node[0])
            del node.output[:]
            node.output.append("another")
        else:
            change_graph(model, model.graph, rng)
    return model.SerializeToString()


def fault(ran):
    if ran.crashed:
        return f"exit {ran.code}: {ran.err[-600:]}"
    if ran.code and not ran.first_line().startswith("fineprune: error: ") and "error: " not in ran.err:
        return f"no message: {ran.err[:300]}"
    if re.search(r"error: .{0,20} failed$", ran.err, re.M):
        return f"a message without a reason: {ran.first_line()}"
    return None


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    kept = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    tally, paths, end = harness.Tally("mutants"), bases(), time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fineprune-mutants-") as folder:
        folder, number = Path(folder), 0
        while time.monotonic() < end:
            rng = random.Random(f"{seed} {number}")
            path = rng.choice(paths)
            number += 1
            try:
                content = mutant(path, rng)
            except (ValueError, TypeError):
                continue
            model = folder / "model.onnx"
            model.write_bytes(content)
            for command in (["check", model], ["run", model, "-o", folder / "o.npz", "-f"], ["prune", model, "-o", folder / "o.onnx", "-f", "-s", "50%"]):
                ran = harness.run(*command, "--data", "random:1", "--timeout", "5", "--max-memory", "256M", timeout=60, env={"MALLOC_PERTURB_": "165"})
                why = fault(ran)
                name = f"{seed}-{number} {path.parent.name} {command[0]}"
                tally.check(name, not why, why)
                if why and kept:
                    (kept / f"{seed}-{number}.onnx").write_bytes(content)
    tally.finish()


if __name__ == "__main__":
    main()
