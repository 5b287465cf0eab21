#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs ONNX's own test suites (the data of the installed onnx package) through `fineprune run`.

Each test is a folder: model.onnx, test_data_set_0/input_0.pb ..., output_0.pb ... It is

    passed   every output has the expected type and shape and lies within rtol 1e-3, atol 1e-7 (integers and bools: equal)
    refused  fineprune said that it cannot run the model (exit code 3) or cannot carry its data (4), and named the reason
    wrong    another result, or a refusal that names no operator, type or input
    crashed  a signal, an internal error, a sanitizer's finding, or no end
    disputed another result where the expected one is itself at fault; ONNX Runtime differs from it too (DISPUTED, below)

floors.json holds how many must pass per suite; a fall, a wrong result or a crash fails the run.
"""
import argparse
import collections
import concurrent.futures
import json
import re
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

HERE = Path(__file__).resolve().parent
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
SUITES = ["node", "simple", "pytorch-converted", "pytorch-operator"]
RTOL, ATOL = 1e-3, 1e-7
# What NumPy has no type for is written by `fineprune run` as the next type that holds every value.
CARRIED_AS = {
    onnx.TensorProto.BFLOAT16: np.float32,
    onnx.TensorProto.FLOAT8E4M3FN: np.float32,
    onnx.TensorProto.FLOAT8E4M3FNUZ: np.float32,
    onnx.TensorProto.FLOAT8E5M2: np.float32,
    onnx.TensorProto.FLOAT8E5M2FNUZ: np.float32,
    onnx.TensorProto.FLOAT8E8M0: np.float32,
    onnx.TensorProto.FLOAT4E2M1: np.float32,
    onnx.TensorProto.UINT4: np.uint8,
    onnx.TensorProto.INT4: np.int8,
    onnx.TensorProto.UINT2: np.uint8,
    onnx.TensorProto.INT2: np.int8,
}

UNSATURATED = "the expected int8 output wraps around where the operator is defined to saturate"
ROUNDING = "the expected output has rounding errors of 2e-7 where the exact result is 0"
DISPUTED = {
    "test_qlinearmatmul_2D_int8_float16": UNSATURATED,
    "test_qlinearmatmul_2D_int8_float32": UNSATURATED,
    "test_qlinearmatmul_3D_int8_float16": UNSATURATED,
    "test_qlinearmatmul_3D_int8_float32": UNSATURATED,
    "test_dft_inverse": ROUNDING,
    "test_dft_inverse_opset19": ROUNDING,
}


class Result:
    def __init__(self, name, kind, why, operators, seconds=0.0):
        self.name, self.kind, self.why, self.operators, self.seconds = name, kind, why, operators, seconds


# ---- what the folder expects ---------------------------------------------------------------------------------------------------


def tensor_array(tensor):
    array = numpy_helper.to_array(tensor)
    carried = CARRIED_AS.get(tensor.data_type)
    return array.astype(carried) if carried else array


def parse(path, message):
    message.ParseFromString(path.read_bytes())
    return message


def expected_value(path, type_proto):
    """An array, a list of arrays, or None, as the type of the output says."""
    if type_proto.HasField("optional_type"):
        optional = parse(path, onnx.OptionalProto())
        if optional.elem_type == onnx.OptionalProto.TENSOR:
            return tensor_array(optional.tensor_value)
        if optional.elem_type == onnx.OptionalProto.SEQUENCE:
            return [tensor_array(t) for t in optional.sequence_value.tensor_values]
        return None
    if type_proto.HasField("sequence_type"):
        return [tensor_array(t) for t in parse(path, onnx.SequenceProto()).tensor_values]
    return tensor_array(parse(path, onnx.TensorProto()))


def expected_arrays(model, folder):
    """Name in the .npz -> array. The elements of a sequence are NAME_0, NAME_1, ...; an absent optional has no array."""
    arrays = {}
    for index, output in enumerate(model.graph.output):
        path = folder / f"output_{index}.pb"
        if not path.exists():
            continue
        value = expected_value(path, output.type)
        if isinstance(value, list):
            arrays.update({f"{output.name}_{i}": element for i, element in enumerate(value)})
        elif value is not None:
            arrays[output.name] = value
    return arrays


# ---- comparing ------------------------------------------------------------------------------------------------------------------


def difference(name, expected, got):
    """None when they agree, else one line."""
    if expected.dtype == object:
        expected = expected.astype(str)
    if got.shape != expected.shape:
        return f"{name}: shape {list(got.shape)}, expected {list(expected.shape)}"
    if got.dtype != expected.dtype and not (got.dtype.kind == expected.dtype.kind == "U"):
        return f"{name}: type {got.dtype}, expected {expected.dtype}"
    if expected.dtype.kind in "fc":
        close = np.isclose(got, expected, rtol=RTOL, atol=ATOL, equal_nan=True)
    else:
        close = got == expected
    if np.all(close):
        return None
    where = tuple(np.argwhere(~np.atleast_1d(close))[0])
    at = tuple(where) if got.shape else ()
    return f"{name}: {np.size(close) - np.count_nonzero(close)} of {close.size} differ, first at {list(map(int, at))}: " \
           f"{got[at]!s}, expected {expected[at]!s}"


READING = threading.Lock()     # NumPy parses an array's header with ast, whose depth count CPython 3.11 shares among threads


def compare(expected, path):
    with READING:
        got = dict(np.load(path))
    for name, array in expected.items():
        if name not in got:
            return f"{name}: no such array in the output; it has {sorted(got)[:6]}"
        # A test data set is one sample whose inputs are whole: its outputs have an axis of samples in front.
        value = got[name]
        why = difference(name, array, value[0] if value.shape == (1, *array.shape) else value)
        if why:
            return why
    return None


# ---- one test -------------------------------------------------------------------------------------------------------------------


def names_reason(message, operators):
    """A refusal must name an operator of the model, or the type or input that cannot be carried."""
    words = set(re.findall(r"[A-Za-z_0-9]+", message))
    return bool(words & operators) or any(w in message for w in ("string", "sequence", "optional", "float8", "float4", "int4", "int2"))


def operators_of(graph):
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            for sub in [attribute.g, *attribute.graphs]:
                yield from operators_of(sub)


def run_test(folder, scratch):
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    operators = set(operators_of(model.graph)) | {op for f in model.functions for op in operators_of(f)}
    data = folder / "test_data_set_0"
    out = Path(scratch) / f"{folder.name}.npz"
    ran = harness.run("run", folder / "model.onnx", "--data", data, "-o", out, timeout=120, env={"OMP_NUM_THREADS": "1"})

    def result(kind, why=""):
        out.unlink(missing_ok=True)
        return Result(folder.name, kind, why, sorted(operators), ran.seconds)

    if ran.crashed:
        lines = [line for line in ran.err.splitlines() if "ERROR:" in line or "runtime error" in line] or [ran.first_line()]
        return result("crashed", f"exit {ran.code}: {lines[0][:300]}")
    if ran.code in (3, 4):
        message = " ".join(ran.err.split())
        if names_reason(message, operators):
            return result("refused", ran.first_line()[:300])
        return result("wrong", f"refused without naming an operator: {ran.first_line()[:300]}")
    if ran.code != 0:
        return result("wrong", f"exit {ran.code}: {ran.first_line()[:300]}")
    try:
        why = compare(expected_arrays(model, data), out)
    except Exception as error:  # an output that NumPy cannot read is a wrong result, not the end of the run
        why = f"cannot be compared: {error!r:.200}"
    if why and folder.name in DISPUTED:
        return result("disputed", why)
    return result("wrong", why) if why else result("passed")


def run_suite(suite, jobs, only, scratch):
    folders = sorted(p for p in (DATA / suite).iterdir() if (p / "model.onnx").exists() and re.search(only, p.name))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda folder: run_test(folder, scratch), folders))


# ---- report ---------------------------------------------------------------------------------------------------------------------


def write_details(results, file):
    """Everything that did not pass: wrong, crashed and disputed by name, refused by operator."""
    for kind in ("crashed", "wrong", "disputed"):
        for suite, items in results.items():
            for r in items:
                if r.kind == kind:
                    print(f"{kind:8} {suite}/{r.name} [{' '.join(r.operators)}]: {r.why}", file=file)
    refused = collections.defaultdict(list)
    for items in results.values():
        for r in items:
            if r.kind == "refused":
                refused[r.why.replace(r.name, "")].append(r)
    by_operator = collections.Counter(op for items in refused.values() for r in items for op in r.operators)
    passed = {op for items in results.values() for r in items if r.kind == "passed" for op in r.operators}
    print("\nrefused tests by operator (! = no test with it passes):", file=file)
    print("  " + ", ".join(f"{'' if op in passed else '!'}{op} {n}" for op, n in by_operator.most_common()), file=file)
    print("\nrefused, message by message:", file=file)
    for why, items in sorted(refused.items(), key=lambda pair: -len(pair[1])):
        print(f"  {len(items):4} {why[:220]}  e.g. {items[0].name}", file=file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--suite", action="append", choices=SUITES)
    parser.add_argument("--only", default="", help="regular expression over test names; floors are then not checked")
    parser.add_argument("--details", help="write everything that did not pass to this file")
    parser.add_argument("--update", action="store_true", help="raise the floors to what passes now")
    arguments = parser.parse_args()
    floors_path = HERE / "floors.json"
    floors = json.loads(floors_path.read_text())
    tally = harness.Tally("conformance")
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for suite in arguments.suite or SUITES:
            results[suite] = run_suite(suite, arguments.jobs, arguments.only, scratch)
    print(f"{'suite':20}{'tests':>7}{'passed':>8}{'refused':>9}{'disputed':>10}{'wrong':>7}{'crashed':>9}{'floor':>7}")
    for suite, items in results.items():
        count = collections.Counter(r.kind for r in items)
        print(f"{suite:20}{len(items):7}{count['passed']:8}{count['refused']:9}{count['disputed']:10}{count['wrong']:7}"
              f"{count['crashed']:9}{floors[suite]:7}", flush=True)
        tally.passed += count["passed"]
        tally.skipped += count["refused"] + count["disputed"]
        for r in items:
            if r.kind in ("wrong", "crashed"):
                tally.bad(f"{suite}/{r.name}", f"{r.kind}: {r.why}")
        if not arguments.only and count["passed"] < floors[suite]:
            tally.bad(suite, f"{count['passed']} passed, the floor is {floors[suite]}")
        if arguments.update:
            floors[suite] = max(floors[suite], count["passed"])
    slowest = max((r for items in results.values() for r in items), key=lambda r: r.seconds, default=None)
    if slowest:
        print(f"slowest: {slowest.name}, {slowest.seconds:.1f} s")
    if arguments.update:
        floors_path.write_text(json.dumps(floors, indent=2) + "\n")
    if arguments.details:
        with open(arguments.details, "w") as file:
            write_details(results, file)
    tally.finish()


if __name__ == "__main__":
    main()
