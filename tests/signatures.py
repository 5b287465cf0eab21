#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inputs, outputs and attributes of every operator, as its row has them (`arity` and `attributes`, see src/kernel/op.h), against the
schemas of the onnx package and, for what is not ONNX's own, of ONNX Runtime, of every opset.

    tests/signatures.py LIST-ROWS      proves the rows that the program LIST-ROWS (of the test build) prints
    tests/signatures.py --want DOMAIN TYPE SINCE [NEXT]      prints what a row from opset SINCE up to before NEXT has to say
"""
import collections
import subprocess
import sys
from pathlib import Path

import onnx.defs

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402

LETTERS = {"FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "SPARSE_TENSOR": "p", "TYPE_PROTO": "y",
           "FLOATS": "F", "INTS": "I", "STRINGS": "S", "TENSORS": "T", "GRAPHS": "G"}


def word(value):
    return str(value).rpartition(".")[2].upper()


def all_schemas():
    """(domain, type) -> opset -> schema."""
    found = collections.defaultdict(dict)
    for schema in onnx.defs.get_all_schemas_with_history():
        found[schema.domain, schema.name][schema.since_version] = schema
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema
    own = set(found)
    for schema in get_all_operator_schema():
        if (schema.domain, schema.name) not in own:
            found[schema.domain, schema.name][schema.since_version] = schema
    return found


def letters(formals, least):
    """r: needed, o: may be left out, * and +: any number of the last, none or one at least."""
    text = ""
    for i, formal in enumerate(formals):
        option = word(formal.option)
        text += {"SINGLE": "r", "OPTIONAL": "o"}.get(option) or ("*" if least <= i else "+")
    return text


def arity(schema):
    return letters(schema.inputs, schema.min_input) + ">" + letters(schema.outputs, schema.min_output)


def want(versions, since, end):
    """The two texts of a row that serves opsets since .. end - 1."""
    first = max([v for v in versions if v <= since], default=min(versions))
    served = sorted(v for v in versions if v == first or since < v < end)
    text = before = arity(versions[first])
    for version in served[1:]:
        now = arity(versions[version])
        if now != before:
            text += f" {version}:{now}"
        before = now
    kinds, needed = {}, {}
    for version in served:
        for name, attribute in versions[version].attributes.items():
            kinds.setdefault(name, set()).add(LETTERS[word(attribute.type)])
            needed[name] = needed.get(name, 0) + bool(attribute.required)
    attributes = " ".join(f"{name}={''.join(sorted(kinds[name]))}{'!' if needed[name] == len(served) else ''}" for name in sorted(kinds))
    return text, attributes


def main():
    schemas = all_schemas()
    if sys.argv[1] == "--want":
        domain, name, since, *end = sys.argv[2:]
        print("\n".join(want(schemas[domain, name], int(since), int(end[0]) if end else 1 << 20)))
        return
    tally = harness.Tally("signatures")
    rows = [line.split("\t") for line in subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.splitlines()]
    sinces = collections.defaultdict(list)
    for domain, name, since, *_ in rows:
        sinces[domain, name].append(int(since))
    for domain, name, since, *texts in rows:
        end = min([s for s in sinces[domain, name] if s > int(since)], default=1 << 20)
        label = f"{domain or 'ai.onnx'}.{name} since {since}"
        versions = schemas[domain, name] or schemas["", name]  # one is registered without its domain
        if not versions:
            tally.bad(label, "no schema")
            continue
        wanted = want(versions, int(since), end)
        tally.check(label, tuple(texts) == wanted, f"the row says {texts}, the schema {list(wanted)}")
    tally.check("rows", len(rows) > 200, f"only {len(rows)} rows")
    tally.finish()


if __name__ == "__main__":
    main()
