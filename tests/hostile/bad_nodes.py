# SPDX-License-Identifier: Apache-2.0
"""Nodes that do not fit their operator, made from the schema of every operator: too few and too many inputs and outputs, names that are
left out, attributes that come twice, of another kind, or missing. `nodes()` gives (what, node, opset, what the message must name)."""
import sys
from pathlib import Path

from onnx import AttributeProto, TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from signatures import all_schemas, arity, word  # noqa: E402

NAMES = [f"v{i}" for i in range(24)]
VALUES = {"FLOAT": 1.5, "INT": 1, "STRING": "text", "FLOATS": [1.5], "INTS": [1], "STRINGS": ["text"]}


def graph():
    value = helper.make_tensor_value_info("v", TensorProto.FLOAT, [1])
    return helper.make_graph([helper.make_node("Relu", ["v0"], ["v"])], "body", [], [value])


def attribute(name, kind):
    if kind == "GRAPH":
        return helper.make_attribute(name, graph())
    if kind == "TENSOR":
        return helper.make_attribute(name, helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]))
    if kind not in VALUES:
        return AttributeProto(name=name, type=getattr(AttributeProto, kind))
    return helper.make_attribute(name, VALUES[kind])


def good(domain, name, schema):
    """As many inputs and outputs as are needed, and the attributes that are."""
    inputs, outputs = arity(schema).split(">")
    n_in = max([i + 1 for i, letter in enumerate(inputs) if letter in "r+"], default=0)
    n_out = max([i + 1 for i, letter in enumerate(outputs) if letter in "r+"], default=0)
    node = helper.make_node(name, NAMES[:n_in], [f"out{i}" for i in range(max(n_out, 1))], name="suspect", domain=domain)
    node.attribute.extend(attribute(a.name, word(a.type)) for a in schema.attributes.values() if a.required)
    return node, inputs, outputs


def changed(node, change):
    copy = type(node)()
    copy.CopyFrom(node)
    change(copy)
    return copy


def faults(node, inputs, outputs, schema, needed):
    def add_outputs(n):
        n.output.extend(f"more{i}" for i in range(len(outputs) + 1 - len(n.output)))

    def retype(n):
        del n.attribute[:]
        n.attribute.append(attribute(first, other))

    def reset(text, i, value):
        text[i] = value

    if node.input and inputs[:1] in ("r", "+"):
        yield "no input", changed(node, lambda n: n.ClearField("input")), "0 inputs"
        for i in range(len(node.input)):
            if inputs[i] == "r":
                yield f"input {i} empty", changed(node, lambda n: reset(n.input, i, "")), f"input {i}"
    if inputs[-1:] not in ("*", "+"):
        yield "too many inputs", changed(node, lambda n: n.input.extend(NAMES[len(n.input):len(inputs) + 1])), f"{len(inputs) + 1} inputs?"
    if outputs[:1] in ("r", "+"):
        yield "no output", changed(node, lambda n: n.ClearField("output")), "0 outputs"
    if outputs[-1:] not in ("*", "+"):
        yield "too many outputs", changed(node, add_outputs), f"{len(outputs) + 1} outputs"
    if schema.attributes:
        first = min(schema.attributes)
        kind = word(schema.attributes[first].type)
        other = "INTS" if kind != "INTS" else "FLOAT"
        twice = attribute(first, kind)
        yield "an attribute twice", changed(node, lambda n: n.attribute.extend([twice, twice])), first
        yield "an attribute of another kind", changed(node, retype), first
        both = attribute(first, kind)
        both.floats.append(2.5) if kind != "FLOATS" else both.ints.append(2)
        yield "an attribute of two kinds", changed(node, lambda n: (n.ClearField("attribute"), n.attribute.append(both))), first
    if needed:
        yield "no attribute", changed(node, lambda n: n.ClearField("attribute")), "|".join(needed)


def nodes(rows):
    """Of every row (domain, type, since, arity, attributes) the faults of the newest schema that it serves."""
    schemas = all_schemas()
    for domain, name, since, _, attributes in rows:
        versions = schemas[domain, name] or schemas["", name]
        later = [s for d, n, s, *_ in rows if (d, n) == (domain, name) and s > since]
        opset = max(v for v in versions if not later or v < min(later))
        node, inputs, outputs = good(domain, name, versions[opset])
        needed = [text.partition("=")[0] for text in attributes.split() if text.endswith("!")]
        for what, bad, pattern in faults(node, inputs, outputs, versions[opset], needed):
            yield f"{domain or 'ai.onnx'}.{name} {opset}: {what}", bad, max(opset, 7) if not domain and not later else opset, pattern


def model(node, opset):
    """Eight inputs of rank 2, a layer, and the node, whose first output (or the layer's) is the graph's."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in NAMES]
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [4, 4], [1.0 * i for i in range(16)])
    layer = helper.make_node("MatMul", ["v0", "weight"], ["hidden"], name="layer")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ["hidden", *node.output[:1]]]
    imports = [helper.make_opsetid("", 17 if node.domain else opset)]
    if node.domain:
        imports.append(helper.make_opsetid(node.domain, 1))
    return helper.make_model(helper.make_graph([layer, node], "g", inputs, ends, [weight]), opset_imports=imports, ir_version=8)
