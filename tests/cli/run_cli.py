#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line: commands, exact words on both streams, exit codes, and what is on the disk afterwards.

    run_cli.py [WORD]      only the cases whose name holds WORD; -v prints every case
"""
import ast, signal as interrupts
import concurrent.futures
import functools
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

# A runner in the background may have SIGINT ignored, and children would inherit that.
interrupts.signal(interrupts.SIGINT, interrupts.default_int_handler)

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import onnxruntime as ort

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

GESTURE = harness.ROOT / "samples" / "gesture"
WORDS = [word for word in sys.argv[1:] if word != "-v"]
SHOW = "-v" in sys.argv[1:]
CASES = []


def case(function):
    CASES.append(function)
    return function


class Place:
    """A folder with a model and data, in which the program is run."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for name in ("gesture.onnx", "local.npz", "test.npz", "test_labels.npy"):
            shutil.copy(GESTURE / name, self.folder / name)
        shutil.copy(GESTURE / "gesture.onnx", self.folder / "m.onnx")

    def run(self, line, **options):
        ran = harness.run(*line.split(), cwd=self.folder, **options)
        if "--json" in line.split() and ran.out.startswith(b"{"):
            faults = list(unlike(schema(), json.loads(ran.out)))
            assert not faults, f"'{line}' against --schema: {faults}"
        return ran

    def path(self, name):
        return self.folder / name

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())

    def long_data(self):
        """Samples enough for a run of a minute."""
        signals = np.load(self.path("local.npz"))["signal"]
        np.savez(self.path("long.npz"), signal=np.tile(signals, (200, 1, 1)))
        return "long.npz"


@functools.cache
def schema():
    return json.loads(harness.run("--schema").out)


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}


def unlike(rule, value, where="report"):
    """Where a value is not as the JSON Schema says, as far as --schema has words; members that it does not name are told, too."""
    if "anyOf" in rule:
        if all(any(unlike(one, value)) for one in rule["anyOf"]):
            yield where
        return
    if "const" in rule:
        if value != rule["const"]:
            yield where
        return
    kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    if not any(isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds):
        yield f"{where}: {value!r}"
    elif isinstance(value, dict):
        yield from (f"{where}.{name} is missing" for name in rule["required"] if name not in value)
        for name, member in value.items():
            if name in rule["properties"]:
                yield from unlike(rule["properties"][name], member, f"{where}.{name}")
            elif not name.startswith("fineprune.") and where != "report.config":
                yield f"{where}.{name} is not named"
    elif isinstance(value, list):
        for item in value:
            yield from unlike(rule["items"], item, where + "[]")


def equal(got, expected, what):
    assert got == expected, f"{what}: {got!r} instead of {expected!r}"


def fails(place, line, code, error, hint=None, **options):
    """Runs the line; the exit code and the whole of standard error are as given, standard output is empty, no file is made."""
    before = {path: path.read_bytes() for path in place.folder.iterdir() if path.is_file()}
    ran = place.run(line, **options)
    equal(ran.err, f"fineprune: error: {error}\n" + (f"  hint: {hint}\n" if hint else ""), "standard error")
    equal(ran.code, code, "exit code")
    equal(ran.out, b"", "standard output")
    after = {path: path.read_bytes() for path in place.folder.iterdir() if path.is_file()}
    assert after == before, f"files changed: {sorted(map(str, set(after) ^ set(before)))}"


def works(place, line, code=0, **options):
    ran = place.run(line, **options)
    equal((ran.code, ran.err if ran.code != code else ""), (code, ""), f"exit code and standard error of '{line}'")
    return ran


def labels_of(text):
    return [line.split(" ", 1)[0] for line in text.splitlines() if line]


# ---- wrong command lines


WRONG = [
    ("", 2, "which command?", "'fineprune --help' lists them"),
    ("prun m.onnx", 2, "unknown command 'prun'", "did you mean 'prune'?"),
    ("m.onnx", 2, "unknown command 'm.onnx'", "the command comes first, as in 'fineprune prune MODEL --data SRC -o OUT'"),
    ("prune", 2, "'prune' needs MODEL", "usage: fineprune prune MODEL --data SRC -o OUT"),
    ("prune m.onnx --data local.npz", 2, "'prune' needs -o OUT", "or --dry-run, to see what would come of it"),
    ("prune m.onnx --dta local.npz", 2, "unknown option '--dta'", "did you mean --data?"),
    ("prune m.onnx -o o.onnx --method finepruning", 2, "--method cannot be 'finepruning'", "did you mean 'fine-pruning'?"),
    ("prune m.onnx -o o.onnx -s 70", 2, "--sparsity cannot be '70'", "a share such as 70% or 0.7, or auto"),
    ("prune m.onnx -o o.onnx --timeout soon", 2, "--timeout cannot be 'soon'", "a time such as 90s, 10m or 2h"),
    ("prune m.onnx -o o.onnx --max-memory lots", 2, "--max-memory cannot be 'lots'", "a size such as 64K, 4M or 2G"),
    ("inspect m.onnx --data local.npz", 2, "'inspect' has no option --data", "it belongs to prune score run compare check show"),
    ("prune m.onnx -o - --json", 2, "-o - and --json both want standard output", "give one of them a file"),
    ("prune m.onnx --config none.json", 6, "cannot read 'none.json': No such file or directory", None),
    ("prune m.onnx --list=metod", 2, "--list cannot be 'metod'", "did you mean 'method'?"),
    ("prune m.onnx -o o.onnx --score osb:ridge=1", 2, "--score cannot be 'osb:ridge=1'", "did you mean 'obs'?"),
    ("prune m.onnx -o o.onnx --score obs:rigde=1", 2, "score 'obs' has no parameter 'rigde'", "its parameters: prior (0 to 10000), ridge (0.0001 to 10)"),
    ("prune m.onnx -o o.onnx --swaps gradient:tries=2.5", 2, "parameter 'tries' of swaps 'gradient' cannot be '2.5'", "a whole number from 1 to 100"),
    ("prune m.onnx -o o.onnx --repair bias:ridge=1", 2, "repair 'bias' has no parameters", None),
    ("prune m.onnx --data local.npz -o o.onnx --pattern 4294967298:4", 2, "pattern '4294967298:4' is not N:M with 1 <= N <= M", None),
    ("prune m.onnx --data local.npz -o o.onnx --pattern 2:4294967300", 2, "pattern '2:4294967300' is not N:M with 1 <= N <= M", None),
    ("prune m.onnx --data local.npz -o o.onnx --pattern block:4294967297x4", 2, "pattern 'block:4294967297x4' is not block:RxC, as in block:1x4", None),
    ("prune m.onnx --data random:99999999999999999999999 -o o.onnx", 2, "'random:99999999999999999999999': the seed is not a number", None),
    ("prune m.onnx -o o.onnx --pattern 2:x", 2, "--pattern cannot be '2:x'", "one of: unstructured, N:M, block:RxC, channel"),
    ("merge -o s", 2, "'merge' needs STATS...", "usage: fineprune merge STATS... -o STATS"),
    ("apply m.onnx -o o.onnx", 2, "'apply' needs --stats STATS", "'fineprune score MODEL --data SRC -o STATS' makes it"),
]


@case
def wrong_command_lines(place):
    for line, code, error, hint in WRONG:
        fails(place, line, code, error, hint)


@case
def outputs_are_refused_before_any_work(place):
    data = "--data local.npz"
    place.path("there.onnx").write_bytes(b"precious")
    fails(place, f"prune m.onnx {data} -o there.onnx", 2, "output 'there.onnx' exists", "-f overwrites it")
    same = "give the output another name; an input is never overwritten"
    os.symlink("m.onnx", place.path("link.onnx"))
    os.link(place.path("m.onnx"), place.path("hard.onnx"))
    for name in ("m.onnx", "./m.onnx", "link.onnx", "hard.onnx"):
        fails(place, f"prune m.onnx {data} -f -o {name}", 2, f"output '{name}' is the input 'm.onnx'", same)
    fails(place, f"prune m.onnx {data} -f -o local.npz", 2, "output 'local.npz' is the input 'local.npz'", same)
    fails(place, f"prune m.onnx {data} -o o.onnx --json=m.onnx -f", 2, "output 'm.onnx' is the input 'm.onnx'", same)
    fails(place, f"prune m.onnx {data} -o o.onnx --report o.onnx", 2, "two outputs are called 'o.onnx'")
    fails(place, f"prune m.onnx {data} -o none/o.onnx", 6,
          "cannot write 'none/o.onnx': the folder 'none': No such file or directory")
    fails(place, f"prune m.onnx {data} -o .", 2, "output '.' is a folder")


@case
def unreadable_input(place):
    ran = place.run("prune none.onnx --data local.npz -o o.onnx")
    equal(ran.code, 6, "exit code")
    assert "none.onnx" in ran.err, ran.err
    place.path("text.onnx").write_text("not a model")
    ran = place.run("inspect text.onnx")
    equal(ran.code, 3, "exit code")
    assert "text.onnx" in ran.err, ran.err


@case
def no_data_lists_the_inputs(place):
    ran = place.run("prune m.onnx -o o.onnx")
    equal(ran.code, 4, "exit code")
    assert ran.err.startswith("fineprune: error: ") and "signal" in ran.err and ".npz" in ran.err, ran.err
    assert "o.onnx" not in place.names()


# ---- texts


@case
def help_texts(place):
    ran = works(place, "--help")
    equal(ran.err, "", "standard error")
    equal(works(place, "help").out, ran.out, "help")
    assert "What goes where\n  Summaries, progress and errors go to standard error" in ran.out.decode(), ran.out
    commands = re.findall(r"^  (\w+) +\S", ran.out.decode().split("Commands\n")[1].split("\n\n")[0], re.M)
    equal(commands, ["prune", "score", "merge", "apply", "compact", "run", "compare", "inspect", "check", "show"], "commands")
    for command in commands:
        ran = works(place, f"{command} --help")
        equal(works(place, f"help {command}").out, ran.out, f"help {command}")
        text = ran.out.decode()
        assert text.startswith(f"usage: fineprune {command} "), text[:80]
        assert "--color auto|always|never" in text, command
        for line in text.splitlines()[1:]:
            assert len(line) <= 80 or line.startswith("  fineprune "), line


@case
def version_and_lists(place):
    ran = works(place, "--version")
    assert re.match(rb"fineprune \d+\.\d+\.\d+ \(.*oneDNN.*\)\n$", ran.out), ran.out
    ran = works(place, "--list")
    for word in ("method", "fine-pruning", "wanda", "magnitude", "paper", "lamp", "least-squares", "hebbian", "unstructured", "Conv"):
        assert word in ran.out.decode().split(), word
    ran = works(place, "--list=score")
    equal(ran.out.decode().splitlines()[0], "score", "first line")
    assert re.search(r"^    ridge=0.01 +0.0001 to 10: ", ran.out.decode(), re.M), ran.out


@case
def manual_page_and_completions(place):
    page = works(place, "--help-man").out
    assert page.startswith(b".TH FINEPRUNE 1"), page[:40]
    if shutil.which("groff"):
        groff = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True)
        equal((groff.returncode, groff.stderr), (0, b""), "groff")
    script = works(place, "--completion bash").out.decode()
    asked = subprocess.run(["bash", "-c", script + """
        COMP_WORDS=(fineprune pr); COMP_CWORD=1; _fineprune; echo "${COMPREPLY[@]}"
        COMP_WORDS=(fineprune prune --min); COMP_CWORD=2; _fineprune; echo "${COMPREPLY[@]}"
        COMP_WORDS=(fineprune prune --on-fail d); COMP_CWORD=3; _fineprune; echo "${COMPREPLY[@]}" """],
                           capture_output=True, text=True)
    equal(asked.stdout, "prune\n--min-agreement --min-taught-agreement\ndiscard\n", "bash completion")
    for shell in ("zsh", "fish"):
        assert b"min-agreement" in works(place, f"--completion {shell}").out


@case
def answers_at_once(place):
    for line in ("--help", "--version", "inspect m.onnx", "check m.onnx"):
        best = min(works(place, line).seconds for _ in range(3))
        assert harness.SANITIZED or best < 0.5, f"{line}: {best:.2f} s"


# ---- configuration


@case
def configuration(place):
    ran = works(place, "prune --data a --data b -s 0.6 -j 3 --no-metadata --print-config")
    config = json.loads(ran.out)
    equal(list(config)[:3], ["data", "reserve", "on-bad-file"], "first names")
    equal((config["data"], config["sparsity"], config["threads"], config["metadata"]), (["a", "b"], "0.6", 3, False), "values")
    place.path("c.json").write_bytes(ran.out)
    again = works(place, "prune --config c.json --print-config")
    equal(again.out, ran.out, "printed again")
    ran = works(place, "prune --config c.json --print-config -s 80% --data c --metadata")
    config = json.loads(ran.out)
    equal((config["data"], config["sparsity"], config["metadata"]), (["c"], "80%", True), "the command line wins")
    place.path("c.json").write_text('{"sparsity": "60%", "limit": 50, "labels": "for another command"}')
    ran = works(place, "prune m.onnx --data local.npz --config c.json --dry-run --json")
    equal(json.loads(ran.out)["data"]["samples"], 50, "samples")
    place.path("c.json").write_text('{"sparsty": "60%"}')
    fails(place, "prune m.onnx --config c.json -o o.onnx", 2, "unknown option 'sparsty' in 'c.json'", "did you mean 'sparsity'?")
    place.path("c.json").write_text('{"sparsity": "60%"')
    fails(place, "prune m.onnx --config c.json -o o.onnx", 2, "'c.json' is not JSON: line 1: '}' expected near end of file")


# ---- prune


PRUNE = "prune m.onnx --data local.npz"


@case
def a_limit_takes_the_same_from_every_kind_of_file(place):
    """Stored, compressed, columns first, of another byte order and type, along another axis, on standard input, in one file or in many."""
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    plain = np.arange(500 * 6, dtype=np.float32).reshape(500, 3, 2)
    for axis, name in ((0, "rows.onnx"), (1, "steps.onnx")):
        dims = ["batch", 3, 2] if axis == 0 else ["time", "batch", 2]
        graph = onnx.helper.make_graph([node], "g", [onnx.helper.make_tensor_value_info("x", 1, dims)], [onnx.helper.make_tensor_value_info("y", 1, dims)])
        onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]), place.path(name))
    steps = np.ascontiguousarray(plain.transpose(1, 0, 2))
    columns, turned = np.asfortranarray(plain), np.asfortranarray(steps)
    assert columns.flags.f_contiguous and not columns.flags.c_contiguous
    for folder in ("npz", "npy", "packed"):
        place.path(folder).mkdir()
        for i in range(100):
            part = plain[5 * i:5 * i + 5]
            {"npz": lambda p: np.savez(p, x=part), "npy": lambda p: np.save(p, part), "packed": lambda p: np.savez_compressed(p, x=np.asfortranarray(part))}[
                folder](place.path(f"{folder}/{i:03d}"))
    for name, array in (("rows", plain), ("columns", columns), ("big", plain.astype(">f8")), ("half", columns.astype(np.int16)), ("steps", steps), ("turned", turned)):
        np.savez(place.path(f"{name}.npz"), x=array)
        np.savez_compressed(place.path(f"{name}_packed.npz"), x=array)
        np.save(place.path(f"{name}.npy"), array)
    for limit in (1, 17, 499, 500, 600):
        found = None
        for source in ("rows.npz", "rows_packed.npz", "rows.npy", "columns.npz", "columns_packed.npz", "columns.npy", "big.npz", "big_packed.npz", "big.npy",
                       "half.npz", "half_packed.npz", "half.npy", "npz", "npy", "packed", "-rows_packed.npz", "-columns.npz", "steps.npz", "steps_packed.npz",
                       "steps.npy", "turned.npz", "turned_packed.npz", "turned.npy", "-turned_packed.npz"):
            model, stdin = "steps.onnx" if "steps" in source or "turned" in source else "rows.onnx", None
            if source[0] == "-":
                source, stdin = "-", place.path(source[1:]).read_bytes()
            works(place, f"run {model} --data {source} --limit {limit} -o o.npz -f", stdin=stdin)
            got = np.load(place.path("o.npz"))["y"]
            if model == "steps.onnx":
                got = got.squeeze(2) if got.ndim == 4 else got.transpose(1, 0, 2)
            if found is None:
                taken = got[:, 0, 0].astype(int) // 6
                assert len(taken) == min(limit, 500) and (np.diff(taken) > 0).all(), taken
                equal(got.tobytes(), plain[taken].tobytes(), "samples")
                found = got
            assert got.shape == found.shape and (got == found).all(), f"{source} with a limit of {limit}: other samples"


@case
def weights_that_are_no_numbers_are_the_models_fault(place):
    """File, initializer and element are told, of any type and place, before a sample is looked at; a weight that is left out may have them."""
    random = np.random.default_rng(0)
    np.savez(place.path("x.npz"), x=random.standard_normal((40, 4)).astype(np.float32))
    tensors = {"w0": random.standard_normal((4, 6)), "b": np.zeros(6), "w1": random.standard_normal((6, 3))}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", n]) for name, n in (("x", 4), ("y", 3))]

    def make(bad, element, value, dtype=np.float32):
        arrays = {name: t.astype(np.float32) for name, t in tensors.items()}
        arrays[bad] = arrays[bad].astype(dtype)
        arrays[bad][element] = value
        given = {name: name for name in arrays}
        nodes = []
        if dtype != np.float32:
            given[bad] = "cast"
            nodes.append(helper.make_node("Cast", [bad], ["cast"], to=TensorProto.FLOAT))
        nodes += [helper.make_node("Gemm", ["x", given["w0"], given["b"]], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
                  helper.make_node("MatMul", ["r", given["w1"]], ["y"])]
        graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(t, name) for name, t in arrays.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, place.path("bad.onnx"))

    for bad, element, value, dtype, word in (("w0", (0, 5), np.nan, np.float32, "NaN"), ("w1", (5, 2), -np.inf, np.float32, "an infinite value"),
                                             ("b", (3,), np.inf, np.float32, "an infinite value"), ("b", (0,), np.nan, np.float32, "NaN"),
                                             ("w0", (3, 0), np.nan, np.float16, "NaN"), ("w1", (0, 0), np.inf, np.float16, "an infinite value")):
        make(bad, element, value, dtype)
        why = f"'bad.onnx': initializer '{bad}' has {word} at [{','.join(map(str, element))}]"
        for line in ("score bad.onnx --data x.npz -f -q -o s.stats", "prune bad.onnx --data x.npz -f -q -o o.onnx",
                     "prune bad.onnx --method magnitude -f -q -o o.onnx"):
            fails(place, line, 3, why)
        assert f"obstacle {why}\n" in works(place, "check bad.onnx", 3).out.decode()
    works(place, "prune bad.onnx --method magnitude --exclude w1 -f -q -o o.onnx")
    works(place, "inspect bad.onnx")


@case
def functions_take_no_operators_place(place):
    """A function called as an operator of ONNX, in any spelling of its domain, is not run where the operator is meant: what ONNX Runtime says counts."""
    x = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    np.savez(place.path("x.npz"), x=x)
    weight = numpy_helper.from_array(np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", n]) for name, n in (("x", 4), ("y", 3))]
    for domain, spelling in (("", ""), ("", "ai.onnx"), ("ai.onnx", ""), ("ai.onnx", "ai.onnx"), ("ai.onnx.ml", "ai.onnx.ml"), ("own", "own")):
        for name in ("Relu", "Softmax", "Gelu", "Normalizer", "Nothing"):
            nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node(name, ["h"], ["y"], domain=spelling)]
            imports = [helper.make_opsetid("", 20)] + [helper.make_opsetid(spelling, 1)] * (spelling in ("own", "ai.onnx.ml"))
            model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight]), opset_imports=imports)
            model.ir_version = 10
            model.functions.append(helper.make_function(domain, name, ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], imports[:1]))
            onnx.save(model, place.path("f.onnx"))
            options = ort.SessionOptions()
            options.log_severity_level = 4
            try:
                expected = ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]
            except Exception:  # of many kinds
                expected = None
            ran = place.run("run f.onnx --data x.npz -f -q -o y.npz")
            if expected is None or spelling == "ai.onnx.ml":
                equal(ran.code, 3, f"exit code of {spelling}.{name}")
                continue
            equal((ran.code, ran.err), (0, ""), f"{spelling}.{name}")
            np.testing.assert_allclose(np.load(place.path("y.npz"))["y"], expected, atol=1e-5, err_msg=f"{domain}|{spelling}.{name}")


@case
def errors_name_their_file(place):
    """What is wrong with a node comes with the model's file, of two models the right one; what is wrong with statistics with theirs."""
    np.savez(place.path("x.npz"), x=np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32))

    def make(name, nodes, rows=4, columns=3):
        weight = numpy_helper.from_array(np.random.default_rng(columns).standard_normal((rows, columns)).astype(np.float32), "w")
        ends = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", n]) for value, n in (("x", None), ("y", None))]
        model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight]), opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, place.path(name))

    product = helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")
    make("good.onnx", [product])
    make("other.onnx", [product], columns=5)
    make("rows.onnx", [product], rows=5)
    make("reads.onnx", [helper.make_node("MatMul", ["q", "w"], ["y"], name="mm")])
    make("circle.onnx", [helper.make_node("MatMul", ["h", "w"], ["h"], name="mm"), helper.make_node("Relu", ["h"], ["y"])])
    differ = "'rows.onnx': node 'mm' (MatMul, opset 17): the inner extents 4 and 5 differ"
    for line in ("run rows.onnx --data x.npz -f -o y.npz", "prune rows.onnx --data x.npz -f -o o.onnx", "score rows.onnx --data x.npz -f -o s.stats",
                 "compare good.onnx rows.onnx --data x.npz"):
        fails(place, line, 3, differ)
    assert f"obstacle {differ}\n" in works(place, "check rows.onnx --data x.npz", 3).out.decode()
    fails(place, "inspect reads.onnx", 3, "'reads.onnx': node 'mm' (MatMul) reads 'q', which nothing in the model makes")
    fails(place, "inspect circle.onnx", 3, "'circle.onnx': the graph has a cycle through node 'mm' (MatMul)")
    for name in ("good", "other"):
        works(place, f"score {name}.onnx --data x.npz -q -o {name}.stats")
    fails(place, "apply good.onnx --stats other.stats -f -o o.onnx", 4, "'other.stats': the statistics belong to another model than 'good.onnx'")
    fails(place, "merge good.stats other.stats -f -o all.stats", 4, "'other.stats': the statistics belong to another model than those of 'good.stats'")


@case
def samples_without_elements_are_told(place):
    """Nothing can be learnt from them or measured with them; a model that takes them runs, and one of several inputs may be empty."""
    steps = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "T", 4]) for name in ("x", "past")]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "T", 3])]
    weight = [numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32), "w")]
    product = helper.make_node("MatMul", ["all", "w"], ["y"])
    for name, inputs, first in (("one", steps[:1], helper.make_node("Identity", ["x"], ["all"])),
                                ("two", steps, helper.make_node("Concat", ["past", "x"], ["all"], axis=1))):
        model = helper.make_model(helper.make_graph([first, product], name, inputs, out, weight), opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, place.path(f"{name}.onnx"))
    there, none = np.ones((5, 3, 4), np.float32), np.ones((5, 0, 4), np.float32)
    np.savez(place.path("none.npz"), x=none, past=none)
    np.savez(place.path("half.npz"), x=there, past=none)
    np.save(place.path("zero.npy"), np.ones((0, 3, 4), np.float32))
    np.save(place.path("empty.npy"), none)
    commands = ("score {} {} -f -q -o s.stats", "prune {} {} -f -q -o o.onnx", "compare {0} {0} {1}")
    for command in commands:
        for data in ("--data none.npz", "--data none.npz --limit 2"):
            for model in ("one.onnx", "two.onnx"):
                fails(place, command.format(model, data), 4, "'none.npz': array 'x' is float32 [5,0,4]: its samples have no elements")
        fails(place, command.format("one.onnx", "--data empty.npy"), 4, "'empty.npy' is float32 [5,0,4]: its samples have no elements")
        fails(place, command.format("one.onnx", "--data zero.npy"), 4, "'zero.npy' is float32 [0,3,4] and holds no samples (axis 0 has length 0)")
        works(place, command.format("two.onnx", "--data half.npz"))
    works(place, "run one.onnx --data none.npz -f -q -o y.npz")
    equal(np.load(place.path("y.npz"))["y"].shape, (5, 0, 3), "what comes out")
    told = works(place, "check one.onnx --data none.npz", 4).out.decode()
    assert "obstacle 'none.npz': array 'x' is float32 [5,0,4]: its samples have no elements\n" in told, told


@case
def prune_says_nine_lines(place):
    ran = works(place, f"{PRUNE} -o o.onnx -s 70%")
    equal(ran.out, b"", "standard output")
    wanted = ["verdict", "model", "data", "task", "pruned", "outputs", "learned", "drift", "size", "wrote"]
    equal([label for label in labels_of(ran.err) if label not in ("gate", "note")], wanted, "labels")
    lines = {line.split(" ", 1)[0]: line for line in ran.err.splitlines()}
    assert lines["model"].startswith("model    m.onnx, opset "), lines["model"]
    assert "(local.npz)" in lines["data"], lines["data"]
    assert re.match(r"pruned   (69\.[5-9]|70\.[0-5])% zeros: ", lines["pruned"]), lines["pruned"]
    assert re.match(r"outputs  (your data show|all stay as they are: )", lines["outputs"]), lines["outputs"]
    assert re.match(r"learned  (by the last layer from your data, at strength |nothing from your data: )", lines["learned"]), lines["learned"]
    assert "do not make a dense runtime faster" in lines["size"] and "--compact" in lines["size"], lines["size"]
    assert lines["wrote"].startswith("wrote    o.onnx"), lines["wrote"]
    onnx.checker.check_model(onnx.load(place.path("o.onnx")), full_check=True)


def verdict_of(ran):
    first = ran.err.splitlines()[0]
    assert first.startswith("verdict  "), ran.err
    return first.removeprefix("verdict  ")


def hard_model(place):
    """Eight layers of equal weights in which no synapse is worth less than another."""
    rng, n = np.random.default_rng(0), 16
    hadamard = np.ones((1, 1), np.float32)
    while len(hadamard) < n:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]]).astype(np.float32)
    nodes, weights, last = [], [], "x"
    for i in range(8):
        weights.append(onnx.numpy_helper.from_array((hadamard[rng.permutation(n)] * rng.choice([-1, 1], n) / 4).astype(np.float32), f"w{i}"))
        nodes += [onnx.helper.make_node("MatMul", [last, f"w{i}"], [f"y{i}"]), onnx.helper.make_node("Tanh", [f"y{i}"], [f"t{i}"])]
        last = f"t{i}"
    values = [onnx.helper.make_tensor_value_info(name, 1, ["n", n]) for name in ("x", last)]
    graph = onnx.helper.make_graph(nodes, "hard", values[:1], values[1:], weights)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("hard.onnx"))
    np.savez(place.path("hard.npz"), x=rng.standard_normal((200, n)).astype(np.float32))
    return "prune hard.onnx --data hard.npz --task other -j 1"


@case
def prune_tells_the_verdict_first(place):
    text = verdict_of(works(place, f"{PRUNE} -o o.onnx -s 70% --json=j.json --report r.html"))
    assert re.match(r"better for you, probably: what it learned changes \d\d of 242 answers to your samples, where ", text) and "asked" not in text, text
    told = json.loads(place.path("j.json").read_text())["verdict"]
    equal((told["text"], told["ruined"]), (text, False), "the report's verdict")
    measures = told["measures"]
    equal((told["kind"], measures["samples"], measures["all_samples"]), ("better", 24, 242), "the verdict's answers")
    assert measures["all_as_came"] < 0.95 * 242 and measures["all_as_without_zeros"] > 0.95 * 242, measures
    assert text.split(";")[0] in place.path("r.html").read_text(), "the page has no verdict"
    assert verdict_of(works(place, f"{PRUNE} -o p.onnx -s 70% --task other")).startswith("as good as before: the outputs differ by ")
    works(place, "score m.onnx --data local.npz -o s.fpstats")
    assert verdict_of(works(place, "apply m.onnx --stats s.fpstats -o q.onnx")).startswith("cannot tell: ")


def answering(place, name, tail, out, *stored):
    """m.onnx with nodes behind its scores, of which only 'answer' is an output; batches of any size."""
    m = onnx.load(place.path("m.onnx"))
    m.graph.node.extend(onnx.helper.make_node(op, [i or m.graph.output[0].name for i in ins], outs, **more) for op, ins, outs, more in tail)
    m.graph.initializer.extend(stored)
    del m.graph.output[:]
    m.graph.output.append(onnx.helper.make_tensor_value_info("answer", *out))
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, place.path(name))


@case
def a_model_that_only_says_the_class_is_pruned_as_the_one_with_scores(place):
    works(place, f"{PRUNE} -o scores.onnx -s 70%")
    wanted = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(place.path("scores.onnx")).graph.initializer}
    three = onnx.numpy_helper.from_array(np.array([3]), "three")
    tails = [([("ArgMax", [""], ["answer"], {"axis": 1, "keepdims": 0})], (7, ["n"])),
             ([("ArgMax", [""], ["k"], {"axis": -1}), ("Cast", ["k"], ["answer"], {"to": 6})], (6, ["n", 1])),
             ([("Softmax", [""], ["p"], {"axis": -1}), ("ArgMax", ["p"], ["answer"], {"axis": 1, "keepdims": 0})], (7, ["n"])),
             ([("TopK", ["", "three"], ["v", "answer"], {"axis": -1})], (7, ["n", 3]))]
    for i, (tail, out) in enumerate(tails):
        answering(place, "class.onnx", tail, out, *[three] * (tail[0][0] == "TopK"))
        works(place, "prune class.onnx --data local.npz -s 70% -o o.onnx -f --json=j.json")
        told = json.loads(place.path("j.json").read_text())
        equal(told["task"]["decided"], "classes", f"task with tail {i}")
        assert told["verdict"]["measures"]["samples"] == 24, told["verdict"]
        got = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(place.path("o.onnx")).graph.initializer}
        for name, values in wanted.items():
            assert np.array_equal(values, got[name]), f"tail {i}: '{name}' differs"


@case
def answers_that_no_layer_is_known_to_make_are_counted_all_the_same(place):
    answering(place, "bent.onnx", [("Tanh", [""], ["t"], {}), ("ArgMax", ["t"], ["answer"], {"axis": 1, "keepdims": 0})], (7, ["n"]))
    ran = works(place, "prune bent.onnx --data local.npz -s 90% -o o.onnx --json=j.json")
    told = json.loads(place.path("j.json").read_text())["verdict"]
    assert "held-back answers" in verdict_of(ran) and "nan" not in verdict_of(ran), verdict_of(ran)
    dense, pruned = (works(place, f"run {m} --data local.npz -o {m}.npz") and np.load(place.path(f"{m}.npz"))["answer"] for m in ("bent.onnx", "o.onnx"))
    same = np.mean(dense == pruned)
    assert same >= 0.75 or told["kind"] != "same", (same, told)
    assert abs(told["measures"]["as_came"] / told["measures"]["samples"] - same) < 0.25, (same, told["measures"])
    ruined = place.run("prune bent.onnx --data local.npz -s 98% --method magnitude -o p.onnx")
    assert "cannot tell" not in verdict_of(ruined), verdict_of(ruined)


@case
def a_layer_that_is_too_wide_is_not_refitted_and_that_is_said(place):
    rng, n = np.random.default_rng(1), 12300
    weights = [onnx.numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) / shape[0] ** .5, name) for name, shape in (("wide", (n, 6)), ("last", (6, 4)))]
    nodes = [onnx.helper.make_node("MatMul", ["x", "wide"], ["h"]), onnx.helper.make_node("Relu", ["h"], ["r"]), onnx.helper.make_node("MatMul", ["r", "last"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [onnx.helper.make_tensor_value_info("x", 1, ["n", n])], [onnx.helper.make_tensor_value_info("y", 1, ["n", 4])], weights)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("wide.onnx"))
    np.savez(place.path("wide.npz"), x=rng.standard_normal((40, n)).astype(np.float32))
    ran = works(place, "prune wide.onnx --data wide.npz -s 50% --task other --max-memory 600M -o o.onnx")
    assert "weight 'wide' was not refitted: of its 12300 inputs a matrix would take 2.4 GB" in ran.err, ran.err


@case
def nothing_is_given_back_without_need(place):
    """Whatever is learned: scores that are off by little are worth all zeros."""
    for keep in ("", "--readout keep", "--outputs keep", "--readout keep --outputs keep"):
        ran = works(place, f"{PRUNE} -o o.onnx -f -s 50% {keep} --json=j.json")
        told = json.loads(place.path("j.json").read_text())
        assert told["pruned"]["sparsity"] > 0.49 and "asked" not in verdict_of(ran), (keep, verdict_of(ran))
        assert told["verdict"]["kind"] != "worse" and told["verdict"]["measures"]["relative_error"] < 0.05, (keep, told["verdict"])


@case
def a_tenth_is_kept_in_reserve(place):
    for more, reserve in (("", 24), ("--limit 150", 20), ("--limit 60", 12), ("--limit 60 --reserve 50%", 30), ("--reserve 20%", 48), ("--reserve auto", 24)):
        ran = works(place, f"{PRUNE} -o o.onnx -f --method magnitude {more} --json")
        equal(json.loads(ran.out)["data"]["reserve"], reserve, f"reserve with '{more}'")


@case
def what_is_not_batch_major_is_refitted_as_well(place):
    """Rows of [time, samples, features] lie in another order in batches of another size."""
    rng = np.random.default_rng(5)
    weight = lambda name, *shape: onnx.numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) / shape[0] ** .5, name)
    nodes = [onnx.helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), onnx.helper.make_node("MatMul", ["t", "w"], ["a"]),
             onnx.helper.make_node("Relu", ["a"], ["b"]), onnx.helper.make_node("MatMul", ["b", "v"], ["c"]),
             onnx.helper.make_node("Relu", ["c"], ["d"]), onnx.helper.make_node("MatMul", ["d", "u"], ["e"]),
             onnx.helper.make_node("ReduceMean", ["e"], ["y"], axes=[0], keepdims=0)]
    value = lambda name, shape: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    graph = onnx.helper.make_graph(nodes, "g", [value("x", ["n", 10, 8])], [value("y", ["n", 3])],
                                   [weight("w", 8, 64), weight("v", 64, 64), weight("u", 64, 3)])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("time.onnx"))
    np.savez(place.path("time.npz"), x=rng.standard_normal((100, 1, 8)).astype(np.float32) + rng.standard_normal((100, 10, 8)).astype(np.float32))
    error = {}
    for batch in ("1", "7", "64"):
        line = f"prune time.onnx --data time.npz -s 50% --task other --strict-sparsity -f -o o.onnx --json --batch {batch}"
        error[batch] = json.loads(works(place, line).out)["verdict"]["measures"]["relative_error"]
    assert max(error.values()) < 1.5 * error["1"] < 0.1, error


@case
def samples_that_are_all_the_same_tell_nothing(place):
    session = ort.InferenceSession(place.path("gesture.onnx"))
    entry = session.get_inputs()[0]
    one = np.random.default_rng(1).standard_normal([1] + [d if isinstance(d, int) else 1 for d in entry.shape[1:]]).astype(np.float32)
    for count in (1, 60):
        np.savez(place.path("same.npz"), **{entry.name: np.repeat(one, count, 0)})
        ran = place.run("prune gesture.onnx --data same.npz -s 70% -f -o o.onnx")
        assert ran.code == 0 and ran.err.startswith("verdict  cannot tell: your samples are all the same to the model"), ran.err


@case
def a_ruined_result_gives_zeros_back(place):
    text = verdict_of(works(place, f"{PRUNE} -o o.onnx -s 90% --pattern channel --json=j.json"))
    told = json.loads(place.path("j.json").read_text())
    assert re.search(r"; \d+ % zeros, not the 90 % that were asked: more would cost too much", text), text
    assert not told["verdict"]["ruined"] and 0.45 <= told["pruned"]["sparsity"] < 0.88, told["pruned"]
    equal(told["pruned"]["asked"], 0.9, "asked")
    text = verdict_of(works(place, f"{PRUNE} -o p.onnx -s 90% --pattern channel --strict-sparsity -f --json=j.json"))
    told = json.loads(place.path("j.json").read_text())
    assert text.startswith("ruined: ") and "--strict-sparsity" in text, text
    assert told["verdict"]["kind"] == "worse" and told["verdict"]["ruined"] and told["pruned"]["sparsity"] >= 0.88, told["pruned"]


@case
def few_samples_give_zeros_back_unless_told_not_to(place):
    plain = f"{PRUNE} -s 98% --channels none --swaps none --refit none"
    text = verdict_of(works(place, f"{plain} -o o.onnx"))
    got = re.search(r"; (\d+) % zeros, not the 98 % that were asked: more would cost too much", text)
    assert got and 49 <= int(got[1]) <= 96, text
    text = verdict_of(works(place, f"{plain} -o p.onnx --strict-sparsity"))
    assert text.startswith("ruined: "), text


@case
def a_method_asked_for_keeps_its_zeros_and_is_told(place):
    for method in ("wanda", "magnitude"):
        text = verdict_of(works(place, f"{PRUNE} -o o.onnx -f -s 90% --method {method} --json=j.json"))
        assert text.startswith("ruined: "), text
        assert json.loads(place.path("j.json").read_text())["pruned"]["sparsity"] > 0.89


@case
def what_no_share_of_zeros_saves_is_refused(place):
    line = hard_model(place)
    ran = place.run(f"{line} -o o.onnx -s 80% --json=j.json")
    equal(ran.code, 5, "exit code")
    assert "pruning ruins this model: even 40 % zeros " in ran.err, ran.err
    assert verdict_of(ran).startswith("ruined: ") and "no share of zeros that was tried is safe" in ran.err, ran.err
    assert not place.path("o.onnx").exists(), "a ruined model was written"
    assert json.loads(place.path("j.json").read_text())["verdict"]["ruined"]
    assert verdict_of(works(place, f"{line} -o o.onnx -s 80% --strict-sparsity")).startswith("ruined: ")


def conv_network(place, name="cnn.onnx"):
    """Convolutions with all that channels pass through: depthwise, clipping, padding, a gate, a residual sum, pooling, two products."""
    random, node = np.random.default_rng(11), onnx.helper.make_node
    weight = lambda *shape: (random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
    weights = {"stem": weight(128, 3, 3, 3), "stem_b": weight(128, 1)[:, 0], "dw": weight(128, 1, 3, 3), "dw_b": weight(128, 1)[:, 0],
               "low": np.float32(0), "high": np.float32(6), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
               "mid": weight(96, 128, 1, 1), "mid_b": weight(96, 1)[:, 0], "gate_a": weight(16, 96, 1, 1), "gate_b": weight(96, 16, 1, 1),
               "far": weight(64, 96, 3, 3), "res": weight(64, 64, 1, 1), "hid": weight(160, 64), "hid_b": weight(160, 1)[:, 0], "out": weight(9, 160),
               "out_b": weight(9, 1)[:, 0]}
    nodes = [node("Conv", ["x", "stem", "stem_b"], ["a"], pads=[1] * 4), node("Clip", ["a", "low", "high"], ["a1"]), node("Pad", ["a1", "pads"], ["a2"]),
             node("Conv", ["a2", "dw", "dw_b"], ["b"], group=128), node("Relu", ["b"], ["b1"]), node("Conv", ["b1", "mid", "mid_b"], ["c"]),
             node("Sigmoid", ["c"], ["c1"]), node("Mul", ["c", "c1"], ["c2"]), node("GlobalAveragePool", ["c2"], ["s"]),
             node("Conv", ["s", "gate_a"], ["s1"]), node("Relu", ["s1"], ["s2"]), node("Conv", ["s2", "gate_b"], ["s3"]), node("Sigmoid", ["s3"], ["s4"]),
             node("Mul", ["c2", "s4"], ["c3"]), node("Conv", ["c3", "far"], ["d"]), node("Conv", ["d", "res"], ["e"]), node("Add", ["d", "e"], ["f"]),
             node("GlobalAveragePool", ["f"], ["g"]), node("Flatten", ["g"], ["h"]), node("Gemm", ["h", "hid", "hid_b"], ["i"], transB=1),
             node("Relu", ["i"], ["j"]), node("Gemm", ["j", "out", "out_b"], ["y"], transB=1)]
    store_network(place, name, nodes, {"y": (onnx.TensorProto.FLOAT, ["N", 9])}, weights, [3, 10, 10])
    np.savez(place.path("cnn.npz"), x=random.standard_normal((60, 3, 10, 10)).astype(np.float32) + random.standard_normal((60, 3, 1, 1)).astype(np.float32))
    np.savez(place.path("later.npz"), x=random.standard_normal((40, 3, 10, 10)).astype(np.float32) + random.standard_normal((40, 3, 1, 1)).astype(np.float32))


@case
def channels_go_whole(place):
    """What makes a channel that was cut and all that reads it are zero, and nothing else reads it: its bias may be anything."""
    conv_network(place)
    ran = works(place, "prune cnn.onnx --data cnn.npz -s 70% --task other -o o.onnx --json")
    channels = json.loads(ran.out)["channels"]
    assert channels["removed"] >= 64 and channels["zeros"] > 0.35 * json.loads(ran.out)["pruned"]["zeros"], channels
    model = onnx.load(place.path("o.onnx"))
    array = {i.name: i for i in model.graph.initializer}
    values = {name: onnx.numpy_helper.to_array(i) for name, i in array.items()}
    cut = 0
    for maker, bias, readers in (("stem", "stem_b", ["mid"]), ("mid", "mid_b", ["gate_a", "far"]), ("hid", "hid_b", ["out"])):
        rows = [k for k in range(len(values[maker])) if not values[maker][k].any() and all(not values[r][:, k].any() for r in readers)]
        changed = values[bias].copy()
        changed[rows] = 7
        array[bias].CopyFrom(onnx.numpy_helper.from_array(changed, bias))
        cut += len(rows)
        assert (len(values[maker]) - len(rows)) % 16 == 0 and len(rows) <= len(values[maker]) - 64, (maker, len(rows))
    equal(cut, channels["removed"], "channels of which nothing is left")
    seen = {layer["name"]: layer for layer in json.loads(works(place, "inspect o.onnx --json").out)["layers"]}
    for name in ("stem", "mid", "hid", "out", "far"):
        w = values[name].reshape(len(values[name]), -1)
        equal([seen[name].get(k, 0) for k in ("zero_rows", "zero_columns")], [int((~w.any(1)).sum()), int((~w.any(0)).sum())], f"inspect: {name}")
    told = works(place, "inspect o.onnx").out.decode()
    assert "of them in whole rows and columns" in told and "zero columns" in told, told
    foretold = json.loads(works(place, "inspect o.onnx --json").out)
    done = json.loads(works(place, "compact o.onnx -o smaller.onnx --json").out)
    for member in ("channels", "removed", "stay", "parameters_before", "parameters"):
        equal(foretold["compact"][member], done["compact"][member], f"compact.{member}, foretold by inspect")
    equal(foretold["macs"]["compact"], done["macs"]["compact"], "multiply-adds foretold")
    equal([foretold["compact"][k] for k in ("bytes_before", "bytes")], [place.path(f).stat().st_size for f in ("o.onnx", "smaller.onnx")], "bytes foretold")
    assert f"\ncompact  {done['compact']['removed']} of {done['compact']['channels']} hidden channels can be taken out of the shapes: " in told, told
    onnx.save(model, place.path("changed.onnx"))
    x = np.load(place.path("later.npz"))["x"]
    one, other = (ort.InferenceSession(str(place.path(f))).run(None, {"x": x})[0] for f in ("o.onnx", "changed.onnx"))
    assert np.abs(one - other).max() < 1e-5, np.abs(one - other).max()
    none = json.loads(works(place, "prune cnn.onnx --data cnn.npz -s 70% --task other --channels none -o n.onnx --json").out)
    assert "channels" not in none or not none["channels"], none["channels"]


def three_of_many_classes(place):
    """A network of 400 classes, and data in which three of them occur."""
    random, node = np.random.default_rng(5), onnx.helper.make_node
    first = random.standard_normal((256, 32)).astype(np.float32) / 6
    centres = 3 * random.standard_normal((3, 32)).astype(np.float32)
    x = (centres[np.arange(150) % 3] + random.standard_normal((150, 32))).astype(np.float32)
    last = 0.02 * random.standard_normal((400, 256)).astype(np.float32)
    last[:3] += 0.1 * (np.maximum(centres @ first.T, 0) - np.maximum(centres @ first.T, 0).mean(0))
    store_network(place, "three.onnx", [node("Gemm", ["x", "first"], ["h"], transB=1), node("Relu", ["h"], ["r"]), node("Gemm", ["r", "last", "b"], ["y"], transB=1)],
                  {"y": (onnx.TensorProto.FLOAT, ["N", 400])}, {"first": first, "last": last, "b": np.zeros(400, np.float32)}, [32])
    np.savez(place.path("three.npz"), x=x)


@case
def rows_of_classes_count_as_channels(place):
    """Three of 400 classes occur: the rows of the others are more than half of the zeros, and no channel need go besides."""
    three_of_many_classes(place)
    report = json.loads(works(place, "prune three.onnx --data three.npz -s 70% --task classes -o o.onnx --json").out)
    outputs, zeros = report["outputs"], report["pruned"]["zeros"]
    equal(outputs["zeros"], outputs["pruned"] * 256, "zeros of removed outputs")
    assert outputs["pruned"] > 390 and outputs["zeros"] > 0.5 * zeros, outputs
    equal(report["channels"]["removed"], 0, "channels")
    told = works(place, "prune three.onnx --data three.npz -s 70% --task classes -o two.onnx").err
    assert "of them in whole channels and outputs" in told, told


def heads_of_many_classes(place):
    """The same network with other ends: (whether its classes can leave, nodes behind r, tensors) by name."""
    node, last = onnx.helper.make_node, layers_of(place, "three.onnx")["last"]
    tensors = {"last": last, "b": np.linspace(-0.1, 0.1, 400).astype(np.float32)}
    gemm = lambda out: node("Gemm", ["r", "last", "b"], [out], transB=1)
    scale = {"s": np.linspace(0.9, 1.1, 400).astype(np.float32).reshape(1, 400)}
    return {"gemm": (True, [gemm("y")], tensors),
            "softmax": (True, [node("MatMul", ["r", "turned"], ["p"]), node("Add", ["p", "b"], ["l"]), node("Softmax", ["l"], ["y"], axis=1)],
                        {"turned": last.T.copy(), "b": tensors["b"]}),
            "scaled": (True, [gemm("l"), node("Mul", ["l", "s"], ["y"])], {**tensors, **scale}),
            "pointwise": (True, [node("Unsqueeze", ["r", "axes"], ["u"]), node("Conv", ["u", "kernel", "b"], ["c"]), node("GlobalAveragePool", ["c"], ["g"]),
                                 node("Flatten", ["g"], ["y"])], {"axes": np.array([2, 3]), "kernel": last[:, :, None, None].copy(), "b": tensors["b"]}),
            "named": ("a Reshape behind the last layer names the number of classes", [gemm("l"), node("Reshape", ["l", "shape"], ["y"])],
                      {**tensors, "shape": np.array([-1, 400])}),
            "shared": (True, [gemm("l"), node("Add", ["l", "b"], ["y"])], tensors)}


@case
def removed_classes_leave_the_output(place):
    """--shrink-outputs: the columns that stay are those of the model that keeps its shape; names and numbers of the classes go along."""
    node = onnx.helper.make_node
    three_of_many_classes(place)
    first = layers_of(place, "three.onnx")["first"]
    for name, (can, nodes, tensors) in heads_of_many_classes(place).items():
        store_network(place, "head.onnx", [node("Gemm", ["x", "first"], ["h"], transB=1), node("Relu", ["h"], ["r"]), *nodes], {"y": (onnx.TensorProto.FLOAT, ["N", 400])},
                      {"first": first, **tensors}, [32])
        model = onnx.load(place.path("head.onnx"))
        onnx.helper.set_model_props(model, {"labels": ",".join(f"c{k}" for k in range(400)), "names": json.dumps([f"n{k}" for k in range(400)]), "classes": "some",
                                               "class_names": str({k: f"it's, {k}" for k in range(400)}), "id2label": json.dumps({str(k): f"l{k}" for k in range(400)}),
                                               "label2id": json.dumps({f"a: {k}": k for k in range(400)})})
        onnx.save(model, place.path("head.onnx"))
        line = "prune head.onnx --data three.npz -s 60% --task classes -f"
        if can is not True:
            ran = place.run(f"{line} --shrink-outputs -o small.onnx")
            equal((ran.code, f"the outputs cannot shrink: {can}" in ran.err, place.path("small.onnx").exists()), (5, True, False), name)
            continue
        report = json.loads(works(place, f"{line} --shrink-outputs -o small.onnx --json").out)
        works(place, f"{line} -o whole.onnx")
        kept = report["outputs"]["kept"]
        assert report["outputs"]["shrunk"] and len(kept) == 400 - report["outputs"]["pruned"] < 10, report["outputs"]
        small, x = onnx.load(place.path("small.onnx")), np.load(place.path("three.npz"))["x"]
        onnx.checker.check_model(small, full_check=True)
        equal([d.dim_value for d in small.graph.output[0].type.tensor_type.shape.dim][1:], [len(kept)], f"{name}: declared")
        whole, got = (ort.InferenceSession(str(place.path(f))).run(None, {"x": x})[0] for f in ("whole.onnx", "small.onnx"))
        expected = whole[:, kept]
        if name == "softmax":
            expected = expected / expected.sum(1, keepdims=True)
        equal(got.shape, expected.shape, f"{name}: shape")
        assert np.abs(got - expected).max() <= 2e-6 * np.abs(expected).max(), (name, np.abs(got - expected).max())
        told = {p.key: p.value for p in small.metadata_props}
        equal([json.loads(told["fineprune.outputs_kept"]), told["labels"], json.loads(told["names"]), told["classes"]],
              [kept, ",".join(f"c{k}" for k in kept), [f"n{k}" for k in kept], "some"], f"{name}: metadata")
        equal([ast.literal_eval(told["class_names"]), json.loads(told["id2label"]), json.loads(told["label2id"])],
              [{i: f"it's, {k}" for i, k in enumerate(kept)}, {str(i): f"l{k}" for i, k in enumerate(kept)}, {f"a: {k}": i for i, k in enumerate(kept)}],
              f"{name}: dictionaries")
        assert place.path("small.onnx").stat().st_size < place.path("whole.onnx").stat().st_size, name
        assert report["size"]["after"]["raw"] <= place.path("small.onnx").stat().st_size, report["size"]
        place.path("small.onnx").unlink()
    ran = place.run("prune m.onnx --data local.npz --shrink-outputs -o small.onnx")
    equal((ran.code, "the outputs cannot shrink: " in ran.err, place.path("small.onnx").exists()), (5, True, False), "no class is removed")
    fails(place, "prune m.onnx --data local.npz --shrink-outputs --outputs keep -o small.onnx", 2, "shrink-outputs needs outputs 'prune': 'keep' removes no classes",
          "add --outputs prune, or choose a method that has it")


def mixing_networks():
    """Networks whose 128 channels of `w` must not go whole, or only the right way: (nodes, weights, input shape, output shape) by name."""
    random, node = np.random.default_rng(12), onnx.helper.make_node
    weight = lambda *shape: (random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
    gemm = [node("Gemm", ["x", "w", "b"], ["a"], transB=1), node("Relu", ["a"], ["r"])]
    dense = {"w": weight(128, 32), "b": weight(128, 1)[:, 0], "v": weight(9, 128)}
    conv = [node("Conv", ["x", "w", "b"], ["a"], pads=[1] * 4), node("Relu", ["a"], ["r"])]
    kernels = {"w": weight(128, 3, 3, 3), "b": weight(128, 1)[:, 0]}
    steps = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["a"]), node("Relu", ["a"], ["r"])]
    products = {"w": weight(32, 128), "b": weight(128, 1)[:, 0], "v": weight(128, 9)}
    image, row, walk = [3, 8, 8], [32], [6, 32]
    return {
        "a sum of three": (gemm + [node("Gemm", ["x", "u"], ["c"], transB=1), node("Gemm", ["r", "v"], ["y"], transB=1), node("Sum", ["c", "r", "c"], ["z"])],
                           {**dense, "u": weight(128, 32)}, row, {"y": ["N", 9], "z": ["N", 128]}),
        "indices": (conv + [node("MaxPool", ["r"], ["p", "i"], kernel_shape=[2, 2], strides=[2, 2]), node("Conv", ["p", "k"], ["q"]),
                            node("MaxUnpool", ["q", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2])],
                    {**kernels, "k": weight(128, 128, 1, 1)}, image, {"y": ["N", 128, 8, 8]}),
        "positions": (conv + [node("Reshape", ["r", "shape"], ["f"]), node("MatMul", ["f", "v"], ["y"])],
                      {**kernels, "shape": np.array([-1, 128], np.int64), "v": weight(128, 9)}, [3, 8, 16], {"y": ["M", 9]}),
        "turned product": ([node("Reshape", ["x", "rows"], ["x1"]), node("Gemm", ["x1", "w", "b"], ["a"], transB=1), node("Relu", ["a"], ["r"]),
                            node("Gemm", ["r", "v"], ["y"], transA=1)], {**dense, "v": weight(128, 9), "rows": np.array([128, 32], np.int64)}, [128, 32], {"y": [128, 9]}),
        "pool over the last axis": (steps + [node("MaxPool", ["r"], ["p"], kernel_shape=[3], pads=[1, 1]), node("MatMul", ["p", "v"], ["y"])],
                                    products, walk, {"y": ["N", 6, 9]}),
        "norm over the last axis": (steps + [node("InstanceNormalization", ["r", "one", "zero"], ["p"]), node("MatMul", ["p", "v"], ["y"])],
                                    {**products, "one": np.ones(6, np.float32), "zero": np.zeros(6, np.float32)}, walk, {"y": ["N", 6, 9]}),
        "divisor": (gemm + [node("Abs", ["a"], ["n"]), node("Div", ["one", "n"], ["d"]), node("Clip", ["d", "low", "high"], ["e"]),
                            node("Gemm", ["e", "v"], ["y"], transB=1)],
                    {**dense, "one": np.float32(1), "low": np.float32(0), "high": np.float32(3)}, row, {"y": ["N", 9]}),
        "mean over channels": ([node("Conv", ["x", "w", "b"], ["a"]), node("Relu", ["a"], ["r"]), node("ReduceMean", ["r"], ["m"], axes=[-2, -1]),
                                node("Sub", ["r", "m"], ["s"]), node("Conv", ["s", "k"], ["y"])],
                               {"w": weight(128, 3, 3), "b": weight(128, 1)[:, 0], "k": weight(9, 128, 1)}, [3, 12], {"y": ["N", 9, 10]}),
        "flat": (conv + [node("GlobalAveragePool", ["r"], ["g"]), node("Reshape", ["g", "shape"], ["f"]), node("MatMul", ["f", "v"], ["y"])],
                 {**kernels, "shape": np.array([-1, 128], np.int64), "v": weight(128, 9)}, image, {"y": ["N", 9]}),
    }


@case
def channels_stop_at_what_mixes_them(place):
    """Whatever stands between: a row of which nothing is left is read by nobody, so that its bias may be anything."""
    cut = {}
    for name, (nodes, weights, shape, outputs) in mixing_networks().items():
        outputs = {output: (onnx.TensorProto.FLOAT, dims) for output, dims in outputs.items()}
        store_network(place, "mix.onnx", nodes, outputs, weights, shape, opset=13)
        x = np.random.default_rng(13).standard_normal((50, *shape)).astype(np.float32)
        np.savez(place.path("mix.npz"), x=x)
        ran = place.run("prune mix.onnx --data mix.npz -s 50% --channels first --strict-sparsity --task other --reserve 0% -f -o o.onnx --batch 1")
        assert ran.code == 0, (name, ran.err)
        model = onnx.load(place.path("o.onnx"))
        array = {i.name: i for i in model.graph.initializer}
        w, b = (onnx.numpy_helper.to_array(array[n]) for n in ("w", "b"))
        gone = ~(w.any(0) if len(w) == 32 else w.reshape(len(w), -1).any(1))
        array["b"].CopyFrom(onnx.numpy_helper.from_array(np.where(gone, np.float32(7), b), "b"))
        onnx.save(model, place.path("changed.onnx"))
        one, other = (ort.InferenceSession(str(place.path(f))) for f in ("o.onnx", "changed.onnx"))
        far = max(np.abs(p - q).max() for k in range(8) for p, q in zip(one.run(None, {"x": x[k:k + 1]}), other.run(None, {"x": x[k:k + 1]})))
        cut[name] = int(gone.sum())
        assert far < 1e-5, f"{name}: {cut[name]} channels went that are read ({far})"
    assert cut["flat"] >= 16, cut


@case
def channels_go_where_inputs_hardly_move(place):
    """Inputs whose spread is small beside their mean: rounding makes covariances that are not positive, which is no reason to keep all channels."""
    conv_network(place)
    x = np.load(place.path("cnn.npz"))["x"]
    np.savez(place.path("still.npz"), x=np.float32(0.01) * x + 1)
    zeros = [json.loads(works(place, f"prune cnn.onnx --data {data}.npz -s 60% --task other --strict-sparsity -f -o o.onnx --json").out)["channels"]["zeros"]
             for data in ("cnn", "still")]
    assert zeros[1] >= 0.9 * zeros[0], zeros


@case
def channels_leave_the_shapes(place):
    """compact, and --compact behind a pruning: the same file, smaller tensors, the same outputs; masks are of the shapes as they were."""
    conv_network(place)
    works(place, "prune cnn.onnx --data cnn.npz -s 60% --task other --strict-sparsity --no-metadata -f -o p.onnx")
    ran = works(place, "compact p.onnx -o c.onnx --json=c.json")
    told = json.loads(place.path("c.json").read_text())["compact"]
    assert told["removed"] >= 16 and told["parameters"] < told["parameters_before"], told
    assert f"{told['removed']} of {told['channels']} hidden channels are out of the shapes" in ran.err, ran.err
    works(place, "prune cnn.onnx --data cnn.npz -s 60% --task other --strict-sparsity --no-metadata -f -o q.onnx --compact --masks m.npz")
    equal(place.path("c.onnx").read_bytes(), place.path("q.onnx").read_bytes(), "compact, and prune --compact")
    shapes = {t.name: tuple(t.dims) for t in onnx.load(place.path("cnn.onnx")).graph.initializer}
    for name, mask in np.load(place.path("m.npz")).items():
        equal(mask.shape, shapes[name], f"mask of {name}")
    for name in ("p", "c"):
        works(place, f"run {name}.onnx --data cnn.npz -f -o {name}.npz")
    before, after = (dict(np.load(place.path(f"{name}.npz"))) for name in ("p", "c"))
    for name in before:
        assert np.allclose(before[name], after[name], atol=1e-5), name
    report = json.loads(works(place, "compact c.onnx -f -o again.onnx --json").out)["compact"]
    equal(report["removed"], 0, "what a second time takes out")
    report = json.loads(works(place, "compact p.onnx --round 1 -f -o one.onnx --json").out)["compact"]
    assert report["removed"] >= told["removed"] and report["stay"] == 0, report
    works(place, "compact p.onnx -f -o e.onnx --external-data always")
    works(place, "compact e.onnx -f -o f.onnx")
    works(place, "compact p.onnx --dry-run -f -o none.onnx")
    assert not place.path("none.onnx").exists()
    fails(place, "compact p.onnx -f -o p.onnx", 2, "output 'p.onnx' is the input 'p.onnx'", "give the output another name; an input is never overwritten")
    equal(place.run("compact p.onnx").code, 2, "exit code without an output")


@case
def channels_leave_behind_powers_and_pools(place):
    """Powers by a constant keep channels apart, and so do reductions along other axes, wherever the channels lie; those along the channels do not."""
    node, rng = onnx.helper.make_node, np.random.default_rng(5)
    cube = np.array(3, np.float32)

    def pooled(kind, axes, keep=0):
        if kind == "ReduceSum":
            return [node(kind, ["h", "axes"], ["p"], keepdims=keep)], {"axes": np.array(axes)}
        return [node(kind, ["h"], ["p"], axes=axes, keepdims=keep)], {}

    kinds = ("Max", "Mean", "Min", "Prod", "L1", "L2", "LogSumExp", "Sum", "SumSquare")
    cases = {f"{kind} over samples' places": (24, ["N", 3], pooled(f"Reduce{kind}", [1])) for kind in kinds}
    cases |= {f"{kind}, axes kept": (24, ["N", 1, 3], pooled(f"Reduce{kind}", [-2], 1)) for kind in kinds}
    cases |= {f"{kind} over channels": (0, ["N", 5, 3], pooled(f"Reduce{kind}", [-1], 1)) for kind in kinds}
    cases["cube"] = 24, ["N", 5, 3], ([node("Pow", ["h", "three"], ["p"])], {"three": cube})
    cases["exponents"] = 24, ["N", 5, 3], ([node("Pow", ["h", "each"], ["p"])], {"each": np.arange(40, dtype=np.float32) % 3})
    cases["base"] = 0, ["N", 5, 3], ([node("Pow", ["three", "h"], ["p"])], {"three": cube})
    x = rng.standard_normal((6, 5, 7)).astype(np.float32)
    for name, (gone, dims, (between, constants)) in cases.items():
        w = (rng.standard_normal((7, 40)) / 4).astype(np.float32)
        out = rng.standard_normal((1 if "over channels" in name else 40, 3)).astype(np.float32)
        (out if gone else w.T)[:24] = 0
        nodes = [node("MatMul", ["x", "w"], ["m"]), node("Relu", ["m"], ["h"]), *between, node("MatMul", ["p", "o"], ["y"])]
        store_network(place, "p.onnx", nodes, {"y": (onnx.TensorProto.FLOAT, dims)}, {"w": w, "o": out} | constants, (5, 7), opset=13)
        told = json.loads(works(place, "compact p.onnx --round 1 -f -o c.onnx --json").out)["compact"]
        equal(told["removed"], gone, f"channels that leave: {name}")
        before, after = (ort.InferenceSession(str(place.path(f))).run(None, {"x": x})[0] for f in ("p.onnx", "c.onnx"))
        assert np.allclose(before, after, rtol=1e-4, atol=1e-5), name


@case
def channels_of_two_branches_that_meet_leave(place):
    """Gemm has two axes though nothing declares them: a Concat along axis 1 is along its channels."""
    node, rng = onnx.helper.make_node, np.random.default_rng(6)
    weights = {n: rng.standard_normal(shape).astype(np.float32) for n, shape in (("a", (7, 40)), ("b", (7, 24)), ("o", (64, 3)))}
    weights["o"][8:48] = 0
    nodes = [node("Gemm", ["x", n], [f"{n}m"]) for n in "ab"] + [node("Relu", [f"{n}m"], [f"{n}h"]) for n in "ab"]
    nodes += [node("Concat", ["ah", "bh"], ["c"], axis=1), node("Gemm", ["c", "o"], ["y"])]
    store_network(place, "two.onnx", nodes, {"y": (onnx.TensorProto.FLOAT, ["N", 3])}, weights, (7,), opset=13)
    equal(json.loads(works(place, "compact two.onnx --round 1 -f -o c.onnx --json").out)["compact"]["removed"], 40, "channels that leave")
    x = rng.standard_normal((6, 7)).astype(np.float32)
    before, after = (ort.InferenceSession(str(place.path(f))).run(None, {"x": x})[0] for f in ("two.onnx", "c.onnx"))
    assert np.allclose(before, after, rtol=1e-4, atol=1e-5)


@case
def targets_are_reached(place):
    """--target: instead of --sparsity, with it, in bytes; what cannot be is refused, what makes no sense before any work."""
    conv_network(place)
    line = "prune cnn.onnx --data cnn.npz --task other --strict-sparsity -f --round 4"
    told = json.loads(works(place, f"{line} --target macs=50% -o t.onnx --json").out)
    assert told["target"]["met"] and told["macs"]["compact"] <= 0.5 * told["macs"]["dense"], told["macs"]
    equal(told["macs"]["compact"], round(told["target"]["reached"] * told["macs"]["dense"]), "multiply-adds that were foretold")
    assert told["macs"]["nonzero"] == told["macs"]["compact"] and told["config"]["sparsity"] == 0, "no zeros but those of channels"
    first = place.path("t.onnx").read_bytes()
    works(place, f"{line} --target macs=0.5 -o t.onnx")
    equal(place.path("t.onnx").read_bytes(), first, "a share and a percentage")
    both = json.loads(works(place, f"{line} --target macs=0.5 -s 85% -o u.onnx --json").out)
    assert both["macs"]["compact"] <= 0.5 * both["macs"]["dense"] and both["macs"]["nonzero"] < both["macs"]["compact"], both["macs"]
    assert abs(both["pruned"]["sparsity"] - 0.85) < 0.01, both["pruned"]
    size = place.path("cnn.onnx").stat().st_size * 6 // 10
    works(place, f"{line} --target size={size} -o s.onnx")
    assert place.path("s.onnx").stat().st_size <= size, "bytes"
    place.path("t.onnx").unlink()
    ran = place.run(f"{line} --target macs=0.1% -o t.onnx")
    assert ran.code == 5 and not place.path("t.onnx").exists() and "is out of reach: " in ran.err and "in the way are the " in ran.err, ran.err
    share = "macs=0.5 or macs=50%: the share of the multiply-adds that may stay; size=10M: bytes of the file; latency=0.6: the share of the time; auto: the fewest multiply-adds that keep --min-agreement"
    for text in ("macs", "macs=", "macs=0", "macs=2", "macs=-1", "macs=nan", "macs=50%%", "size=0", "size=1X", "mac=0.5"):
        fails(place, f"prune none.onnx --data none.npz -o o.onnx --target {text}", 2, f"target cannot be '{text}'", share)
    told = json.loads(works(place, f"{line} --target latency=99% -o t.onnx --json").out)["target"]
    assert told["kind"] == "latency" and told["met"] and 0 < told["reached"] <= 0.99, told
    ran = place.run(f"{line} --target latency=0.1% -f -o t.onnx")
    assert ran.code == 5 and "% of the time stay" in ran.err.replace(" %", "%"), ran.err
    fails(place, "prune cnn.onnx --data cnn.npz -o o.onnx --target macs=0.5 --channels none", 2, "target 'macs=0.5' needs channels 'first'")
    fails(place, "prune cnn.onnx --data cnn.npz -o o.onnx --target macs=0.5 --pattern 2:4", 2,
          "target 'macs=0.5' needs whole channels, which cannot go with this pattern")
    works(place, "score cnn.onnx --data cnn.npz -f -q -o cnn.stats")
    line = "apply cnn.onnx --stats cnn.stats --task other -f --round 4"
    told = json.loads(works(place, f"{line} --target macs=50% -o a.onnx --json").out)
    assert told["target"]["met"] and told["macs"]["compact"] <= 0.5 * told["macs"]["dense"], told["macs"]
    equal(told["macs"]["compact"], round(told["target"]["reached"] * told["macs"]["dense"]), "multiply-adds that apply foretold")
    assert place.path("a.onnx").stat().st_size < place.path("cnn.onnx").stat().st_size, "smaller shapes"
    ran = place.run(f"{line} --target macs=0.1% -o b.onnx")
    assert ran.code == 5 and not place.path("b.onnx").exists() and "is out of reach: " in ran.err, ran.err
    fails(place, f"{line} --target latency=0.5 -o b.onnx", 2, "target 'latency=0.5' needs samples to time: use 'prune'")
    fails(place, f"{line} --target auto -o b.onnx", 2, "target auto needs samples to measure on: use 'prune'")
    for pattern in ("2:4", "1:2"):
        fails(place, f"prune cnn.onnx --data cnn.npz -o o.onnx -s auto --pattern {pattern}", 2,
              f"sparsity auto has nothing to choose: pattern '{pattern}' settles how many zeros there are",
              "leave -s away, or choose a pattern that takes any number of zeros")


@case
def the_sample_makes_a_faster_model(place):
    """samples/faster: half of the multiply-adds, then int8; both are faster than what came, and at least as right for this user."""
    if os.environ.get("FINEPRUNE_SANITIZED"):
        return
    line = [sys.executable, harness.ROOT / "samples/faster/faster.py", "m.onnx", "--data", "local.npz", "--test", "test.npz", "--labels", "test_labels.npy",
            "--batch", "32", "-o", "fast", "--program", harness.FINEPRUNE]
    ran = subprocess.run([str(word) for word in line], cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    equal(ran.returncode, 0, ran.stdout)
    told = json.loads((place.path("fast") / "faster.json").read_text())
    dense, compact, int8 = told["models"]
    assert told["multiply_adds"] <= 0.5, told
    assert dense["accuracy"] <= min(compact["accuracy"], int8["accuracy"]) and dense["bytes"] > compact["bytes"] > int8["bytes"], told
    assert compact["times_as_fast"] > 1 and int8["times_as_fast"] > 1.5, told


@case
def every_choice_with_every_method(place):
    """A choice does what it says or is refused by name; none is without effect in silence, and nothing crashes."""
    conv_network(place)
    names = lambda kind: re.findall(r"^  (\S+)", works(place, f"--list={kind}").out.decode(), re.M)
    for method in names("method"):
        for kind in ("channels", "swaps", "refit"):
            for name in names(kind):
                ran = place.run(f"prune cnn.onnx --data cnn.npz -s 50% --task other --method {method} --{kind} {name} -f -o o.onnx --json")
                assert ran.code in (0, 2, 5), (method, kind, name, ran.code, ran.err)
                if ran.code == 2:
                    assert kind in ran.err and name in ran.err, ran.err
                elif ran.code == 0:
                    equal(json.loads(ran.out)["config"][kind], name, f"{kind} of {method}")
    ran = place.run("prune cnn.onnx --data cnn.npz -s 50% --pattern 2:4 --channels first -f -o o.onnx")
    assert ran.code == 2 and "channels 'first' cannot go whole with pattern '2:4'" in ran.err, ran.err
    ran = works(place, "prune cnn.onnx --data cnn.npz -s 50% --pattern 2:4 --task other -f -o o.onnx --json")
    equal([json.loads(ran.out)["config"][kind] for kind in ("channels", "swaps")], ["none", "gradient"], "choices that a pattern settles")
    ran = works(place, "prune cnn.onnx --data cnn.npz -s 50% --pattern block:1x4 --task other -f -o o.onnx --json")
    equal([json.loads(ran.out)["config"][kind] for kind in ("channels", "swaps")], ["none", "none"], "choices that blocks settle")
    ran = place.run("prune cnn.onnx --data cnn.npz -s 50% --pattern block:1x4 --swaps gradient -f -o o.onnx")
    assert ran.code == 2 and "swaps 'gradient' cannot be made: zeros lie as the pattern says" in ran.err, ran.err


@case
def parameters_are_told(place):
    """The report has the texts as they were given, of those ideas whose parameters were set; a file of options can set them too."""
    conv_network(place)
    place.path("set.json").write_text(json.dumps({"score": "obs:ridge=0.5,prior=3", "swaps": "gradient:tries=1", "sparsity": 0.5}))
    rest = "--data cnn.npz --task other --strict-sparsity -f"
    ran = works(place, f"prune cnn.onnx {rest} --config set.json --swaps gradient:tries=2 -o set.onnx --json")
    config = json.loads(ran.out)["config"]
    equal([config[kind] for kind in ("score", "swaps", "repair")], ["obs:ridge=0.5,prior=3", "gradient:tries=2", "least-squares"], "what was chosen")
    for name, score in (("plain", "obs"), ("initial", "obs:prior=10,ridge=0.01")):
        works(place, f"prune cnn.onnx {rest} -s 50% --score {score} --no-metadata -o {name}.onnx")
    equal(place.path("plain.onnx").read_bytes(), place.path("initial.onnx").read_bytes(), "the model with its defaults")
    works(place, "score cnn.onnx --data cnn.npz -o cnn.fps")
    ran = works(place, "apply cnn.onnx --stats cnn.fps -s 50% --repair least-squares:ridge=0.1 -f -o o.onnx --json")
    equal([json.loads(ran.out)["config"][kind] for kind in ("repair", "refit")], ["least-squares:ridge=0.1", "none"], "what was applied")


@case
def apply_says_that_it_does_not_refit(place):
    conv_network(place)
    works(place, "score cnn.onnx --data cnn.npz -o cnn.fps")
    ran = works(place, "apply cnn.onnx --stats cnn.fps -s 50% -o o.onnx --json")
    assert "the refit was left out" in ran.err, ran.err
    equal(json.loads(ran.out)["config"]["refit"], "none", "what was done")


def dead_network(place):
    """256 hidden channels of 512 that are always zero, side by side."""
    random, node = np.random.default_rng(14), onnx.helper.make_node
    weights = {"w": random.standard_normal((512, 32)).astype(np.float32) / 6, "b": random.standard_normal(512).astype(np.float32),
               "v": random.standard_normal((9, 512)).astype(np.float32) / 16}
    weights["w"][:256], weights["b"][:256] = weights["w"][:256] / 1000, -1
    store_network(place, "dead.onnx", [node("Gemm", ["x", "w", "b"], ["a"], transB=1), node("Relu", ["a"], ["r"]), node("Gemm", ["r", "v"], ["y"], transB=1)],
                  {"y": (onnx.TensorProto.FLOAT, ["N", 9])}, weights, [32])
    np.savez(place.path("dead.npz"), x=random.standard_normal((80, 32)).astype(np.float32))


@case
def strictly_as_many_zeros_as_were_asked(place):
    """Whole channels and whole rows never bring more than that, and nothing brings fewer."""
    conv_network(place)
    dead_network(place)
    for network in ("cnn", "dead"):
        for more in ("", "--allocation row", "--allocation uniform", "--channels none"):
            for asked in (5, 30, 70):
                ran = works(place, f"prune {network}.onnx --data {network}.npz -s {asked}% --task other --strict-sparsity {more} -f -o o.onnx --json")
                got = 100 * json.loads(ran.out)["pruned"]["sparsity"]
                low = 3 if "row" in more else 0.5 # whole elements of each row
                assert asked - low <= got <= asked + 0.1, f"{network}, {more}: {got:.2f} % zeros where {asked} % were asked"


@case
def channels_of_a_wide_reader_stay(place):
    """A reader's matrices are as wide as it is: beyond a bound its channels are pruned as single weights, and nothing fails."""
    random, node = np.random.default_rng(15), onnx.helper.make_node
    weights = {"w": random.standard_normal((128, 3, 3, 3)).astype(np.float32) / 5, "b": np.zeros(128, np.float32),
               "v": random.standard_normal((5, 128 * 90)).astype(np.float32) / 100}
    store_network(place, "wide.onnx", [node("Conv", ["x", "w", "b"], ["a"], pads=[1] * 4), node("Relu", ["a"], ["r"]), node("Flatten", ["r"], ["f"]),
                                       node("Gemm", ["f", "v"], ["y"], transB=1)], {"y": (onnx.TensorProto.FLOAT, ["N", 5])}, weights, [3, 9, 10])
    np.savez(place.path("wide.npz"), x=random.standard_normal((50, 3, 9, 10)).astype(np.float32))
    ran = works(place, "prune wide.onnx --data wide.npz -s 50% --task other --strict-sparsity -o o.onnx --json")
    equal(json.loads(ran.out)["channels"]["removed"], 0, "channels")


@case
def few_samples_cut_no_channel(place):
    conv_network(place)
    ran = works(place, "prune cnn.onnx --data cnn.npz --limit 20 -s 50% --task other -o o.onnx")
    assert "no channel is pruned whole: 16 samples are too few" in ran.err and "whole channels" not in ran.err, ran.err


@case
def refit_follows_the_pruned_layers(place):
    """On samples that nothing was fitted on, outputs are nearer to the dense ones; with any batch, threads and memory the same bytes."""
    conv_network(place)
    x = np.load(place.path("later.npz"))["x"]
    outputs = {}
    for refit in ("none", "sequential"):
        works(place, f"prune cnn.onnx --data cnn.npz -s 80% --task other --channels none --refit {refit} --strict-sparsity -o {refit}.onnx")
        outputs[refit] = ort.InferenceSession(str(place.path(f"{refit}.onnx"))).run(None, {"x": x})[0]
    dense = ort.InferenceSession(str(place.path("cnn.onnx"))).run(None, {"x": x})[0]
    error = {refit: ((y - dense) ** 2).sum() / ((dense - dense.mean(0)) ** 2).sum() for refit, y in outputs.items()}
    assert error["sequential"] < 0.9 * error["none"], error
    first = place.path("sequential.onnx").read_bytes()
    for more in ("-j 1", "-j 3 --batch 1", "--batch 5", "--max-memory 40M"):
        works(place, f"prune cnn.onnx --data cnn.npz -s 80% --task other --channels none --strict-sparsity -f -o again.onnx {more}")
        assert place.path("again.onnx").read_bytes() == first, f"other bytes with {more}"


@case
def channels_are_the_same_with_any_limit(place):
    conv_network(place)
    works(place, "prune cnn.onnx --data cnn.npz -s 70% --task other -o a.onnx")
    for more in ("-j 1", "--batch 3", "--max-memory 12M", "--max-memory 24M"):
        ran = place.run(f"prune cnn.onnx --data cnn.npz -s 70% --task other -f -o b.onnx {more}")
        assert ran.code in (0, 7), ran.err
        assert ran.code == 7 or place.path("b.onnx").read_bytes() == place.path("a.onnx").read_bytes(), f"other bytes with {more}"


@case
def prune_gives_the_same_bytes(place):
    first = works(place, f"{PRUNE} -o a.onnx -j 1") and place.path("a.onnx").read_bytes()
    works(place, f"{PRUNE} -o b.onnx -j 2")
    assert place.path("b.onnx").read_bytes() == first, "two threads make another model"
    os.mkdir(place.path("sub"))
    ran = works(place, f"prune ../m.onnx --data ../local.npz -o -".replace("../", ""))
    assert ran.out == first, "standard output gets another model"
    assert b"m.onnx" not in first and b"local.npz" not in first, "a path is in the model"


@case
def prune_quietly(place):
    ran = works(place, f"{PRUNE} -o o.onnx -q")
    equal((ran.out, ran.err), (b"", ""), "streams")


@case
def prune_dry_run(place):
    before = place.names()
    ran = works(place, f"{PRUNE} --dry-run")
    assert "wrote    nothing" in ran.err, ran.err
    works(place, f"{PRUNE} --dry-run -o o.onnx")
    equal(place.names(), before, "files")


MEMBERS = ["schema", "tool", "command", "verdict", "model", "data", "config", "layers", "skipped", "pruned", "outputs", "drift", "size", "gates", "wrote",
           "timing", "peak_rss_bytes"]


@case
def prune_reports(place):
    ran = works(place, f"{PRUNE} -o o.onnx --json --report r.html --masks k.npz --min-agreement 1%")
    report = json.loads(ran.out)
    equal([name for name in report if name in MEMBERS], MEMBERS, "members")
    equal((report["schema"], report["command"], report["wrote"]), ("fineprune-report-1", "prune", "o.onnx"), "head")
    for name in ("path", "sha256", "opset", "ir"):
        assert name in report["model"], f"model.{name}"
    for layer in report["layers"]:
        for name in ("name", "op", "shape", "params", "zeros", "sparsity", "error_before_repair", "error_after_repair"):
            assert name in layer, f"layers[].{name}"
    for name in ("output", "cosine", "sqnr_db", "max_abs", "top1_agreement"):
        assert name in report["drift"][0], f"drift[].{name}"
    assert report["gates"][0]["met"] is True, report["gates"]
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(place.path("o.onnx")).graph.initializer}
    masks = np.load(place.path("k.npz"))
    for layer in report["layers"]:
        zeros = int((tensors[layer["name"]] == 0).sum())
        assert abs(zeros - layer["zeros"]) <= max(2, layer["params"] // 1000), f"{layer['name']}: {zeros} zeros, {layer['zeros']} said"
        equal((masks[layer["name"]].dtype, masks[layer["name"]].shape), (np.dtype(bool), tensors[layer["name"]].shape), "mask")
        assert not tensors[layer["name"]][~masks[layer["name"]]].any(), f"{layer['name']}: a masked element is not zero"
    page = place.path("r.html").read_text()
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n") and "<script" not in page, "page"
    fails_ = place.run(f"{PRUNE} -o p.onnx --json=r.html")
    equal(fails_.code, 2, "a report that exists")
    works(place, f"{PRUNE} -o p.onnx --json=r.json -f")
    equal(json.loads(place.path("r.json").read_text())["command"], "prune", "command")


@case
def prune_writes_all_or_nothing(place):
    for option in ("--masks /dev/full", "--json=/dev/full", "--report /dev/full", "--masks k.npz --json=j.json --report /dev/full"):
        fails(place, f"{PRUNE} -q -f -o o.onnx --method magnitude {option}", 6, "cannot write '/dev/full': No space left on device")


@case
def prune_table(place):
    ran = works(place, f"{PRUNE} -o o.onnx --table plain")
    lines = ran.out.decode().splitlines()
    equal(lines[0].split(), ["weight", "operator", "shape", "elements", "zeros", "sparsity", "error", "repaired"], "heading")
    equal(lines[-1].split()[0], "total", "last line")
    equal(works(place, f"{PRUNE} -o p.onnx --table none").out, b"", "standard output")


@case
def gates(place):
    ran = place.run(f"{PRUNE} -o o.onnx -s 99% --repair none --readout keep --min-agreement 99.9%")
    equal(ran.code, 5, f"exit code ({ran.err})")
    assert "o.onnx" not in place.names(), "a result that misses its gate is there"
    assert "missed" in ran.err and "fineprune: error: " in ran.err, ran.err
    ran = place.run(f"{PRUNE} -o o.onnx -s 99% --repair none --readout keep --min-agreement 99.9% --on-fail keep --json")
    equal(ran.code, 5, "exit code")
    assert "o.onnx" in place.names(), "--on-fail keep wrote nothing"
    equal(json.loads(ran.out)["gates"][0]["met"], False, "met")


@case
def patterns_tell_the_truth_about_speed(place):
    half = works(place, f"{PRUNE} -o o.onnx --pattern 2:4 -s 50%").err
    assert "TensorRT, which knows 2:4, does" in half and "that were asked" not in half, half
    more = works(place, f"{PRUNE} -o p.onnx --pattern 2:4 -s 70%").err
    assert "pattern 2:4 makes 50 % zeros, not the 70 % that were asked" in more, more


@case
def runtime_profiles(place):
    """A profile sets what was not given, says what it has set, and judges every weight; nothing that was given changes."""
    line = f"{PRUNE} -f --method magnitude --limit 60 -o o.onnx --json"

    def told(options):
        report = json.loads(works(place, f"{line} {options}").out)
        return report, report["runtime"]

    rewarded = {"ort": ("unstructured", None, 16, True), "openvino": ("unstructured", None, 16, True), "xnnpack": ("block:2x1", "--pattern block:2x1 and --round 8", 8, False),
                "tensorrt": ("2:4", "--pattern 2:4 and --round 16", 16, False), "coreml": ("block:2x1", "--pattern block:2x1 and --round 16", 16, False)}
    equal(re.findall(r"^  (\S+)", works(place, "--list=runtime").out.decode(), re.M), list(rewarded), "listed runtimes")
    for name, (pattern, said, multiple, compacts) in rewarded.items():
        report, runtime = told(f"--runtime-profile {name}")
        equal((runtime["profile"], report["config"]["pattern"], runtime["multiple"], "compact" in report), (name, pattern, multiple, compacts), name)
        equal(runtime["set"], said or "--round 16", f"what {name} has set")
        assert runtime["source"].startswith("https://"), runtime
        becomes = [weight["becomes"] for weight in runtime["weights"]]
        equal([becomes.count(k) for k in ("faster", "smaller", "neither")], [runtime[k] for k in ("faster", "smaller", "neither")], "counts")
        equal(len(becomes), len(report["layers"]), "weights judged")
    equal(told("--runtime-profile tensorrt")[1]["faster"], 5, "weights of 2:4")
    equal(told("--runtime-profile tensorrt --pattern 3:4")[1]["faster"], 0, "weights of 3:4")
    equal(told("--runtime-profile coreml -s 90% --allocation uniform")[1]["faster"], 5, "weights of 90 % zeros")
    report, runtime = told("--runtime-profile coreml --pattern block:1x4 --round 4")
    equal((report["config"]["pattern"], runtime["multiple"], runtime.get("set")), ("block:1x4", 4, None), "what was given")
    channels = json.loads(works(place, f"{PRUNE} -f -o o.onnx --json --runtime-profile ort").out)
    equal(channels["runtime"]["set"], "--channels first:share=1 and --round 16", "what ort has set")
    shapes = {i.name: list(i.dims) for i in onnx.load(place.path("o.onnx")).graph.initializer}
    for weight, layer in zip(channels["runtime"]["weights"], channels["layers"]):
        equal(weight["becomes"], "faster" if shapes[layer["name"]] != layer["shape"] else "neither", layer["name"])
    assert "compact" not in told("--runtime-profile ort --no-compact")[0], "--no-compact beside a profile"
    ran = works(place, f"{PRUNE} -f -o o.onnx --runtime-profile coreml --target macs=60% --report r.html")
    assert "\nruntime  coreml: " in ran.err and "the profile has set --round 16" in ran.err, ran.err
    page = place.path("r.html").read_text()
    assert "<h2>In the runtime</h2>" in page and "<td class=\"op\">neither</td>" in page, "the page"
    works(place, "score m.onnx --data local.npz --limit 60 -f -q -o s.stats")
    equal(json.loads(works(place, "apply m.onnx --stats s.stats --runtime-profile tensorrt -f -o o.onnx --json").out)["runtime"]["faster"], 5, "apply")
    fails(place, f"{PRUNE} -o o9.onnx --runtime-profile tensorflow", 2, "--runtime-profile cannot be 'tensorflow'", "one of: ort, openvino, xnnpack, tensorrt, coreml")


def groups_of_four(weight):
    """Along the inputs, at each kernel position: [outputs, inputs / 4, 4, positions]."""
    return weight.reshape(len(weight), weight.shape[1] // 4, 4, -1)


@case
def two_of_four_is_exact(place):
    """Two of each four along the inputs, neither more nor less, where there are four; classes that do not occur and inputs that are always zero change
    nothing about it."""
    three_of_many_classes(place)
    x = np.load(place.path("three.npz"))["x"]
    x[:, 4:12] = 0
    np.savez(place.path("three.npz"), x=x)
    ran = works(place, "prune three.onnx --data three.npz -s 50% --pattern 2:4 --task classes -o o.onnx --json")
    now = layers_of(place, "o.onnx")
    for name in ("first", "last"):
        equal(sorted(set((groups_of_four(now[name]) != 0).sum(2).ravel())), [2], f"kept of each four in {name}")
    equal(json.loads(ran.out)["pruned"]["sparsity"], 0.5, "sparsity")
    conv_network(place)
    ran = works(place, "prune cnn.onnx --data cnn.npz -s 50% --pattern 2:4 --task other -o p.onnx -f --json")
    now = layers_of(place, "p.onnx")
    for name in ("mid", "gate_a", "gate_b", "far", "res", "hid", "out"):
        equal(sorted(set((groups_of_four(now[name]) != 0).sum(2).ravel())), [2], f"kept of each four in {name}")
    equal(int((now["stem"] == 0).sum()), 0, "zeros of three channels, of which no runtime makes four")


def one_hard_weight(place):
    """Of 64 inputs each four are alike, and so are the units of w0 and w1: one of four does for all. Not so for the 16 inputs of h."""
    random, node = np.random.default_rng(6), onnx.helper.make_node
    mix = lambda n: np.linalg.qr(random.standard_normal((n, n)))[0]
    weights = {"w0": np.kron(mix(16), np.ones((4, 4)) / 4), "w1": np.kron(mix(16), np.ones((4, 4)) / 4), "w2": np.kron(mix(16), np.ones((4, 1)) / 4),
               "h": np.linalg.qr(np.sign(random.standard_normal((16, 16))))[0]}
    nodes, last = [], "x"
    for name in weights:
        nodes.append(node("MatMul", [last, name], [f"{name}_y"]))
        last = f"{name}_y"
    store_network(place, "one.onnx", nodes, {last: (onnx.TensorProto.FLOAT, ["N", 16])}, {name: w.astype(np.float32) for name, w in weights.items()}, [64])
    np.savez(place.path("one.npz"), x=np.kron(random.standard_normal((300, 16)), np.ones((1, 4))).astype(np.float32))
    return "prune one.onnx --data one.npz --task other"


@case
def a_pattern_that_ruins_is_weakened(place):
    """The weight that cannot bear the pattern stays dense, by name; the others follow it."""
    prune = one_hard_weight(place)
    ran = works(place, f"{prune} -s 75% --pattern 1:4 -o o.onnx --json=j.json")
    text, told, now = verdict_of(ran), json.loads(place.path("j.json").read_text()), layers_of(place, "o.onnx")
    assert text.startswith("as good as before: ") and "; pattern 1:4 ruins it in 1 of 4 weights, which stay dense ('h'): " in text, text
    assert "zeros, not the 75 % that were asked" in text, text
    equal({name: int((w == 0).sum()) for name, w in now.items() if w.ndim == 2}, {"w0": 3072, "w1": 3072, "w2": 768, "h": 0}, "zeros")
    equal(told["pattern"], {"name": "1:4", "weights": 3, "params": 9216, "zeros": 6912, "sparsity": 0.75,
                            "dense": [{"weight": "h", "reason": "its zeros ruin the model"}]}, "what is said of the pattern")
    x = np.load(place.path("one.npz"))["x"]
    one, other = (ort.InferenceSession(str(place.path(f))).run(None, {"x": x})[0] for f in ("one.onnx", "o.onnx"))
    assert ((one - other) ** 2).sum() < 0.1 * ((one - one.mean(0)) ** 2).sum(), "the outputs are others"
    text = verdict_of(works(place, f"{prune} -s 75% --pattern 1:4 --strict-sparsity -o p.onnx"))
    assert text.startswith("ruined: ") and "; all zeros of pattern 1:4 were kept, as --strict-sparsity asks" in text, text
    equal(int((layers_of(place, "p.onnx")["h"] == 0).sum()), 192, "zeros that were asked for")


@case
def a_pattern_that_ruins_is_refused(place):
    """Where no two weights in eight can bear it, nothing is written unless it is asked for; else what can stays."""
    prune = hard_model(place)
    for pattern in ("2:4", "channel"):
        ran = place.run(f"{prune} -s 50% --pattern {pattern} -o o.onnx")
        equal((ran.code, "o.onnx" in place.names()), (5, False), ran.err)
        assert f"; pattern {pattern} ruins it, even where 6 of 8 weights stay dense" in verdict_of(ran), ran.err
        assert f"pattern '{pattern}' ruins this model" in ran.err and "--strict-sparsity prunes all the same" in ran.err, ran.err
    text = verdict_of(works(place, f"{prune} -s 50% --pattern block:4x4 -o o.onnx -f --json=j.json"))
    told = json.loads(place.path("j.json").read_text())
    assert re.search(r"; pattern block:4x4 ruins it in [1-6] of 8 weights, which stay dense \('w\d', .*\): \d+ % zeros, not the 50 % that were asked", text), text
    assert not told["verdict"]["ruined"] and told["pruned"]["zeros"] > 0, told["pruned"]
    now, dense = layers_of(place, "o.onnx"), [one["weight"] for one in told["pattern"]["dense"]]
    equal([int((now[name] == 0).sum()) for name in dense], [0] * len(dense), "zeros in what stays dense")
    for pattern in ("2:4", "block:4x4", "channel"):
        text = verdict_of(works(place, f"{prune} -s 50% --pattern {pattern} --strict-sparsity -o p.onnx -f"))
        assert text.startswith("ruined: ") and f"; all zeros of pattern {pattern} were kept, as --strict-sparsity asks" in text, text


# ---- the other commands


@case
def score_merge_apply(place):
    signals = np.load(place.path("local.npz"))["signal"]
    np.savez(place.path("one.npz"), signal=signals[:100])
    np.savez(place.path("two.npz"), signal=signals[100:])
    works(place, "score m.onnx --data one.npz -o one.stats")
    works(place, "score m.onnx --data two.npz -o two.stats")
    ran = works(place, "merge one.stats two.stats -o both.stats")
    assert "wrote    both.stats" in ran.err and "stats    2 files" in ran.err, ran.err
    assert re.search("^stats    1 file$", works(place, "merge one.stats -o alone.stats").err, re.M), "one file"
    equal(place.run("merge one.stats two.stats -o both.stats").code, 2, "an output that exists")
    fails(place, "merge one.stats two.stats ./one.stats -o more.stats", 2, "'./one.stats' is given twice: its samples would count twice")
    first = works(place, "apply m.onnx --stats both.stats -s 99.9% -o few.onnx").err.splitlines()[0]
    assert re.search(r"; \d+ % zeros, not the 99.9 % that were asked: more are not justified by so few samples", first), first
    ran = works(place, "apply m.onnx --stats both.stats -s 60% -o o.onnx --json")
    report = json.loads(ran.out)
    equal(report["command"], "apply", "command")
    equal(report["data"], {"sources": [], "samples": len(signals)}, "samples")
    assert f"\ndata     {len(signals)} samples, in the statistics\n" in ran.err + works(place, "apply m.onnx --stats both.stats -o r.onnx").err, ran.err
    assert 0.55 < report["pruned"]["sparsity"] < 0.65, report["pruned"]
    onnx.checker.check_model(onnx.load(place.path("o.onnx")))
    equal(place.run("apply m.onnx --stats m.onnx -o p.onnx").code, 4, "a model for statistics")


@case
def what_is_no_statistics_is_named(place):
    hint = "statistics are what 'fineprune score MODEL --data SRC -o STATS' writes"
    for line in ("apply gesture.onnx --stats local.npz -o o.onnx", "merge local.npz test.npz -o s.npz"):
        fails(place, line, 4, "'local.npz' holds data ('signal'), not statistics", hint)
    fails(place, "apply gesture.onnx --stats m.onnx -o o.onnx", 4, "cannot read 'm.onnx' as a .npz: Not a zip archive", hint)
    np.savez(place.path("none.npz"))
    fails(place, "apply gesture.onnx --stats none.npz -o o.onnx", 4, "'none.npz' holds no statistics, and nothing else", hint)


@case
def statistics_of_shared_inputs(place):
    """Inputs that several weights see in the same way are looked at once; NumPy says what each one has to find."""
    make, rng = onnx.helper.make_node, np.random.default_rng(8)
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in
               {"q": (12, 8), "k": (12, 8), "other": (12, 8), "a": (4, 6, 3), "b": (5, 6, 3), "strided": (4, 6, 3), "padded": (4, 6, 3)}.items()}
    nodes = [make("MatMul", ["x", "q"], ["y0"]), make("MatMul", ["x", "k"], ["y1"]), make("Abs", ["x"], ["z"]), make("MatMul", ["z", "other"], ["y2"]),
             make("Conv", ["x", "a"], ["y3"]), make("Conv", ["x", "b"], ["y4"]), make("Conv", ["x", "strided"], ["y5"], strides=[2]),
             make("Conv", ["x", "padded"], ["y6"], pads=[1, 1])]
    store_network(place, "shared.onnx", nodes, {f"y{i}": (onnx.TensorProto.FLOAT, None) for i in range(7)}, weights, [6, 12])
    x = rng.standard_normal((30, 6, 12)).astype(np.float32)
    np.savez(place.path("shared.npz"), x=x)
    works(place, "score shared.onnx --data shared.npz -o shared.stats")
    stats = np.load(place.path("shared.stats"))
    windows = lambda v, step: np.lib.stride_tricks.sliding_window_view(v, 3, axis=2)[:, :, ::step].transpose(0, 2, 1, 3).reshape(-1, 18)
    wide = np.pad(x, [(0, 0), (0, 0), (1, 1)])
    expected = {"q": x.reshape(-1, 12), "k": x.reshape(-1, 12), "other": np.abs(x).reshape(-1, 12), "a": windows(x, 1), "b": windows(x, 1),
                "strided": windows(x, 2), "padded": windows(wide, 1)}
    seen = {}
    for i in range(len(weights)):
        name = bytes(stats[f"{i}/name"]).decode()
        rows = expected[name].astype(np.float64)
        equal(stats[f"{i}/counts"].tolist()[2:], [len(rows)] * 2, f"{name}: rows")    # few enough for all of them to be taken
        for what, value in (("sum", rows.sum(0)), ("square", (rows ** 2).sum(0)), ("absolute", np.abs(rows).sum(0)), ("sampled_sum", rows.sum(0)),
                            ("gram", (rows.T @ rows)[np.tril_indices(rows.shape[1])])):
            assert np.allclose(stats[f"{i}/{what}"][0], value, rtol=1e-5, atol=1e-4), f"{name}: {what}"
        seen[name] = True
    equal(len(seen), len(weights), "weights")


@case
def run_writes_outputs(place):
    ran = works(place, "run m.onnx --data local.npz -o y.npz --json")
    report = json.loads(ran.out)
    samples = len(np.load(place.path("local.npz"))["signal"])
    equal((report["command"], report["data"]["samples"]), ("run", samples), "report")
    outputs = np.load(place.path("y.npz"))
    equal(outputs.files, ["logits"], "names")
    equal(outputs["logits"].shape[0], samples, "samples")
    piped = works(place, "run m.onnx --data - -o z.npz", stdin=place.path("local.npz").read_bytes())
    equal(np.load(place.path("z.npz"))["logits"].tobytes(), outputs["logits"].tobytes(), "from standard input")
    equal(piped.out, b"", "standard output")


@case
def compare_measures(place):
    ran = works(place, "compare m.onnx gesture.onnx --data test.npz --labels test_labels.npy")
    equal(ran.err, "", "standard error")
    text = ran.out.decode()
    equal(labels_of(text)[:5], ["A", "B", "data", "task", "drift"], "labels")
    assert "taken for classes, as --labels says" in text, text
    ran = works(place, "compare m.onnx gesture.onnx --data test.npz --labels test_labels.npy --task classes --json")
    equal(json.loads(ran.out)["task"]["by"], "--task", "the user's own word")
    assert "cosine 1.0000" in text and "same answer 100.0%" in text, text
    assert re.search(r"^accuracy A (\d+\.\d)%, B \1% of \d+ samples$", text, re.M), text
    ran = works(place, "compare m.onnx gesture.onnx --data test.npz --json")
    equal(json.loads(ran.out)["drift"][0]["top1_agreement"], 1, "agreement")


def store_network(place, name, nodes, outputs, weights, shape, opset=17):
    """Saves a network of one input x [N, shape...]; outputs: name -> (type, dims)."""
    graph = onnx.helper.make_graph(
        nodes, "g", [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", *shape])],
        [onnx.helper.make_tensor_value_info(n, *rest) for n, rest in outputs.items()],
        [onnx.numpy_helper.from_array(array, n) for n, array in weights.items()])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8), place.path(name))


@case
def labels_outside_the_classes(place):
    labels = np.load(place.path("test_labels.npy")).astype(np.int64)
    for name, array, least, most in (("from_one", labels + 1, 1, 7), ("less", labels - 5, -5, 1), ("far", np.where(labels == 6, 1 << 40, labels), 0, 1 << 40)):
        np.save(place.path(f"{name}.npy"), array)
        ran = fails(place, f"compare m.onnx m.onnx --data test.npz --labels {name}.npy", 4,
                    f"labels '{name}.npy' go from {least} to {most}, but the model's classes are 0 to 6",
                    "where they are counted from 1: numpy.save('labels.npy', y - 1)" if least == 1 else None)


@case
def a_bias_that_is_a_weight_elsewhere(place):
    """It stays what it is for score, prune and apply alike, though the layer whose bias it is gets a copy."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["a"]), helper.make_node("Relu", ["a"], ["r"]),
             helper.make_node("Transpose", ["b"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["r", "t"], ["s"]),
             helper.make_node("MatMul", ["r", "v"], ["y"])]
    stored = [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in (("w", (12, 48)), ("b", (1, 48)), ("v", (48, 4)))]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in (("y", 4), ("s", 1))]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 12])], outputs, stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), place.path("both.onnx"))
    np.savez(place.path("both.npz"), x=rng.standard_normal((200, 12)).astype(np.float32))
    pruned = json.loads(works(place, "prune both.onnx --data both.npz -o p.onnx --json -q").out)
    works(place, "score both.onnx --data both.npz -o b.stats -q")
    applied = json.loads(works(place, "apply both.onnx --stats b.stats -o a.onnx --json -q").out)
    listed = json.loads(works(place, "inspect both.onnx --json").out)
    names = [[layer["name"] for layer in report["layers"]] for report in (pruned, applied, listed)]
    equal(names, [["w", "v"]] * 3, "weights")
    kept = {t.name: numpy_helper.to_array(t) for t in onnx.load(place.path("p.onnx")).graph.initializer}["b"]
    assert kept.all(), "the weight that is a bias elsewhere"


@case
def two_arrays_of_one_name(place):
    import warnings
    import zipfile
    whole = place.path("local.npz").read_bytes()
    place.path("twice.npz").write_bytes(whole)
    with zipfile.ZipFile(place.path("twice.npz"), "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = file.namelist()[0]
        file.writestr(name, file.read(name))
    fails(place, "check m.onnx --data twice.npz", 4, f"'twice.npz' has two entries '{name}'")


@case
def outputs_of_other_shapes(place):
    """How many rows there are depends on the weights, as in a detector: pruning changes that, and what has no partner is not compared."""
    random, node = np.random.default_rng(2), onnx.helper.make_node
    store_network(place, "detector.onnx",
                  [node("MatMul", ["x", "w"], ["y"]), node("Greater", ["y", "limit"], ["above"]), node("NonZero", ["above"], ["found"])],
                  {"y": (onnx.TensorProto.FLOAT, ["N", 16]), "found": (onnx.TensorProto.INT64, [2, "n"])},
                  {"w": random.standard_normal((8, 16)).astype(np.float32), "limit": np.float32(0.5)}, [8])
    np.savez(place.path("x.npz"), x=random.standard_normal((30, 8)).astype(np.float32))
    ran = works(place, "prune detector.onnx --data x.npz -s 85% --strict-sparsity -o p.onnx --json=p.json")
    assert re.search(r"^note     output 'found' has another shape than before in \d of \d runs, which were not compared$", ran.err, re.M), ran.err
    equal(json.loads(place.path("p.json").read_text())["drift"][0]["output"], "y", "compared")
    ran = works(place, "compare detector.onnx p.onnx --data x.npz --batch 1 --json")
    equal([entry["output"] for entry in json.loads(ran.out)["drift"]], ["y", "found"], "compared one by one")
    ran = place.run("compare detector.onnx p.onnx --data x.npz --batch 30")
    equal((ran.code, "output 'found' has shape" in ran.err), (3, True), "never the same shape")


@case
def random_numbers(place):
    """As text-to-speech networks have them: the same in every run, on any number of threads, and of the asked distribution."""
    node = onnx.helper.make_node
    store_network(place, "r.onnx",
                  [node("RandomNormalLike", ["x"], ["n"], mean=2.0, scale=0.5), node("RandomNormal", [], ["m"], shape=[9000], seed=3.0),
                   node("RandomUniform", [], ["u"], shape=[9000], low=-1.0, high=3.0, dtype=onnx.TensorProto.DOUBLE),
                   node("MatMul", ["x", "w"], ["y"]), node("Multinomial", ["y"], ["c"], sample_size=500)],
                  {"n": (onnx.TensorProto.FLOAT, ["N", 9000]), "m": (onnx.TensorProto.FLOAT, [9000]), "u": (onnx.TensorProto.DOUBLE, [9000]),
                   "c": (onnx.TensorProto.INT32, ["N", 500])},
                  {"w": np.tile(np.log(np.array([1, 2, 5], np.float32)), (9000, 1))}, [9000])
    np.savez(place.path("x.npz"), x=np.full((2, 9000), 1 / 9000, np.float32))
    works(place, "run r.onnx --data x.npz -o a.npz -j 1 --batch 1")
    works(place, "run r.onnx --data x.npz -o b.npz -j 2 --batch 1")
    equal(place.path("a.npz").read_bytes(), place.path("b.npz").read_bytes(), "outputs")
    got = np.load(place.path("a.npz"))
    near = lambda value, expected, what: equal(abs(value - expected) < 0.05, True, f"{what} {value}, not {expected}")
    for name, mean, deviation in (("n", 2, 0.5), ("m", 0, 1), ("u", 1, 4 / 12 ** 0.5)):
        near(got[name][0].mean(), mean, f"mean of {name}")
        near(got[name][0].std(), deviation, f"deviation of {name}")
    equal((got["u"].min() >= -1, got["u"].max() < 3), (True, True), "range")
    near((got["c"] == 2).mean(), 5 / 8, "share of class 2")
    near((got["c"] == 0).mean(), 1 / 8, "share of class 0")
    works(place, "prune r.onnx --data x.npz -s 50% --reserve 0 --method magnitude -o p.onnx")


def layers_of(place, name):
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(place.path(name)).graph.initializer}


@case
def limit_takes_from_everywhere(place):
    """Data in the order of their classes, from two sources: a limit must not lose the last classes, and labels go with the samples."""
    data, labels = np.load(place.path("test.npz")), np.load(place.path("test_labels.npy"))
    name = data.files[0]
    order = np.argsort(labels, kind="stable")
    half = len(order) // 3
    np.savez(place.path("a.npz"), **{name: data[name][order[:half]]})
    np.savez(place.path("b.npz"), **{name: data[name][order[half:]]})
    np.save(place.path("y.npy"), labels[order])
    whole = json.loads(works(place, "compare m.onnx m.onnx --data a.npz --data b.npz --labels y.npy --json").out)["accuracy"]
    some = json.loads(works(place, "compare m.onnx m.onnx --data a.npz --data b.npz --labels y.npy --limit 60 --json").out)["accuracy"]
    equal((some["samples"], abs(some["a"] - whole["a"]) < 0.15), (60, True), "labels of these samples")
    works(place, "run m.onnx --data a.npz --data b.npz --limit 60 -o o.npz -f -q")
    works(place, "run m.onnx --data a.npz --data b.npz -o all.npz -f -q")
    some, whole = np.load(place.path("o.npz")), np.load(place.path("all.npz"))
    some, whole = some[some.files[0]], whole[whole.files[0]]
    equal(len(set(some.argmax(1).tolist())) >= len(set(whole.argmax(1).tolist())) - 1, True, "all classes are there")


@case
def labels_of_folders(place):
    """Class folders as labels: by the names of the classes, wherever these stand, or in order where there are as many."""
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    def colours(path, width=3, **names):
        nodes = [make("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0), make("Pad", ["m", "p"], ["y"])]
        pads = onnx.numpy_helper.from_array(np.array([0, 0, 0, width - 3]), "p")
        model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [value("x", 1, ["n", 3, 2, 2])], [value("y", 1, ["n", width])], [pads]),
                                       opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
        onnx.helper.set_model_props(model, names)
        place.path(path).parent.mkdir(exist_ok=True)
        onnx.save(model, place.path(path))
    for i, folder in enumerate(("Red", "green/2024", "light_blue")):
        place.path(f"tree/{folder}").mkdir(parents=True)
        for k in range(2):
            colour = np.zeros((k + 1, 3, 2, 2), np.float32)
            colour[:, i] = 1
            np.save(place.path(f"tree/{folder}/{k}.npy"), colour)
    def right(model, samples=9, *more):
        ran = works(place, f"compare {model} {model} --data tree --labels folders --json=j.json -f {' '.join(more)}")
        told = json.loads(place.path("j.json").read_text())["accuracy"]
        equal((told["samples"], told["a"], told["b"]), (samples, 1.0, 1.0), f"accuracy of {model}")
        return ran.err + ran.out.decode()
    colours("plain/m.onnx")
    assert "the 3 class folders, in the order of their names" in right("plain/m.onnx"), "what labels are"
    right("plain/m.onnx", 4, "--limit 4")
    lists = {"a/labels.txt": "red\n\ngreen\r\nlight blue\n", "b/config.json": json.dumps({"id2label": {"2": "Light-Blue", "0": "red", "1": "Green"}}),
             "c/labels.json": json.dumps(["red", "green", "light_blue"]), "d/classes.json": json.dumps({"light_blue": 2, "red": 0, "green": 1})}
    for path, text in lists.items():
        colours(f"{path[0]}/m.onnx")
        place.path(path).write_text(text)
        assert f"by the names of {path[2:]} beside the model" in right(f"{path[0]}/m.onnx"), path
    colours("e/m.onnx", 5, names="{0: 'red', 1: 'green', 2: \"light blue\", 3: 'x', 4: 'y'}")
    colours("f/m.onnx", 4, labels="red, green,light_blue,grey")
    for model, key in (("e", "names"), ("f", "labels")):
        assert f"by the names of {key} in the model's metadata" in right(f"{model}/m.onnx"), model
    # another order than that of the folders
    place.path("a/labels.txt").write_text("green\nred\nlight blue\n")
    works(place, "compare a/m.onnx a/m.onnx --data tree --labels folders --json=j.json -f")
    equal(round(json.loads(place.path("j.json").read_text())["accuracy"]["a"], 3), 0.333, "accuracy in another order")
    compare = lambda model, data="tree": f"compare {model} {model} --data {data} --labels folders"
    place.path("a/labels.txt").write_text("rde\ngreen\nlight blue\n")
    fails(place, compare("a/m.onnx"), 4, "the folder 'Red' is none of the 3 classes of labels.txt beside the model",
          "class folders are named as the classes; --labels FILE.npy gives their numbers")
    place.path("a/labels.txt").write_text("red\ngren\nlight blue\n")
    fails(place, compare("a/m.onnx"), 4, "the folder 'green' is none of the 3 classes of labels.txt beside the model", "did you mean 'gren'?")
    place.path("a/labels.txt").write_text("red\nred\nlight blue\n")
    fails(place, compare("a/m.onnx"), 4, "the folder 'Red' may be 2 of the classes of labels.txt beside the model")
    place.path("b/config.json").write_text(json.dumps({"id2label": {str(i): f"LABEL_{i}" for i in range(3)}}))
    assert "in the order of their names" in right("b/m.onnx"), "names that tell nothing"
    colours("g/m.onnx", 4)
    fails(place, compare("g/m.onnx"), 4, "3 class folders do not tell which of 4 classes they are by their order",
          "a labels.txt beside the model, one name a line, says which class has which name; or --labels FILE.npy")
    np.save(place.path("tree/stray.npy"), np.zeros((1, 3, 2, 2), np.float32))
    ran = place.run(compare("plain/m.onnx"))
    equal((ran.code, "('tree/stray.npy') lies in no class folder" in ran.err), (4, True), f"a file beside the folders: {ran.err}")
    fails(place, compare("plain/m.onnx", "tree/Red"), 4, "sample 0 ('tree/Red/0.npy') lies in no class folder",
          "--labels folders wants --data FOLDER with a folder for each class in it")


def wav(path, pcm, rate=8000):
    import wave
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(rate)
        sound.writeframes(np.asarray(pcm, np.int16).tobytes())


def store_linear(place, name, kind, dims, width=4, seed=1):
    """Saves x [n, dims] -> y [n, width], one product of all its elements."""
    random, make, value = np.random.default_rng(seed), onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [make("Cast", ["x"], ["c"], to=1), make("Flatten", ["c"], ["f"]), make("MatMul", ["f", "w"], ["y"])]
    weight = onnx.numpy_helper.from_array(random.standard_normal((int(np.prod(dims)), width)).astype(np.float32), "w")
    graph = onnx.helper.make_graph(nodes, "g", [value("x", kind, ["n", *dims])], [value("y", 1, ["n", width])], [weight])
    place.path(name).parent.mkdir(exist_ok=True, parents=True)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), place.path(name))


def summary_line(text, label):
    return [line[9:] for line in text.splitlines() if line.startswith(f"{label:<9}")]


@case
def recordings_are_cut_into_windows(place):
    """Each window is as a file of its own; the end that fills none is left out; labels of the recordings are those of their windows."""
    random = np.random.default_rng(8)
    place.path("rec").mkdir()
    lengths = {"a": 250, "b": 100, "c": 40, "d": 199}
    pcm = {name: random.integers(-9000, 9000, n).astype(np.int16) for name, n in lengths.items()}
    for name, values in pcm.items():
        wav(place.path(f"rec/{name}.wav"), values)
    store_linear(place, "w.onnx", 1, [100])
    def windows(size, hop):
        rows, of = [], []
        for number, values in enumerate(pcm.values()):
            starts = range(0, max(len(values) - size, 0) + 1, hop)
            for at in starts:
                rows.append(np.pad(values[at:at + size], (0, max(0, 100 - len(values[at:at + size]))))[:100] / 32768)
                of.append(number)
        return np.array(rows, np.float32), np.array(of)
    weight = onnx.numpy_helper.to_array(onnx.load(place.path("w.onnx")).graph.initializer[0])
    for asked, size, hop in (("--window 100", 100, 100), ("--window 100 --hop 50", 100, 50), ("--window 10ms --hop 20", 80, 20),
                             ("--window 0.0125s --hop 5ms", 100, 40)):
        rows, of = windows(size, hop)
        ran = works(place, f"run w.onnx --data rec --rate 8000 {asked} -o y.npz -f --json=j.json")
        got = np.load(place.path("y.npz"))["y"]
        equal(got.shape, (len(rows), 4), f"shape with {asked}")
        assert np.abs(got - rows @ weight).max() < 1e-4, asked
        told = json.loads(place.path("j.json").read_text())["data"]
        equal((told["samples"], told["recordings"]), (len(rows), 4), f"told with {asked}")
        assert f"{len(rows)} samples, windows of 4 recordings" in ran.err, ran.err
    rows, of = windows(100, 50)
    classes = (rows @ weight).argmax(1)
    np.save(place.path("of_windows.npy"), classes)
    np.save(place.path("of_files.npy"), np.array([1, 3, 0, 2]))
    right = np.mean(np.array([1, 3, 0, 2])[of] == classes)
    compare = "compare w.onnx w.onnx --data rec --rate 8000 --window 100 --hop 50 --json=j.json -f --labels"
    for labels, share in (("of_windows.npy", 1), ("of_files.npy", right)):
        works(place, f"{compare} {labels}")
        told = json.loads(place.path("j.json").read_text())["accuracy"]
        equal((told["samples"], round(told["a"], 6)), (len(rows), round(float(share), 6)), labels)
    np.save(place.path("short.npy"), np.zeros(3, np.int64))
    fails(place, f"{compare} short.npy", 4, f"labels 'short.npy' are [3], but there are {len(rows)} samples",
          "one for each of the 4 recordings is wanted, or one for each window")
    works(place, f"{compare} of_files.npy --limit 5")
    fails(place, "run w.onnx --data rec --rate 8000 --window 101 -o n.npz", 2,
          "'rec/a.wav': a window of 101 samples is longer than what the model's input 'x' float32 [n,100] takes", "--window 100 is as long as that")
    fails(place, "run w.onnx --data rec --rate 8000 --hop 10 -o n.npz", 2, "--hop says how far windows of sound lie apart, and needs --window")
    for bad in ("1m", "0", "-1", "1.5", "nans", "0s"):
        fails(place, f"run w.onnx --data rec --rate 8000 --window {bad} -o n.npz", 2,
              "--window: a length of sound (1s, 500ms, or a whole number of samples) is expected")
    fails(place, "run m.onnx --data local.npz --window 1s -o n.npz", 2, "--window is for sound files, of which the data have none")


@case
def windows_at_another_rate_and_of_any_length(place):
    """A window is resampled as if it had been cut out of the recording as a file; with a free length all are as long as a window."""
    pcm = np.random.default_rng(3).integers(-9000, 9000, 4410).astype(np.int16)
    place.path("rec").mkdir()
    wav(place.path("rec/a.wav"), pcm, 22050)
    store_network(place, "any.onnx", [onnx.helper.make_node("Identity", ["x"], ["y"])], {"y": (1, None)}, {}, ["t"])
    works(place, "run any.onnx --data rec --rate 8000 --window 600 --hop 250 -o y.npz -f")
    got = np.load(place.path("y.npz"))["y"]
    frames = -(-600 * 22050 // 8000)
    starts = [i * 250 * 22050 // 8000 for i in range(100) if i * 250 * 22050 // 8000 + frames <= len(pcm)]
    place.path("cut").mkdir()
    for i, at in enumerate(starts):
        wav(place.path(f"cut/{i}.wav"), pcm[at:at + frames], 22050)
    works(place, "run any.onnx --data cut --rate 8000 -o z.npz -f")
    want = np.load(place.path("z.npz"))["y"][:, :600]
    equal((got.shape, len(starts)), (want.shape, 5), "windows")
    equal(np.array_equal(got, want), True, "as files of their own")


def magika_tokens(content, head, tail, block, padding):
    """One byte after the other, as the package's features are made."""
    white = b" \t\n\r\x0b\x0c"
    begin, end = list(content[:block]), list(content[max(0, len(content) - block):])
    while begin and begin[0] in white:
        begin.pop(0)
    while end and end[-1] in white:
        end.pop()
    begin, end = begin[:head], end[len(end) - min(tail, len(end)):]
    left = len(begin)
    while len(begin) < head:
        begin.append(padding)
    while len(end) < tail:
        end.insert(0, padding)
    return begin + end, left


@case
def files_of_any_kind_are_bytes(place):
    """A model that reads bytes takes a folder of files as it lies there."""
    random = np.random.default_rng(5)
    head, tail, block, padding, least = 48, 32, 200, 256, 8
    files = {"a.txt": b"  \n\thello, world, this is text \r\n ", "b": bytes(random.integers(0, 256, 900, np.uint8)), "c.png": b"\x89PNG not a picture at all",
             "d.npz": b"PK nothing of the kind", "deep/er/e.wav": b" " * 150 + b"0123456789" + b" " * 500 + b"end\x0b\x0c", "f.json": b"\n" * 190 + b"0123456789",
             "g": b"12345678", "test_data_set_0/input_0.pb": b"a folder of that name is one like others"}
    short = {"h": b"", "i.txt": b"   1234567", "j": b"\n" * 400, "k": b" " * 300 + b"behind the block there is something"}
    for name, content in {**files, **short, ".hidden": b"never read, whatever it is", "deep/.git/config": b"never read, whatever it is"}.items():
        place.path(f"box/{name}").parent.mkdir(parents=True, exist_ok=True)
        place.path(f"box/{name}").write_bytes(content)
    os.symlink("nothing", place.path("box/link"))
    os.mkfifo(place.path("box/pipe"))
    os.symlink(place.path("box/deep"), place.path("box/circle"))
    store_linear(place, "m/model.onnx", 6, [head + tail])
    magika = {"beg_size": head, "mid_size": 0, "end_size": tail, "use_inputs_at_offsets": False, "padding_token": padding, "block_size": block,
              "min_file_size_for_dl": least, "target_labels_space": ["a", "b", "c", "d"], "thresholds": {}}
    ours = {"feature": "bytes", "head": head, "tail": tail, "padding": padding, "strip": True, "block": block, "least": least}
    def seen(model, *more):
        shutil.rmtree(place.path("seen"), ignore_errors=True)
        ran = works(place, f"show {model} --data box -o seen --json=j.json -f {' '.join(more)}")
        return ran.err, {path.name: [int(word) for word in path.read_text().split("\n", 1)[1].split()] for path in sorted(place.path("seen").iterdir())}
    want = {}
    for name in sorted(files, key=lambda name: name.split("/")):
        want[f"{Path(name).stem}_{len(want):06d}.txt"] = magika_tokens(files[name], head, tail, block, padding)[0]
    for content in short.values():
        assert magika_tokens(content, head, tail, block, padding)[1] < least, content
    for name, config in (("config.min.json", magika), ("preprocess.json", ours)):
        place.path(f"m/{name}").write_text(json.dumps(config))
        said, got = seen("m/model.onnx")
        equal(got, want, f"numbers by {name}")
        place.path(f"m/{name}").unlink()
        equal(summary_line(said, "prepared"), [f"bytes: {len(files)} files, the first {head} bytes and the last {tail} without white space around, padding {padding}; by {name}"], "prepared")
        told = json.loads(place.path("j.json").read_text())["data"]
        equal(sorted(told["passed_over"]), ["1 link to a folder", "2 no file", "4 of fewer than 8 bytes"], "passed over")
        equal(told["preparation"], summary_line(said, "prepared")[0], "in JSON")
    place.path("p.json").write_text(json.dumps({"feature": "bytes", "head": 5, "padding": 0}))
    store_linear(place, "five.onnx", 2, [5])
    _, got = seen("five.onnx", "--preprocess p.json")
    files = {name: content for name, content in {**files, **short}.items() if content}
    equal(got, {f"{Path(name).stem}_{i:06d}.txt": (list(files[name]) + [0] * 5)[:5] for i, name in enumerate(sorted(files, key=lambda name: name.split("/")))},
          "the first five")
    fails(place, "run m/model.onnx --data box --preprocess p.json -o n.npz", 4, "none of the 12 files can be used; the first: "
          "'box/a.txt' becomes 5 numbers, but the model's input is 'x' int32 [n,80]")
    place.path("p.json").write_text(json.dumps({"feature": "bytes", "head": 5, "padding": 256}))
    ran = place.run("run five.onnx --data box/b --preprocess p.json -o n.npz")
    equal((ran.code, "has 256 in sample 0, which the model's input 'x' of uint8 cannot hold" in ran.err), (4, True), ran.err)
    place.path("p.json").write_text(json.dumps({"feature": "bytes", "heads": 5, "padding": 256}))
    fails(place, "run five.onnx --data box --preprocess p.json -o n.npz", 4, "'p.json': 'heads' is no member of a preparation", "did you mean 'head'?")
    place.path("m/config.min.json").write_text(json.dumps({**magika, "use_inputs_at_offsets": True}))
    fails(place, "run m/model.onnx --data box -o n.npz", 4, "'m/config.min.json' asks for 'use_inputs_at_offsets', which is not done here")
    place.path("m/config.min.json").write_text(json.dumps(magika))
    fails(place, "run m/model.onnx --data box/h -o n.npz", 4, "'box/h' has fewer than 8 bytes, too few for the model")
    # what holds arrays and is named itself gives these
    np.savez(place.path("rows.npz"), x=np.arange(2 * (head + tail), dtype=np.int32).reshape(2, -1) % 256)
    works(place, "run m/model.onnx --data rows.npz -o n.npz -f")
    equal(np.load(place.path("n.npz"))["y"].shape, (2, 4), "arrays")
    works(place, "prune m/model.onnx --data box --data rows.npz -s 50% --reserve 0 -o mine.onnx -f")


@case
def show_writes_what_the_model_sees(place):
    from PIL import Image
    random = np.random.default_rng(6)
    rows = random.integers(0, 256, (12, 9, 3), np.uint8)
    place.path("photos/deep").mkdir(parents=True)
    Image.fromarray(rows).save(place.path("photos/deep/one photo.png"))
    Image.fromarray(rows[::-1]).save(place.path("photos/two.png"))
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    sizes = {"first.onnx": [3, 12, 9], "last.onnx": [12, 9, 3]}
    for name, dims in sizes.items():
        store_network(place, name, [relu], {"y": (1, None)}, {}, dims)
    for name in sizes:
        for more in ("--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225", "--mean 0 --std 1", "--mean 0.5,0.4,0.3 --std 0.2,0.3,0.1 --bgr"):
            shutil.rmtree(place.path("seen"), ignore_errors=True)
            ran = works(place, f"show {name} --data photos -o seen {more} --json=j.json -f")
            equal(sorted(p.name for p in place.path("seen").iterdir()), ["one photo_000000.png", "two_000001.png"], "files")
            for path, want in (("one photo_000000", rows), ("two_000001", rows[::-1])):
                equal(np.array_equal(np.asarray(Image.open(place.path(f"seen/{path}.png"))), want), True, f"{path} of {name} with {more}")
            assert "'x': 2 PNG, brought back to 0..255 by the inverse of the preparation" in ran.err, ran.err
    mean = re.sub(" +", " ", ran.err)
    assert "prepared photos: 2 files, resized to 9 x 12 bilinear, x/255, mean 0.5,0.4,0.3, std 0.2,0.3,0.1, blue first; by options" in mean, mean
    equal(os.stat(place.path("seen")).st_mode & 0o777, 0o700, "the folder is its owner's")
    # arrays: from the least to the greatest
    arrays = random.standard_normal((3, 3, 12, 9)).astype(np.float32)
    np.save(place.path("noise.npy"), arrays)
    ran = works(place, "show first.onnx --data noise.npy -o range --limit 2")
    equal(len(list(place.path("range").iterdir())), 2, "--limit")
    for path in place.path("range").iterdir():
        got = np.asarray(Image.open(path)).transpose(2, 0, 1)
        assert any(np.abs(got - (a - a.min()) / (a.max() - a.min()) * 255).max() <= 0.51 for a in arrays), path
    assert "each from its least value as black to its greatest as white" in ran.err, ran.err
    # waves, as they are
    pcm = random.integers(-9000, 9000, 300).astype(np.int16)
    wav(place.path("a.wav"), pcm)
    store_network(place, "wave.onnx", [relu], {"y": (1, None)}, {}, [400])
    works(place, "show wave.onnx --data a.wav --rate 8000 -o heard -q")
    heard = place.path("heard/a_000000.wav").read_bytes()
    kind, channels, rate = struct.unpack_from("<HHI", heard, 20)
    at = heard.index(b"data")
    equal((kind, channels, rate, struct.unpack_from("<I", heard, at + 4)[0], len(heard) - 8), (3, 1, 8000, 1600, struct.unpack_from("<I", heard, 4)[0]), "header")
    equal(np.array_equal(np.frombuffer(heard[at + 8:], "<f4"), np.pad(pcm, (0, 100)) / np.float32(32768)), True, "wave")
    # all else is text
    np.savez(place.path("two.npz"), **{"a/b": np.arange(6).reshape(2, 3), "c": np.array([[0.1], [2.5]], np.float32)})
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["c"], ["y"]), onnx.helper.make_node("Identity", ["a/b"], ["z"])], "g",
                                   [value("a/b", 7, ["n", 3]), value("c", 1, ["n", 1])], [value("y", 1, None), value("z", 7, None)])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), place.path("two.onnx"))
    works(place, "show two.onnx --data two.npz -o texts -q")
    equal({p.name: p.read_text() for p in place.path("texts").iterdir()},
          {"two_000000_a_b.txt": "# int64 [1,3]\n0 1 2\n", "two_000001_a_b.txt": "# int64 [1,3]\n3 4 5\n", "two_000000_c.txt": "# float32 [1,1]\n0.100000001\n",
           "two_000001_c.txt": "# float32 [1,1]\n2.5\n"}, "texts")
    # the folder
    fails(place, "show two.onnx --data two.npz -o texts", 2, "the output folder 'texts' is not empty", "-f writes into it all the same, over files of the same names")
    works(place, "show two.onnx --data two.npz -o texts -f -q")
    fails(place, "show two.onnx --data two.npz -o a.wav", 2, "output 'a.wav' is not a folder")
    fails(place, "show two.onnx --data two.npz -o -", 2, "output '-' is no folder")
    fails(place, "show two.onnx --data two.npz -o none/there", 6, "cannot make the folder 'none/there': No such file or directory")
    fails(place, "show first.onnx --data photos --mean 0 --std 1 -o photos/seen", 2, "the output folder 'photos/seen' lies in the data 'photos'")
    fails(place, "show two.onnx --data two.npz", 2, "'show' needs -o FOLDER")
    place.path("empty").mkdir()
    works(place, "show two.onnx --data two.npz -o empty -q")
    equal(len(list(place.path("empty").iterdir())), 4, "an empty folder")


@case
def the_preparation_is_told(place):
    """What became of files stands in the summary, the report and the page, for photos and sound (bytes have a case of their own)."""
    from PIL import Image
    place.path("photos").mkdir()
    for i in range(5):
        Image.fromarray(np.full((40, 60, 3), 40 * i, np.uint8)).save(place.path(f"photos/{i}.png"))
    place.path("photos/cut.png").write_bytes(place.path("photos/1.png").read_bytes()[:60])
    place.path("sub").mkdir()
    shutil.copy(place.path("m.onnx"), place.path("sub/x.onnx"))
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    store_network(place, "sub/image.onnx", [relu], {"y": (1, None)}, {}, [3, 24, 24])
    place.path("sub/preprocessor_config.json").write_text(json.dumps(
        {"do_resize": True, "size": {"shortest_edge": 32}, "resample": 3, "do_center_crop": True, "crop_size": {"height": 24, "width": 24},
         "do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}))
    def told(line, page=True):
        ran = works(place, f"{line} -f --json=j.json {'--report r.html' if page else ''}")
        text = summary_line(ran.err, "prepared")
        equal([json.loads(place.path("j.json").read_text())["data"].get("preparation")], text or [None], "in JSON")
        if page and text:
            assert text[0].replace("'", "&#39;") in place.path("r.html").read_text() or text[0] in place.path("r.html").read_text(), text
        return text
    run = "run sub/image.onnx --data photos --on-bad-file skip -o y.npz"
    photos = "files, shorter side 32 bicubic, centre 24, x/255, ImageNet mean; by preprocessor_config.json"
    equal(told(run), [f"photos: 5 of 6 {photos}"], "photos")
    equal(told(f"{run} --limit 3"), [f"photos: 3 of 6 {photos}"], "with a limit")
    equal(told(f"{run} --resize 24x24 --crop none --resample nearest"),
          ["photos: 5 of 6 files, resized to 24 nearest, x/255, ImageNet mean; by preprocessor_config.json and options"], "options")
    wav(place.path("a.wav"), np.arange(500))
    store_network(place, "wave.onnx", [relu], {"y": (1, None)}, {}, [100])
    equal(told("run wave.onnx --data a.wav -o y.npz --rate 4000"), ["sound: 1 file, 4000 Hz, one channel, cut or filled up to 100 samples; by options"], "sound")
    equal(told("run wave.onnx --data a.wav -o y.npz --rate 4000 --window 20ms --hop 40"),
          ["sound: 1 file, 4000 Hz, one channel, windows of 0.02 s each 40 samples, cut or filled up to 100 samples; by options"], "windows")
    store_network(place, "mel.onnx", [relu], {"y": (1, None)}, {}, [8, "t"])
    place.path("p.json").write_text(json.dumps({"feature": "mel", "rate": 8000, "fft": 64, "hop": 32, "mels": 8}))
    equal(told("run mel.onnx --data a.wav -o y.npz --preprocess p.json"),
          ["sound: 1 file, 8000 Hz, one channel, 8 mel bands (log10, Slaney's; fft 64, hop 32); by p.json"], "mel")
    equal(told("run m.onnx --data local.npz -o y.npz"), [], "arrays")


@case
def labels_that_contradict_folders(place):
    """Samples in class folders whose labels are others: a warning where the folders are named as the classes, or are as many and as large as these; none else."""
    node = onnx.helper.make_node
    store_network(place, "m.onnx", [node("Identity", ["x"], ["y"])], {"y": (1, ["N", 3])}, {}, [3])
    labels = []
    for kind, (name, n) in enumerate((("cat", 3), ("cow", 5), ("dog", 4))):
        place.path(f"tree/{name}").mkdir(parents=True)
        for k in range(n):
            np.save(place.path(f"tree/{name}/{k}.npy"), np.eye(3, dtype=np.float32)[[kind]])
            labels.append(kind)
    right, listed = np.array(labels), [(kind, k) for kind, n in enumerate((3, 5, 4)) for k in range(n)]
    mixed = right[np.random.default_rng(3).permutation(12)]
    def causes(y, table=False):
        np.save(place.path("y.npy"), y)
        names = ("cat", "cow", "dog")
        place.path("y.csv").write_text("".join(f"{names[kind]}/{k}.npy,{label}\n" for (kind, k), label in zip(listed, y)))
        return warned(place, f"compare m.onnx m.onnx --data tree --labels y.{'csv' if table else 'npy'}")
    swapped, moods, one = (right + 1) % 3, np.arange(12) % 2, np.where(np.arange(12) == 0, 2, right)
    equal([causes(y) for y in (right, mixed, swapped, moods, one)], [[], ["labels_and_folders"], [], [], []], "without names")
    equal(causes(mixed, True), ["labels_and_folders"], "of a table")
    place.path("labels.txt").write_text("cat\ncow\ndog\n")
    equal([causes(y) for y in (right, mixed, swapped, one)], [[], *3 * [["labels_and_folders"]]], "with names")
    ran = works(place, "compare m.onnx m.onnx --data tree --labels y.npy").out.decode()
    assert ("warning  1 of 12 labels are not the class whose folder the sample lies in: are they in the order of the samples, by path? --labels folders "
            "(the first in 'cat', class 0, is labelled 2)\n") in ran, ran
    place.path("labels.txt").write_text("cat\ncow\nhen\n")
    equal(causes(one), [], "names of other classes")


@case
def labels_of_a_table(place):
    """A .csv of file and label: quotes, headings, names of classes, paths and names of files, and every mistake by its first line and count."""
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    model = onnx.helper.make_model(onnx.helper.make_graph([make("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)], "g", [value("x", 1, ["n", 3, 2, 2])],
                                                          [value("y", 1, ["n", 3])], []), opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    place.path("named").mkdir()
    onnx.save(model, place.path("p.onnx"))
    onnx.save(model, place.path("named/m.onnx"))
    place.path("named/labels.txt").write_text("red\nlight green\nblue\n")
    files = {"a/0.npy": 0, "b/0.npy": 1, 'b/x, "y".npy': 2, "c.npy": 2}
    for name, label in files.items():
        colour = np.zeros((2 if name == "c.npy" else 1, 3, 2, 2), np.float32)
        colour[:, label] = 1
        place.path(f"tree/{name}").parent.mkdir(parents=True, exist_ok=True)
        np.save(place.path(f"tree/{name}"), colour)
    compare = lambda model, more="": f"compare {model} {model} --data tree --labels l.csv {more}"
    def right(text, model="p.onnx", more="", samples=5, share=1.0):
        place.path("l.csv").write_bytes(text.encode())
        works(place, compare(model, f"{more} --json=j.json -f"))
        told = json.loads(place.path("j.json").read_text())["accuracy"]
        equal((told["samples"], round(told["a"], 9), "a_top5" in told), (samples, round(share, 9), False), f"accuracy with {text!r}")
    quoted = '"b/x, ""y"".npy"'
    right(f"a/0.npy,0\nb/0.npy,1\n{quoted},2\nc.npy,2\n")
    right(f"\ufefffile,label\r\n tree/a/0.npy , 0\r\n\r\n./b/0.npy,1\r\n{quoted.replace('b/', '')},2\r\n\"c.npy\",\"2\"")
    right(f"a/0.npy,1\nb/0.npy,1\n{quoted},2\nc.npy,1\n", share=0.4)
    right(f"name,what\n/home/me/tree/a/0.npy,RED\nb/0.npy,light_green\n{quoted},blue\nc.npy,2\n", model="named/m.onnx")
    right(f"a/0.npy,0\nb/0.npy,1\n{quoted},2\nc.npy,2\n", more="--limit 2", samples=2)
    def wrong(text, error, hint=None, model="p.onnx", more=""):
        place.path("l.csv").write_bytes(text.encode())
        fails(place, compare(model, more), 4, f"labels 'l.csv'{error}", hint)
    wrong("file,label\na/0.npy,0\nb/0.npy,1\n", " have none for 3 of 5 samples; the first: sample 2 ('tree/b/x, \"y\".npy')")
    wrong("a/0.npy,0\nd.npy,1\ne.npy,1\n", ", line 2: 'd.npy' is no file of the samples; 2 such lines in all",
          "files are named by their paths below the folder of --data, or by their names")
    wrong("0.npy,0\nc.npy,1\n", ", line 1: '0.npy' may be several files of the samples; 1 such line in all", "give the path below the folder of --data")
    wrong("a/0.npy,gren\nc.npy,2\nc.npy,Bleu\n", ", line 1: 'gren' is none of the model's classes; 2 such lines in all", "did you mean 'red'?", "named/m.onnx")
    wrong("a/0.npy,3\nc.npy,2\n", ", line 1: '3' is none of the model's classes; 1 such line in all",
          "a labels.txt beside the model, one name a line, says which class has which name; or give class numbers, from 0")
    wrong("c.npy,1\nc.npy,1\nc.npy,2\n", ", line 3: 'c.npy' has another label on a line before; 1 such line in all")
    wrong("a/0.npy,0\na/0.npy\n", ", line 2: 1 field instead of two, file and label", "a name with a comma in it stands in quotes")
    wrong('a/0.npy,0\n"b/0.npy,0\n', ", line 2: a quote is not closed")
    wrong('a/0.npy,0\n"b"/0.npy,0\n', ", line 2: a comma or the end of the line is wanted behind a quote")
    wrong("", " have none for 5 of 5 samples; the first: sample 0 ('tree/a/0.npy')")
    fails(place, "compare p.onnx p.onnx --data tree --labels none.csv", 6, "cannot read the labels 'none.csv': No such file or directory")
    place.path("tree/bad.npy").write_bytes(b"no array")
    right(f"a/0.npy,0\nb/0.npy,1\n{quoted},2\nc.npy,2\nbad.npy,1\n", more="--on-bad-file skip")


@case
def among_the_five_best(place):
    """Beside the first answer the five best, as NumPy sorts them, where there are ten classes or more."""
    random, node = np.random.default_rng(11), onnx.helper.make_node
    x, labels = random.standard_normal((200, 12)).astype(np.float32), random.integers(0, 10, 200)
    wtens = {"w": random.standard_normal((12, 10)).astype(np.float32), "v": random.standard_normal((12, 9)).astype(np.float32)}
    store_network(place, "ten.onnx", [node("MatMul", ["x", "w"], ["y"])], {"y": (1, ["N", 10])}, {"w": wtens["w"]}, [12])
    store_network(place, "nine.onnx", [node("MatMul", ["x", "v"], ["y"])], {"y": (1, ["N", 9])}, {"v": wtens["v"]}, [12])
    np.savez(place.path("x.npz"), x=x)
    np.save(place.path("y.npy"), labels)
    line = "compare ten.onnx ten.onnx --data x.npz --labels y.npy --json=j.json --report r.html -f"
    text = works(place, line).out.decode()
    order = np.argsort(-(x @ wtens["w"]), axis=1, kind="stable")
    expected = [float(np.mean(order[:, 0] == labels)), float(np.mean((order[:, :5] == labels[:, None]).any(1)))]
    told = json.loads(place.path("j.json").read_text())["accuracy"]
    equal([told["a"], told["a_top5"], told["b_top5"]], [expected[0], expected[1], expected[1]], "shares")
    share = f"{100 * expected[1]:.1f}%"
    assert f"; among the five best A {share}, B {share}\n" in text, text
    page = place.path("r.html").read_text()
    assert "Among the five best" in page and share in page, "page"
    np.save(place.path("y.npy"), labels % 9)
    works(place, line.replace("ten", "nine"))
    assert "a_top5" not in json.loads(place.path("j.json").read_text())["accuracy"], "nine classes"


@case
def layers_that_go_off(place):
    """Each layer's error against what ONNX Runtime has there, by name or weight, and the one that was changed is named."""
    random, node = np.random.default_rng(12), onnx.helper.make_node
    weights = {f"w{i}": random.standard_normal((8, 3 if not i else 8, 3, 3)).astype(np.float32) / 5 for i in range(4)}
    def network(name, weights, rename=lambda n: n):
        nodes = []
        for i in range(4):
            nodes += [node("Conv", [rename(f"r{i - 1}") if i else "x", f"w{i}"], [rename(f"c{i}")], pads=[1, 1, 1, 1]), node("Relu", [rename(f"c{i}")], [rename(f"r{i}")])]
        nodes += [node("GlobalAveragePool", [rename("r3")], [rename("g")]), node("Flatten", [rename("g")], ["y"])]
        store_network(place, name, nodes, {"y": (1, ["N", 8])}, weights, [3, 8, 8])
        return nodes
    network("a.onnx", weights)
    other = dict(weights, w2=weights["w2"] * (1 + 0.8 * random.standard_normal(weights["w2"].shape)).astype(np.float32))
    network("b.onnx", other)
    network("n.onnx", other, lambda n: "z" + n)
    x = random.standard_normal((70, 3, 8, 8)).astype(np.float32)
    np.savez(place.path("x.npz"), x=x)
    def inside(name):
        model = onnx.load(place.path(name))
        values = [n.output[0] for n in model.graph.node]
        model.graph.output.extend(onnx.helper.make_tensor_value_info(v, 1, None) for v in values if v != "y")
        session = ort.InferenceSession(model.SerializeToString())
        return dict(zip(values, session.run(values, {"x": x})))
    def told(line):
        ran = works(place, f"{line} --layers --json=j.json --report r.html -f")
        return json.loads(place.path("j.json").read_text())["layer_errors"], ran.out.decode()
    first, second = inside("a.onnx"), inside("b.onnx")
    for more in ("", "--batch 7 -j 1"):
        found, text = told(f"compare a.onnx b.onnx --data x.npz {more}")
        equal([layer["output"] for layer in found["layers"]], ["c0", "r0", "c1", "r1", "c2", "r2", "c3", "r3", "g"], "layers in order")
        for layer in found["layers"]:
            a, b = (values[layer["output"]].astype(np.float64) for values in (first, second))
            expected = np.linalg.norm(b - a) / np.linalg.norm(a - a.mean())
            assert abs(layer["error"] - expected) < 1e-5 + 1e-4 * expected, (layer, expected)
        equal([layer["output"] for layer in found["layers"] if layer["stands_out"]], ["c2"], "layers that stand out")
        assert found["said"].startswith("B goes off first at 'c2' (Conv, weight 'w2'): 0."), found["said"]
        assert re.search(r"^layers   B goes off first at 'c2'", text, re.M) and re.search(r"^  c2 +Conv +w2 +\S+ +stands out$", text, re.M), text
        assert "B goes off first at &#39;c2&#39;" in place.path("r.html").read_text(), "page"
    found, text = told("compare a.onnx n.onnx --data x.npz")
    equal([layer["output"] for layer in found["layers"]], ["c0", "c1", "c2", "c3"], "by weights")
    equal([layer["output"] for layer in found["layers"] if layer["stands_out"]], ["c2"], "layers that stand out, by weights")
    found, text = told("compare a.onnx a.onnx --data x.npz")
    assert found["said"] == "no layer of B is off by 0.01 or more; the most is 0, at 'c0'", found["said"]
    plain = works(place, "compare a.onnx b.onnx --data x.npz").out.decode()
    equal([line for line in plain.splitlines() if line.startswith("drift")],
          [line for line in told("compare a.onnx b.onnx --data x.npz")[1].splitlines() if line.startswith("drift")], "drift with --layers")
    works(place, "prune a.onnx --data x.npz --target macs=50% --task other --round 2 -o p.onnx -q")
    found, text = told("compare a.onnx p.onnx --data x.npz")
    assert found["other_shape"] > 0 and "not compared, as B's have another shape" in text, text


PHOTO_MEAN, PHOTO_DEVIATION = (np.float32(v).reshape(3, 1, 1) for v in ([.485, .456, .406], [.229, .224, .225]))


def smooth_pictures(random, n, side=24):
    """Colour pictures of four kinds, 0 to 255: smooth, warmer than cold, with one of four colours strongest somewhere."""
    kinds = random.integers(0, 4, n)
    coarse = random.standard_normal((n, 1, 4, 4)) * 0.8 + random.standard_normal((n, 3, 4, 4)) * 0.25
    tints = np.array([[1.3, 0, -1], [0.2, 0.9, -0.6], [0.4, 0.1, 0.5], [0.9, 0.6, -1.4]])
    coarse += tints[kinds][:, :, None, None]
    at = np.linspace(0, 3, side)
    low, part = np.minimum(at.astype(int), 2), at - np.minimum(at.astype(int), 2)
    rows = coarse[:, :, low] * (1 - part)[:, None] + coarse[:, :, low + 1] * part[:, None]
    fine = rows[:, :, :, low] * (1 - part) + rows[:, :, :, low + 1] * part
    return np.round(np.clip(120 + 50 * fine + 4 * random.standard_normal(fine.shape), 0, 255)).astype(np.float32), kinds


def convolved(x, w):
    return np.einsum("nchwij,ocij->nohw", np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3)), w, optimize=True)


def picture_model(place, name, prepare, normalization=True):
    """A convolution with a normalization (or with it multiplied in) and a last layer, fitted to pictures that were prepared in that way."""
    random, node = np.random.default_rng(21), onnx.helper.make_node
    pictures, kinds = smooth_pictures(random, 400)
    x = prepare(pictures / 255).astype(np.float32)
    w = random.standard_normal((16, 3, 3, 3)).astype(np.float32) / 5 / x.std()
    y = convolved(x, w)
    mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3))
    z = (y - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
    features = np.concatenate([np.maximum(z, 0).mean((2, 3)), np.ones((len(z), 1))], 1)
    last = np.linalg.lstsq(features, 12 * np.eye(4)[kinds], rcond=None)[0].astype(np.float32)
    weights = {"w": w, "v": last[:-1], "c": last[-1]}
    if normalization:
        weights |= {"one": np.ones(16, np.float32), "zero": np.zeros(16, np.float32), "mean": mean.astype(np.float32), "variance": variance.astype(np.float32)}
        head = [node("Conv", ["x", "w"], ["h"]), node("BatchNormalization", ["h", "one", "zero", "mean", "variance"], ["b"])]
    else:
        scale = 1 / np.sqrt(variance + 1e-5)
        weights |= {"w": (w * scale[:, None, None, None]).astype(np.float32), "a": (-mean * scale).astype(np.float32)}
        head = [node("Conv", ["x", "w", "a"], ["b"])]
    store_network(place, name, head + [node("Relu", ["b"], ["r"]), node("GlobalAveragePool", ["r"], ["g"]), node("Flatten", ["g"], ["f"]),
                                       node("Gemm", ["f", "v", "c"], ["l"]), node("Softmax", ["l"], ["probabilities"])],
                  {"probabilities": (1, ["N", 4])}, weights, [3, "H", "W"])


def warned(place, line):
    """The causes of the warnings in the report; the summary and the page have each of them."""
    ran = works(place, f"{line} --json=j.json --report r.html -f")
    told = json.loads(place.path("j.json").read_text()).get("warnings", [])
    lines = [text for text in (ran.err + ran.out.decode()).splitlines() if text.startswith("warning  ")]
    equal(lines, [f"warning  {one['text']} ({one['evidence']})" for one in told], f"warnings of '{line}'")
    first = labels_of(ran.err + ran.out.decode())
    equal(first[first[0] == "verdict":][:len(lines)], len(lines) * ["warning"], "the first lines, or those behind the verdict")
    equal(place.path("r.html").read_text().count(">warning: "), len(told), "warnings in the page")
    return [one["cause"] for one in told]


@case
def wrong_preparation_is_noticed(place):
    """Pictures prepared in other ways than the model was trained: named on prune, run, compare and check; nothing is said of the right way."""
    random = np.random.default_rng(22)
    pictures, _ = smooth_pictures(random, 60)
    unit, photo = pictures / 255, (pictures / 255 - PHOTO_MEAN) / PHOTO_DEVIATION
    turned = lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(x.shape)
    picture_model(place, "photo.onnx", lambda x: (x - PHOTO_MEAN) / PHOTO_DEVIATION)
    picture_model(place, "unit.onnx", lambda x: x)
    picture_model(place, "wide.onnx", lambda x: 255 * x)
    picture_model(place, "folded.onnx", lambda x: (x - PHOTO_MEAN) / PHOTO_DEVIATION, normalization=False)
    picture_model(place, "plain.onnx", lambda x: x, normalization=False)
    cases = [("photo", photo, []), ("unit", unit, []), ("wide", pictures, []), ("folded", photo, []), ("plain", unit, []),
             ("photo", pictures, ["not_scaled"]), ("unit", pictures, ["not_scaled"]), ("photo", unit, ["not_normalized"]),
             ("photo", (photo - PHOTO_MEAN) / PHOTO_DEVIATION, ["normalized_twice"]), ("unit", photo, ["normalized_twice"]),
             ("photo", unit / 255, ["scaled_twice"]), ("unit", unit / 255, ["scaled_twice"]), ("wide", unit, ["scaled"]),
             ("photo", photo[:, ::-1], ["colors_swapped"]), ("unit", unit[:, ::-1], ["colors_swapped"]), ("wide", pictures[:, ::-1], ["colors_swapped"]),
             ("photo", turned(photo), ["layout"]), ("folded", turned(photo), ["layout"]),
             ("folded", pictures, ["not_scaled"]), ("plain", pictures, ["not_scaled"]), ("plain", unit / 255, ["scaled_twice"])]
    for number, (model, x, expected) in enumerate(cases):
        np.savez(place.path("x.npz"), x=x.astype(np.float32))
        lines = {"run": f"run {model}.onnx --data x.npz -o y.npz", "check": f"check {model}.onnx --data x.npz",
                 "compare": f"compare {model}.onnx {model}.onnx --data x.npz", "prune": f"prune {model}.onnx --data x.npz -o o.onnx --strict-sparsity"}
        for command, line in lines.items():
            equal(warned(place, line), expected, f"warnings of {command}, {model}, case {number}")


@case
def samples_that_say_nothing(place):
    """Blank samples, silent and clipped sound, another rate than the preparation file's, and a model that answers all samples alike."""
    import wave
    random, node = np.random.default_rng(23), onnx.helper.make_node
    def sounds(folder, waves):
        place.path(folder).mkdir()
        for i, samples in enumerate(waves):
            with wave.open(str(place.path(f"{folder}/{i}.wav")), "wb") as file:
                file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
                file.writeframes((32767 * np.clip(samples, -1, 1)).astype(np.int16).tobytes())
    store_network(place, "sound.onnx", [node("Relu", ["x"], ["y"])], {"y": (1, None)}, {}, ["T"])
    voices = [np.convolve(random.standard_normal(4000), np.ones(9) / 9)[:4000] * np.abs(np.sin(np.arange(4000) / 300)) for _ in range(10)]
    sounds("voices", [0.4 * v / np.abs(v).max() for v in voices])
    sounds("quiet", [0.4 * v / np.abs(v).max() if i % 3 else 0 * v for i, v in enumerate(voices)])
    sounds("loud", [4 * v / np.abs(v).max() for v in voices])
    line = lambda folder, more="--rate 8000": warned(place, f"run sound.onnx --data {folder} -o y.npz {more}")
    equal([line("voices"), line("quiet"), line("loud")], [[], ["silent"], ["clipped"]], "of sound")
    place.path("preprocess.json").write_text('{"rate": 8000}')
    equal([line("voices", ""), line("voices", "--rate 4000")], [[], ["other_rate"]], "of the rate")
    x = random.standard_normal((40, 20)).astype(np.float32)
    weights = {"w": random.standard_normal((20, 5)).astype(np.float32), "b": np.float32([3, -1, 0, 2, -2])}
    store_network(place, "few.onnx", [node("Gemm", ["x", "w", "b"], ["l"]), node("Softmax", ["l"], ["probabilities"])], {"probabilities": (1, ["N", 5])}, weights, [20])
    for scale, expected in ((1, []), (1e-4, ["same_answers"])):
        np.savez(place.path("x.npz"), x=x * np.float32(scale))
        for command in ("run few.onnx --data x.npz -o y.npz", "check few.onnx --data x.npz", "compare few.onnx few.onnx --data x.npz",
                        "prune few.onnx --data x.npz -o o.onnx --strict-sparsity"):
            equal(warned(place, command), expected, f"of {command}, samples times {scale}")
    x[::4] = 0
    np.savez(place.path("x.npz"), x=x)
    equal(warned(place, "check few.onnx --data x.npz"), ["blank"], "of empty samples")


@case
def answers_that_are_one_class(place):
    """One class in all answers: a note where the model is sure of it, a warning where it is not; nothing where the greatest output is no class, or samples are few."""
    random, node = np.random.default_rng(29), onnx.helper.make_node
    np.savez(place.path("x.npz"), x=(x := (random.standard_normal((60, 20)) / 100).astype(np.float32)))
    np.savez(place.path("few.npz"), x=x[:15])
    w = random.standard_normal((20, 5)).astype(np.float32)
    def model(name, bias, softmax=True, scale=1):
        tail = [node("Softmax", ["l"], ["probabilities"])] if softmax else [node("Identity", ["l"], ["position"])]
        store_network(place, name, [node("Gemm", ["x", "w", "b"], ["l"]), *tail], {tail[0].output[0]: (1, ["N", 5])}, {"w": np.float32(scale) * w, "b": np.float32(bias)},
                      [20])
    model("sure.onnx", [0, 0, 6, 0, 0], scale=20)
    model("unsure.onnx", [-.5, 0, 1, .7, .6])
    model("amounts.onnx", [1, 2, 9, 1, 1], False)
    noted = re.compile(r"^note +all (\d+) answers are one class, number 2 from 0: right if this user shows no other; else .*'fineprune show'", re.M)
    for command in ("prune {} --data {} -o o.onnx --strict-sparsity", "run {} --data {} -o y.npz", "check {} --data {}"):
        def told(model, data="x.npz"):
            line = command.format(model, data)
            ran, causes = works(place, f"{line} -f" if "-o" in line else line), warned(place, line)
            return causes, bool(noted.search(ran.err + ran.out.decode()))
        equal([told(name) for name in ("sure.onnx", "unsure.onnx", "amounts.onnx")], [([], True), (["one_class"], False), ([], False)], command)
        equal(told("unsure.onnx", "few.npz"), ([], False), f"{command}, few samples")


@case
def lines_are_broken_on_a_terminal(place):
    """On a terminal of 100 columns no line of the summary is longer, and what follows lies below; a pipe gets one line each, and the same words."""
    plain = works(place, f"{PRUNE} -o o.onnx -f -s 70%").err
    def on_terminal(words, stream, columns=100):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: slave}
        process = subprocess.Popen([harness.FINEPRUNE, *words.split()], cwd=place.folder, env={**os.environ, "TERM": "xterm"}, **streams)
        os.close(slave)
        text = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            text += piece
        os.close(master)
        equal(process.wait(), 0, "exit code")
        return text.decode().replace("\r\n", "\n")
    shown = on_terminal(f"{PRUNE} -o o.onnx -f -s 70% --progress never --color never", "stderr")
    assert max(map(len, plain.splitlines())) > 100, "nothing to break"
    equal([line for line in shown.splitlines() if len(line) > 100], [], "lines that are too long")
    joined = re.sub(r"\n {9}(?! )", " ", shown)
    without = lambda text: re.sub(r"^wrote.*$", "", text, flags=re.M)
    equal(without(joined), without(plain), "the words")
    shown = on_terminal(f"compare m.onnx o.onnx --data test.npz", "stdout", 60)
    equal([line for line in shown.splitlines() if len(line) > 60], [], "lines of compare that are too long")


@case
def words_for_strangers(place):
    """The first help is short and has three examples, that of everything has every option, and the summary has no words of the trade."""
    text = works(place, "--help").out.decode()
    assert len(text.splitlines()) < 60, len(text.splitlines())
    equal([line.split()[1] for line in text.splitlines() if line.startswith("  fineprune ")], ["check", "prune", "compare"], "examples")
    whole = works(place, "help all").out.decode()
    equal(works(place, "--help all").out.decode(), whole, "--help all")
    for command in ("prune", "inspect", "merge"):
        assert works(place, f"{command} --help").out.decode() in whole, command
    ran = works(place, f"{PRUNE} -o o.onnx -f -s 70%")
    for word in ("read-out", "readout", "lesson", "synapse", "reserve"):
        assert word not in ran.err and word not in text, (word, ran.err)
    ran = works(place, f"{PRUNE} -o o.onnx -f --runtime-profile xnnpack")
    assert "TensorRT" not in next(line for line in ran.err.splitlines() if line.startswith("size ")), ran.err


@case
def a_model_from_standard_input(place):
    """inspect - is as inspect of the file; what cannot be a model, and standard input twice, are refused."""
    model = place.path("m.onnx").read_bytes()
    ran = works(place, "inspect - --json", stdin=model)
    told, plain = json.loads(ran.out), json.loads(works(place, "inspect m.onnx --json").out)
    equal((told["model"]["path"], told["layers"], told["model"]["file_size"]), ("-", plain["layers"], len(model)), "of standard input")
    equal(told.get("compact"), plain.get("compact"), "what compact would leave")
    assert works(place, "inspect -", stdin=model).out.startswith(b"model    standard input, opset"), "its name"
    equal(place.run("inspect -", stdin=b"no model").code, 3, "exit code")
    equal(place.run("inspect - --max-memory 64K", stdin=model).code, 7, "exit code with too little memory")
    fails(place, "run - --data - -o y.npz", 2, "2 of the inputs are -, standard input", "give the others files")
    works(place, "run - --data local.npz -o y.npz", stdin=model)


@case
def zeros_that_came_stay(place):
    """A model pruned before keeps its zeros, whatever is asked: no repair, pattern, learning or round gives them a value."""
    random, node = np.random.default_rng(5), onnx.helper.make_node
    weights = {"w": random.standard_normal((24, 128)), "b": random.standard_normal(128), "v": random.standard_normal((128, 5)) * 2, "c": random.standard_normal(5)}
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    for name in ("w", "v"):
        weights[name][np.abs(weights[name]) < np.quantile(np.abs(weights[name]), 0.85)] = 0
    store_network(place, "s.onnx", [node("Gemm", ["x", "w", "b"], ["h"]), node("Relu", ["h"], ["r"]), node("Gemm", ["r", "v", "c"], ["y"])],
                  {"y": (onnx.TensorProto.FLOAT, ["N", 5])}, weights, [24])
    np.savez(place.path("x.npz"), x=random.standard_normal((120, 24)).astype(np.float32))
    for options in ("-s 50%", "-s 90%", "-s 50% --pattern 2:4", "-s 50% --strict-sparsity --pattern block:2x2", "-s 60% --method wanda",
                    "-s 60% --method magnitude", "-s auto --readout keep --task classes"):
        works(place, f"prune s.onnx --data x.npz {options} -o p.onnx -f -q --json=p.json")
        now = layers_of(place, "p.onnx")
        for name in ("w", "v"):
            equal(int((now[name][weights[name] == 0] != 0).sum()), 0, f"zeros of {name} that came back with {options}")
        if options == "-s 50%":
            notes = json.loads(place.path("p.json").read_text())["notes"]
            equal([note for note in notes if "came with" in note],
                  ["the model came with 85.0 % zeros, more than the 50.0 % that were asked: they stay, and none is added"], "what is said")
            equal(sum(int((now[name] == 0).sum()) for name in ("w", "v")), sum(int((weights[name] == 0).sum()) for name in ("w", "v")), "nothing is added")


@case
def dead_inputs_go_first(place):
    """Synapses of inputs and units that are always zero are all pruned before any other."""
    random, node = np.random.default_rng(3), onnx.helper.make_node
    weights = {"w": random.standard_normal((30, 50)) / 4, "b": random.standard_normal(50) / 4, "v": random.standard_normal((50, 5)) / 4, "c": random.standard_normal(5)}
    weights["b"][:20] = -50
    weights["w"][:12] *= 20
    store_network(place, "d.onnx", [node("Gemm", ["x", "w", "b"], ["h"]), node("Relu", ["h"], ["r"]), node("Gemm", ["r", "v", "c"], ["y"])],
                  {"y": (onnx.TensorProto.FLOAT, ["N", 5])}, {name: array.astype(np.float32) for name, array in weights.items()}, [30])
    x = random.standard_normal((150, 30)).astype(np.float32)
    x[:, :12] = 0
    np.savez(place.path("x.npz"), x=x)
    works(place, "prune d.onnx --data x.npz -s 70% -o p.onnx -f -q")
    now = layers_of(place, "p.onnx")
    equal((int((now["w"][:12] != 0).sum()), int((now["v"][:20] != 0).sum())), (0, 0), "synapses of what is always zero")
    works(place, "prune d.onnx --data x.npz -s 10% -o p.onnx -f -q")
    now = layers_of(place, "p.onnx")
    equal(int((now["w"][:12] != 0).sum() + (now["v"][:20] != 0).sum()), 12 * 50 + 20 * 5 - 175, "they are the first")


@case
def padding_does_not_count(place):
    """Steps behind sequence_lens are no data: clips padded with anything give the masks that the clips themselves give."""
    random, node = np.random.default_rng(3), onnx.helper.make_node
    features, hidden, number = 12, 10, 40
    for op, gates, layout in (("LSTM", 4, 0), ("GRU", 3, 0), ("RNN", 1, 0), ("LSTM", 4, 1)):
        weights = {"W": (2, gates * hidden, features), "R": (2, gates * hidden, hidden), "B": (2, 2 * gates * hidden), "v": (2 * hidden, 4), "c": (4,)}
        weights = {name: (random.standard_normal(shape) / 3).astype(np.float32) for name, shape in weights.items()}
        front = [] if layout else [node("Transpose", ["x"], ["t"], perm=[1, 0, 2])]
        nodes = front + [node(op, ["x" if layout else "t", "W", "R", "B", "lens"], ["all", "last"], hidden_size=hidden, direction="bidirectional", layout=layout),
                         node("Transpose", ["last"], ["h"], perm=[0, 1, 2] if layout else [1, 0, 2]),
                         node("Flatten", ["h"], ["f"]), node("Gemm", ["f", "v", "c"], ["y"])]
        graph = onnx.helper.make_graph(nodes, "g", [onnx.helper.make_tensor_value_info("x", 1, ["N", "S", features]), onnx.helper.make_tensor_value_info("lens", 6, ["N"])],
                                       [onnx.helper.make_tensor_value_info("y", 1, ["N", 4])], [onnx.numpy_helper.from_array(a, n) for n, a in weights.items()])
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("l.onnx"))
        lens, padded = random.integers(3, 12, number).astype(np.int32), np.full((number, 20, features), -23, np.float32)
        shutil.rmtree(place.path("clips"), ignore_errors=True)
        place.path("clips").mkdir()
        for i in range(number):
            padded[i, :lens[i]] = random.standard_normal((lens[i], features))
            np.savez(place.path(f"clips/{i:02}.npz"), x=padded[i:i + 1, :lens[i]], lens=lens[i:i + 1])
        np.savez(place.path("padded.npz"), x=padded, lens=lens)
        for options in ("--readout keep", "--method wanda"):
            works(place, f"prune l.onnx --data clips -s 60% --reserve 0 {options} -o a.onnx -f -q")
            works(place, f"prune l.onnx --data padded.npz -s 60% --reserve 0 {options} -o b.onnx -f -q")
            a, b = layers_of(place, "a.onnx"), layers_of(place, "b.onnx")
            for name in ("W", "R"):
                equal(int(((a[name] == 0) != (b[name] == 0)).sum()), 0, f"mask of {name} of {op}, layout {layout}, {options}")
                equal(bool(np.allclose(a[name], b[name], atol=1e-4)), True, f"values of {name} of {op}, layout {layout}, {options}")


@case
def the_batch_has_a_name(place):
    """Inputs [time, batch, features], by the names of their axes or as a recurrent layer takes them, are cut along the batch."""
    random, node = np.random.default_rng(3), onnx.helper.make_node
    steps, number, features, hidden = 7, 30, 6, 8
    weights = {"W": (1, 4 * hidden, features), "R": (1, 4 * hidden, hidden), "B": (1, 8 * hidden), "v": (hidden, 3), "c": (3,)}
    weights = {name: (random.standard_normal(shape) / 2).astype(np.float32) for name, shape in weights.items()} | {"axis": np.array([0], np.int64)}
    x = random.standard_normal((steps, number, features)).astype(np.float32)
    np.savez(place.path("x.npz"), x=x)
    np.savez(place.path("whole.npz"), x=x.transpose(1, 0, 2)[:, :, None])
    for names in (["time", "batch_size"], ["T", "N"], [steps, "batch"], ["a", "b1"]):
        nodes = [node("LSTM", ["x", "W", "R", "B"], ["all", "last"], hidden_size=hidden), node("Squeeze", ["last", "axis"], ["h"]), node("Gemm", ["h", "v", "c"], ["y"])]
        graph = onnx.helper.make_graph(nodes, "g", [onnx.helper.make_tensor_value_info("x", 1, [*names, features])], [onnx.helper.make_tensor_value_info("y", 1, [names[1], 3])],
                                       [onnx.numpy_helper.from_array(a, n) for n, a in weights.items()])
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("l.onnx"))
        works(place, "run l.onnx --data x.npz -o a.npz -f -q")
        works(place, "run l.onnx --data whole.npz -o b.npz -f -q")
        equal(np.load(place.path("a.npz"))["y"].tobytes(), np.load(place.path("b.npz"))["y"].tobytes(), f"answers with axes {names}")
        works(place, "prune l.onnx --data x.npz -o a.onnx -f -q --json=p.json")
        works(place, "prune l.onnx --data whole.npz -o b.onnx -f -q")
        equal(place.path("a.onnx").read_bytes() == place.path("b.onnx").read_bytes(), True, f"the pruned model with axes {names}")
        report = json.loads(place.path("p.json").read_text())
        equal((report["data"]["samples"], "the samples of input 'x' are taken along its axis 1, which is its batch" in report["notes"]), (number, True), "what is said")


@case
def fill_values_are_refused(place):
    """Values that no weight can learn from are named before any work; a mask may hold them."""
    random, node = np.random.default_rng(3), onnx.helper.make_node
    weights = {"w": random.standard_normal((8, 12)), "b": random.standard_normal(12), "v": random.standard_normal((12, 3)), "c": random.standard_normal(3)}
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    nodes = [node("Gemm", ["x", "w", "b"], ["h"]), node("Relu", ["h"], ["r"]), node("Gemm", ["r", "v", "c"], ["y"])]
    store_network(place, "n.onnx", nodes, {"y": (onnx.TensorProto.FLOAT, ["N", 3])}, weights, [8])
    good = random.standard_normal((40, 8)).astype(np.float32)
    for value in (1e20, -3.4e38, 9.96921e36, np.nan, np.inf):
        x = good.copy()
        x[17, 3] = x[29, 0] = value
        np.savez(place.path("x.npz"), x=x)
        for command in ("prune n.onnx", "score n.onnx"):
            ran = place.run(f"{command} --data x.npz -o o -f")
            equal((ran.code, "sample 17" in ran.err, "x.npz" in ran.err, "hint" in ran.err, place.path("o").exists()), (4, True, True, True, False), f"{command} with {value}: {ran.err}")
        if np.isfinite(value):
            equal("sample 29" in ran.err, True, "the other one is named too")
    np.savez(place.path("x.npz"), x=good * 1e15)
    works(place, "prune n.onnx --data x.npz -o o -f -q")
    mask = np.where(random.random((40, 8)) < 0.3, np.finfo(np.float32).min, 0).astype(np.float32)
    graph = onnx.helper.make_graph([node("Add", ["x", "mask"], ["m"]), node("Softmax", ["m"], ["s"]), *nodes], "g",
                                   [onnx.helper.make_tensor_value_info(n, 1, ["N", 8]) for n in ("x", "mask")], [onnx.helper.make_tensor_value_info("y", 1, ["N", 3])],
                                   [onnx.numpy_helper.from_array(a, n) for n, a in weights.items()])
    graph.node[2].input[0] = "s"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("m2.onnx"))
    np.savez(place.path("x.npz"), x=good, mask=mask)
    works(place, "prune m2.onnx --data x.npz -o o -f -q")


@case
def few_samples_reach_a_branch(place):
    """A layer is pruned as far as the samples that reach it justify; equal samples count once."""
    random, node, info = np.random.default_rng(3), onnx.helper.make_node, onnx.helper.make_tensor_value_info
    def branch(t):
        weights = {f"W{t}": random.standard_normal((20, 60)) / 4, f"b{t}": random.standard_normal(60) / 4, f"V{t}": random.standard_normal((60, 5)) / 4}
        return onnx.helper.make_graph([node("Gemm", ["x", f"W{t}", f"b{t}"], [f"a{t}"]), node("Relu", [f"a{t}"], [f"r{t}"]), node("MatMul", [f"r{t}", f"V{t}"], [f"y{t}"])], t, [],
                                      [info(f"y{t}", 1, [1, 5])], [onnx.numpy_helper.from_array(v.astype(np.float32), n) for n, v in weights.items()])
    graph = onnx.helper.make_graph([node("ReduceSum", ["x"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["c"]),
                                    node("If", ["c"], ["y"], then_branch=branch("A"), else_branch=branch("B"))], "g", [info("x", 1, [1, 20])], [info("y", 1, [1, 5])],
                                   [onnx.numpy_helper.from_array(np.float32(0), "zero")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("e.onnx"))
    x = np.abs(random.standard_normal((120, 20))).astype(np.float32)
    x[:3] *= -1
    np.savez(place.path("x.npz"), x=x)
    works(place, "prune e.onnx --data x.npz -s 80% -o p.onnx -f -q --reserve 0 --json=p.json")
    report = json.loads(place.path("p.json").read_text())
    share = {layer["name"]: layer["sparsity"] for layer in report["layers"]}
    equal((share["WB"] <= 0.5, share["VB"] <= 0.5, share["WA"] > 0.5), (True, True, True), f"zeros of the branches: {share}")
    equal("weight 'WB' is reached by 3 of 120 samples only: they justify 30 % zeros in it at most" in report["notes"], True, f"said: {report['notes']}")
    np.savez(place.path("x.npz"), x=np.tile(np.abs(x[3:8]), (10, 1)))
    works(place, "prune e.onnx --data x.npz -s 80% -o p.onnx -f -q --json=p.json")
    notes = json.loads(place.path("p.json").read_text())["notes"]
    equal([note for note in notes if "distinct" in note][:1], ["45 of the 50 samples are equal to others: 5 are distinct"], f"said: {notes}")
    equal(any(note.startswith("5 samples are few: they justify 30 % zeros") for note in notes), True, f"said: {notes}")


@case
def transposed_weights_are_named(place):
    """One weight, used as it is and as its transpose, is not repaired: that is said."""
    random, node = np.random.default_rng(3), onnx.helper.make_node
    weights = {"w": random.standard_normal((24, 24)) / 5, "b": random.standard_normal(24), "v": random.standard_normal((24, 5)), "c": random.standard_normal(5)}
    store_network(place, "t.onnx", [node("MatMul", ["x", "w"], ["m"]), node("Relu", ["m"], ["r"]), node("Gemm", ["r", "w", "b"], ["g"], transB=1), node("Relu", ["g"], ["q"]),
                                    node("Gemm", ["q", "v", "c"], ["y"])], {"y": (onnx.TensorProto.FLOAT, ["N", 5])}, {n: a.astype(np.float32) for n, a in weights.items()}, [24])
    np.savez(place.path("x.npz"), x=random.standard_normal((80, 24)).astype(np.float32))
    ran = works(place, "prune t.onnx --data x.npz -o p.onnx -f --json=p.json")
    report = json.loads(place.path("p.json").read_text())
    reason = "it is used in another form too, as its transpose or in parts"
    equal([layer.get("not_repaired") for layer in report["layers"]], [reason, None], "the layers' entries")
    equal(f"note     weight 'w' was pruned but not repaired: {reason}" in ran.err, True, "the summary")


@case
def targets_that_are_looked_for(place):
    """--target auto: as few multiply-adds as keep --min-agreement, also once the lesson is left out as it alone changes too much."""
    line = f"prune {GESTURE}/gesture.onnx --data {GESTURE}/local.npz -f -o g.onnx --json --target auto"
    shares = []
    for more, least in (("", .95), ("--min-agreement 80%", .8), ("--min-agreement 99% --outputs keep --readout keep", .99)):
        told = json.loads(works(place, f"{line} {more}").out)
        equal(told["macs"]["compact"], round(told["target"]["reached"] * told["macs"]["dense"]), f"{more}: multiply-adds that were foretold")
        assert told["target"]["met"] and told["gates"][0]["measured"] >= least, told["gates"]
        shares.append(told["target"]["reached"])
    assert shares[1] < shares[0] < .5 and shares[2] < .9, shares
    fails(place, f"{line} -s auto", 2, "sparsity auto and target auto cannot both be looked for")


@case
def auto_on_quantized_answers(place):
    """A quantized classifier quantizes its answers too."""
    random, node = np.random.default_rng(6), onnx.helper.make_node
    centres = random.standard_normal((4, 12)).astype(np.float32)
    store_network(place, "q.onnx",
                  [node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]), node("MatMul", ["x", "wd"], ["p"]),
                   node("QuantizeLinear", ["p", "ys", "yz"], ["q"]), node("DequantizeLinear", ["q", "ys", "yz"], ["y"])],
                  {"y": (onnx.TensorProto.FLOAT, ["N", 4])},
                  {"w": np.clip(np.rint(centres.T * 40), -127, 127).astype(np.int8), "ws": np.float32(1 / 40), "wz": np.int8(0),
                   "ys": np.float32(0.2), "yz": np.int8(0)}, [12])
    np.savez(place.path("x.npz"), x=(centres[random.integers(0, 4, 80)] + 0.3 * random.standard_normal((80, 12))).astype(np.float32))
    ran = works(place, "prune q.onnx --data x.npz -s auto -o p.onnx")
    assert re.search(r"^gate     min_agreement 95.0% asked, .* met$", ran.err, re.M), ran.err
    weight = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(place.path("p.onnx")).graph.initializer}["w"]
    equal(bool((weight == 0).sum() > 4), True, "zeros")


@case
def constants_in_every_file(place):
    """A folder of samples may repeat what is the same for all of them; it may not say two things."""
    value = lambda name, kind, shape: onnx.helper.make_tensor_value_info(name, kind, shape)
    graph = onnx.helper.make_graph([onnx.helper.make_node("Mul", ["x", "k"], ["y"])], "g",
                                   [value("x", onnx.TensorProto.FLOAT, ["N", 3]), value("k", onnx.TensorProto.FLOAT, [])],
                                   [value("y", onnx.TensorProto.FLOAT, ["N", 3])])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path("twice.onnx"))
    place.path("same").mkdir()
    place.path("other").mkdir()
    for i in range(3):
        x = np.full((1, 3), i, np.float32)
        np.savez(place.path(f"same/{i}.npz"), x=x, k=np.float32(2))
        np.savez(place.path(f"other/{i}.npz"), x=x, k=np.float32(i))
    works(place, "run twice.onnx --data same -o y.npz")
    equal(np.load(place.path("y.npz"))["y"][:, 0].tolist(), [0, 2, 4], "twice")
    ran = place.run("run twice.onnx --data other -o z.npz")
    equal((ran.code != 0, "'k' has data already" in ran.err), (True, True), ran.err)


@case
def rotary_caches_of_one_sample(place):
    """PyTorch computes the angles for one sample only; they serve all that run together."""
    angles = np.outer(np.arange(5), 0.1 ** np.arange(4)).astype(np.float32)[np.newaxis]
    store_network(place, "rotary.onnx", [onnx.helper.make_node("RotaryEmbedding", ["x", "cos", "sin"], ["y"])],
                  {"y": (onnx.TensorProto.FLOAT, ["N", 2, 5, 8])}, {"cos": np.cos(angles), "sin": np.sin(angles)}, [2, 5, 8], opset=23)
    x = np.random.default_rng(4).standard_normal((6, 2, 5, 8)).astype(np.float32)
    np.savez(place.path("x.npz"), x=x)
    works(place, "run rotary.onnx --data x.npz -o y.npz --batch 6")
    low, high, c, s = x[..., :4], x[..., 4:], np.cos(angles), np.sin(angles)
    expected = np.concatenate([c * low - s * high, s * low + c * high], axis=-1)
    equal(bool(np.abs(np.load(place.path("y.npz"))["y"] - expected).max() < 1e-6), True, "turned")


@case
def inspect_lists(place):
    ran = works(place, "inspect m.onnx")
    equal(ran.err, "", "standard error")
    text = ran.out.decode()
    for word in ("model    m.onnx, opset ", "\ninputs\n  signal  float32  ", "\noutputs\n  logits  float32  ", "\noperators: ", "Conv", "\nweight "):
        assert word in text, f"{word!r} is not in {text}"
    assert "\nweight " not in works(place, "inspect m.onnx --table none").out.decode()
    report = json.loads(works(place, "inspect m.onnx --json").out)
    equal(report["inputs"][0]["name"], "signal", "input")
    assert report["operators"] and report["layers"], "operators and layers"
    assert "sha256" not in report["model"], "inspect must not read every byte of the model"
    for pattern in ("2:4", "block:2x1", "block:1x4"):
        works(place, f"{PRUNE} -f -q -o o.onnx -s 70% --method magnitude --pattern {pattern}")
        equal({layer.get("pattern") for layer in json.loads(works(place, "inspect o.onnx --json").out)["layers"]} - {None}, {pattern}, "pattern")
        assert re.search(f" {pattern} +\\d+\n", works(place, "inspect o.onnx").out.decode()), "pattern in the table"
    works(place, "inspect m.onnx --report r.html -q")
    assert "GlobalAveragePool" in place.path("r.html").read_text()


@case
def check_names_every_obstacle(place):
    ran = works(place, "check m.onnx --data local.npz")
    assert "fine     the model can be run and pruned" in ran.out.decode(), ran.out
    model = onnx.load(place.path("m.onnx"))
    strange = [node for node in model.graph.node if node.op_type == "Relu"]
    strange[0].op_type, strange[1].op_type, strange[1].domain = "Rleu", "Squish", "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    onnx.save(model, place.path("bad.onnx"))
    ran = place.run("check bad.onnx")
    equal(ran.code, 3, "exit code")
    assert "Rleu" in ran.out.decode() and "Squish" in ran.out.decode(), ran.out
    ran = place.run("prune bad.onnx --data local.npz -o o.onnx")
    equal(ran.code, 3, "exit code")
    assert "Rleu" in ran.err and "Squish" in ran.err, ran.err
    np.savez(place.path("odd.npz"), signal=np.zeros((3, 5, 64), np.float32))
    equal(place.run("check m.onnx --data odd.npz").code, 4, "data that do not fit")


@case
def models_in_training_mode_are_refused(place):
    """BatchNormalization that reads the batch, by its attribute or by its outputs, and Dropout that throws: named before any work, with what to do. 'run' and
    'compare' can do it, and warn."""
    random, node = np.random.default_rng(31), onnx.helper.make_node
    weights = {"w": random.standard_normal((6, 8)).astype(np.float32), "one": np.ones(8, np.float32), "zero": np.zeros(8, np.float32),
               "v": random.standard_normal((8, 4)).astype(np.float32), "yes": np.array(True), "no": np.array(False), "half": np.float32(0.5)}
    normal = ["h", "one", "zero", "zero", "one"]
    def model(name, middle, opset=17):
        store_network(place, name, [node("MatMul", ["x", "w"], ["h"]), *middle, node("MatMul", ["b", "v"], ["y"])], {"y": (1, ["N", 4])}, weights, [6], opset)
    batch = "is in training mode: each answer depends on the samples it runs with, or on chance"
    hint = "export the model for inference; in PyTorch, after net.eval()"
    model("mode.onnx", [node("BatchNormalization", normal, ["b", "", ""], name="norm", training_mode=1)])
    model("two.onnx", [node("BatchNormalization", normal, ["c", "", ""], name="norm", training_mode=1), node("Dropout", ["c", "half", "yes"], ["b"])])
    model("outputs.onnx", [node("BatchNormalization", normal, ["b", "m", "s", "d", "e"], name="norm")], 12)
    model("drop.onnx", [node("Dropout", ["h", "half", "yes"], ["b"], name="drop")])
    model("eval.onnx", [node("BatchNormalization", normal, ["c"], training_mode=0), node("Dropout", ["c", "half", "no"], ["b"])])
    np.savez(place.path("x.npz"), x=random.standard_normal((60, 6)).astype(np.float32))
    works(place, "prune eval.onnx --data x.npz -o o.onnx -q")
    works(place, "score eval.onnx --data x.npz -o s.npz -q")
    said = {"mode": f"node 'norm' (BatchNormalization, opset 17) {batch}", "drop": f"node 'drop' (Dropout, opset 17) {batch}",
            "two": f"node 'norm' (BatchNormalization, opset 17) {batch.replace('mode:', 'mode, with 1 more:')}",
            "outputs": f"node 'norm' (BatchNormalization, opset 12) {batch}"}
    for name, error in said.items():
        fails(place, f"prune {name}.onnx --data x.npz -o p.onnx", 3, error, hint)
        fails(place, f"score {name}.onnx --data x.npz -o t.npz", 3, error, hint)
        fails(place, f"apply {name}.onnx --stats s.npz -o p.onnx", 3, error, hint)
        for data in ("", "--data x.npz"):
            ran = works(place, f"check {name}.onnx {data}".strip(), 3)
            assert f"obstacle {error}; {hint}\n" in ran.out.decode(), ran.out
    for name, runs in (("mode", True), ("outputs", False), ("drop", False)):
        ran = works(place, f"run {name}.onnx --data x.npz -o y.npz -f", 0 if runs else 3)
        assert hint in ran.err, ran.err
    equal(warned(place, "compare eval.onnx mode.onnx --data x.npz"), ["training_mode"], "of two models")
    equal(warned(place, "compare mode.onnx mode.onnx --data x.npz"), ["training_mode"], "said once")


@case
def check_tells_what_few_samples_are_good_for(place):
    """With few samples: how many zeros prune would make of them, and that it makes no more."""
    signals = np.load(place.path("local.npz"))["signal"]
    for n, said in ((1, "1 sample is few: prune makes no more than 30 % zeros, and cannot tell how good the result is; from some 50 on"),
                    (20, "20 samples are few: prune makes no more than 50 % zeros; from some 50 on"), (30, None)):
        np.savez(place.path("x.npz"), signal=signals[:n])
        text = works(place, "check m.onnx --data x.npz").out.decode()
        assert "fine     the model can be run and pruned" in text and (f"note     {said}" in text if said else "note" not in text), text
        if said:
            works(place, "prune m.onnx --data x.npz -o o.onnx -f --json=j.json")
            share = json.loads(place.path("j.json").read_text())["pruned"]["sparsity"]
            assert share <= float(said.split("than ")[1].split(" %")[0]) / 100 + 0.005, (n, share)


# ---- streams


def on_terminal(place, line, env=None, columns=100, seconds=60):
    """Runs the line on a pseudo terminal and gives back (exit code, all that was written)."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | (env or {})
    process = subprocess.Popen([harness.FINEPRUNE, *line.split()], cwd=place.folder, stdin=side, stdout=side, stderr=side, env=environment)
    os.close(side)
    text = b""
    try:
        while chunk := os.read(main, 65536):
            text += chunk
    except OSError:
        pass  # the other side is closed
    os.close(main)
    return process.wait(seconds), text


@case
def terminal(place):
    code, text = on_terminal(place, f"{PRUNE} -o a.onnx")
    equal(code, 0, "exit code")
    assert b"\r" in text and b"\x1b[K" in text and b"\x1b[1mmodel\x1b[0m" in text, text[:300]
    code, text = on_terminal(place, f"{PRUNE} -o b.onnx --progress never", env={"NO_COLOR": "1"})
    assert b"\x1b" not in text and b"model    m.onnx" in text, text[:300]
    code, text = on_terminal(place, f"{PRUNE} -o c.onnx -q")
    equal((code, text), (0, b""), "quiet")
    code, text = on_terminal(place, f"{PRUNE} -o -")
    equal(code, 2, "a model to a terminal")
    assert b"standard output is a terminal" in text, text
    code, text = on_terminal(place, "inspect m.onnx", columns=30)
    table = re.sub(r"\x1b\[\d*m", "", text.decode()).split("\r\nweight ")[1]
    assert all(len(line) <= 30 for line in ("weight " + table).splitlines()), text


@case
def streams(place):
    ran = works(place, f"{PRUNE} -o a.onnx -v")
    assert "\r" not in ran.err and "\x1b" not in ran.err and re.search(r"^\S+ +\d+/\d+ +\d+%", ran.err, re.M), ran.err[:300]
    ran = works(place, f"{PRUNE} -o b.onnx --color always", env={"NO_COLOR": "1"})
    assert "\x1b[1mmodel\x1b[0m" in ran.err, ran.err[:200]
    assert "\r" in works(place, f"{PRUNE} -o c.onnx --progress always").err
    for line in ("inspect m.onnx", "inspect m.onnx --json", "--help", f"{PRUNE} --dry-run --json", f"{PRUNE} -o -"):
        with open("/dev/full", "wb") as full:
            ran = subprocess.run([harness.FINEPRUNE, *line.split()], cwd=place.folder, stdout=full, stderr=subprocess.PIPE)
        equal(ran.returncode, 6, f"exit code of '{line}' with a full disk ({ran.stderr})")
        ran = subprocess.run(["bash", "-c", f'"$0" {line} >&-', harness.FINEPRUNE], cwd=place.folder, stderr=subprocess.PIPE)
        equal(ran.returncode, 6, f"exit code of '{line}' with standard output closed ({ran.stderr})")
    ran = subprocess.run(["bash", "-c", f'"$0" {PRUNE} -o d.onnx >&- 2>&- <&-', harness.FINEPRUNE], cwd=place.folder)
    equal(ran.returncode, 0, "with all streams closed")
    onnx.load(place.path("d.onnx"))


@case
def signals_stop_and_clean_up(place):
    data = place.long_data()
    before = place.names()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = subprocess.Popen([harness.FINEPRUNE, "prune", "m.onnx", "--data", data, "-o", "o.onnx"], cwd=place.folder,
                                   stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(1.5)
        assert process.poll() is None, f"it was done before the signal came ({process.stderr.read()})"
        process.send_signal(number)
        sent = time.monotonic()
        err = process.communicate(timeout=60)[1].decode()
        equal((process.returncode, err), (code, f"fineprune: error: stopped by {signal.Signals(number).name}\n"), "exit code and words")
        assert harness.SANITIZED or time.monotonic() - sent < 3, "slow to stop"
        equal(place.names(), before, "files")
    fails(place, f"prune m.onnx --data {data} -o o.onnx --timeout 1s", 7, "not done after 1 seconds",
          "raise --timeout, or use fewer samples with --limit")


@case
def memory_limit(place):
    ran = place.run(f"{PRUNE} -o o.onnx --max-memory 64K")
    equal(ran.code, 7, f"exit code ({ran.err})")
    assert "memory" in ran.err, ran.err
    assert "o.onnx" not in place.names()
    needed = re.search(r"\n  hint: at least --max-memory (\d+)K is needed(; or --limit N [^\n]*)?\n$", ran.err)
    assert needed and int(needed[1]) > 64, ran.err


def fits(place, limit, batch):
    ran = place.run(f"run m.onnx --data local.npz -q -f -o o.npz --max-memory {limit}K --batch {batch}")
    assert ran.code in (0, 7), ran.err
    return ran.code == 0


@case
def memory_limit_makes_batches_smaller(place):
    low, high = 1, 1 << 20
    while high - low > 8:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(place, middle, 1) else (middle, high)
    assert fits(place, high, 1)
    alone = dict(np.load(place.path("o.npz")))
    assert fits(place, high, 1000), f"--batch 1000 needs more than the {high}K of --batch 1"
    for name, value in np.load(place.path("o.npz")).items():
        assert np.array_equal(value, alone[name]), name


@case
def memory_limit_splits_statistics(place):
    works(place, f"{PRUNE} -o all.onnx -s 70%")
    low, high, split = 1, 1 << 17, None
    while high - low > 4:
        middle = (low + high) // 2
        ran = place.run(f"{PRUNE} -f -o o.onnx -s 70% --json --max-memory {middle}K")
        assert ran.code in (0, 7), ran.err
        low, high = (low, middle) if ran.code == 0 else (middle, high)
        if ran.code == 0:
            assert open(place.path("o.onnx"), "rb").read() == open(place.path("all.onnx"), "rb").read(), f"other bytes with {middle}K"
            split = split or any("several runs" in note for note in json.loads(ran.out).get("notes", []))
    assert split, "no limit made the statistics take several runs"


@case
def peak_memory_is_the_program_s_own(place):
    large = bytearray(400 << 20)
    large[::4096] = b"x" * (len(large) // 4096)    # resident, when the program is started
    report = json.loads(works(place, f"{PRUNE} -o o.onnx --json").out)
    assert 1 << 20 < report["peak_rss_bytes"] < 300 << 20 or harness.SANITIZED, report["peak_rss_bytes"]
    assert len(large)


@case
def memory_limit_counts_rows_of_tokens(place):
    """Each sample gives many rows, as in a transformer: how many shows when the first one runs. Three weights share each input, also when not all of
    them are in one run."""
    helper, n = onnx.helper, 3
    rng = np.random.default_rng(4)
    weights = [onnx.numpy_helper.from_array((rng.standard_normal((256, 256)) / 16).astype(np.float32), f"{w}{i}") for i in range(n) for w in "qkv"]
    nodes = [helper.make_node(kind, inputs, [out]) for i in range(n)
             for kind, inputs, out in (*(("MatMul", [f"r{i}", f"{w}{i}"], f"{w}m{i}") for w in "qkv"),
                                       ("Sum", [f"{w}m{i}" for w in "qkv"], f"m{i}"), ("Tanh", [f"m{i}"], f"r{i + 1}"))]
    shape = ["n", 32, 256]
    value = lambda name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "tokens", [value("r0")], [value(f"r{n}")], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), place.path("tokens.onnx"))
    np.savez(place.path("tokens.npz"), r0=rng.standard_normal((400, 32, 256), np.float32))    # more rows than are sampled
    ran = place.run("score tokens.onnx --data tokens.npz -o s.npz -q --max-memory 4M")
    equal(ran.code, 7, f"exit code ({ran.err})")
    assert "the co-activations of all weights need more memory than is allowed" in ran.err, ran.err
    same_bytes_when_split(place, "tokens.onnx --data tokens.npz --score wanda --rounds 1 --outputs keep --readout keep", range(10, 40, 3))


def same_bytes_when_split(place, job, limits):
    """Some limits, in MB, make the statistics take several runs; none of them changes the result."""
    prune = f"prune {job} -q -s 50%"
    works(place, f"{prune} -f -o all.onnx")
    splits = 0
    for limit in limits:
        ran = place.run(f"{prune} -f -o o.onnx --json --max-memory {limit}M")
        assert ran.code in (0, 7), ran.err
        if ran.code == 0:
            splits += any("several runs" in note for note in json.loads(ran.out).get("notes", []))
            assert open(place.path("o.onnx"), "rb").read() == open(place.path("all.onnx"), "rb").read(), f"other bytes with {limit}M"
    assert splits > 1, f"split by {splits} limits only"


@case
def memory_limit_ends_pruning_layer_by_layer(place):
    """Of few samples few rows are expected; when they turn out to be many, the matrices do not all fit."""
    make, rng = onnx.helper.make_node, np.random.default_rng(4)
    nodes = [node for i in range(8) for node in (make("Tanh", [f"r{i}" if i else "x"], [f"r{i + 1}"]), make("MatMul", [f"r{i + 1}", f"w{i}"], [f"m{i}"]))]
    store_network(place, "heads.onnx", [*nodes, make("Sum", [f"m{i}" for i in range(8)], ["y"])], {"y": (onnx.TensorProto.FLOAT, ["N", 32, 8])},
                  {f"w{i}": rng.standard_normal((256, 8)).astype(np.float32) for i in range(8)}, [32, 256])
    np.savez(place.path("heads.npz"), x=rng.standard_normal((60, 32, 256), np.float32))
    same_bytes_when_split(place, "heads.onnx --data heads.npz --method wanda --repair least-squares", range(3, 12, 2))


@case
def large_files_do_not_stay_in_memory(place):
    helper, side, n = onnx.helper, 4096, 18  # 1.1 GiB, nearly all of it a hole
    nodes, weights = [], []
    for i in range(n):
        weight = onnx.TensorProto(name=f"w{i}", data_type=onnx.TensorProto.FLOAT, dims=[side, side], data_location=onnx.TensorProto.EXTERNAL)
        for key, value in (("location", "big.data"), ("offset", 4 * i * side * side), ("length", 4 * side * side)):
            weight.external_data.add(key=key, value=str(value))
        weights.append(weight)
        nodes.append(helper.make_node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"]))
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", side]) for name in ("v0", f"v{n}")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    place.path("big.onnx").write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    with open(place.path("big.data"), "wb") as file:
        file.truncate(4 * n * side * side)
    ran = works(place, "inspect big.onnx")
    assert "100.0%" in ran.out.decode()
    assert ran.rss < 700 << 20, f"{ran.rss >> 20} MB were resident"


# ---- what the outputs are


def head(place, name, output, weight, bias=None, squeeze=False, then=()):
    """x [N, 24] (or tokens [1, T, 24]) -> Relu(x W1 + b1) -> rows of `weight` -> `then` -> output."""
    hidden, width = weight.shape
    rng = np.random.default_rng(5)
    parts = {"W1": rng.normal(size=(24, hidden)) / 5, "b1": rng.normal(size=hidden) / 3, "W2": weight, "b2": np.zeros(width) if bias is None else bias}
    nodes = [("MatMul", ["x", "W1"], ["a"]), ("Add", ["a", "b1"], ["s"]), ("Relu", ["s"], ["r"]), ("MatMul", ["r", "W2"], ["m"]),
             ("Add", ["m", "b2"], ["z"])]
    nodes += [("Squeeze", ["z", "axes"], ["t"])] if squeeze else []
    nodes += [(kind, [nodes[-1][2][0]], [f"n{i}"]) for i, kind in enumerate(then)]
    made = [onnx.helper.make_node(*node) for node in nodes]
    made[-1].output[0] = output
    arrays = [onnx.numpy_helper.from_array(value.astype(np.float32), key) for key, value in parts.items()]
    arrays += [onnx.numpy_helper.from_array(np.array([0]), "axes")] if squeeze else []
    shape = [1, "T", 24] if squeeze else ["N", 24]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(made, "g", [info("x", 1, shape)], [info(output, 1, ["T" if squeeze else "N", width])], arrays)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), place.path(name))


def features(x, hidden):
    rng = np.random.default_rng(5)
    w, b = rng.normal(size=(24, hidden)) / 5, rng.normal(size=hidden) / 3
    return np.maximum(x @ w + b, 0)


def fitted(x, wanted, hidden=64):
    f = np.c_[features(x, hidden), np.ones(len(x))]
    solved = np.linalg.solve(f.T @ f + np.eye(hidden + 1), f.T @ wanted)
    return solved[:-1], solved[-1]


def task_models(place):
    """The same body with five heads: classes, independent labels, coordinates, what went in, and tags of tokens."""
    rng = np.random.default_rng(1)
    centres, y = rng.normal(size=(9, 24)), rng.integers(0, 9, 4000)
    x = centres[y] + 0.7 * rng.normal(size=(4000, 24))
    latent = rng.normal(size=(24, 9)) / 5
    np.savez(place.path("x.npz"), x=x[:150].astype(np.float32))
    np.savez(place.path("t.npz"), x=x[:1200].reshape(100, 12, 24).astype(np.float32))
    classes = fitted(x, 8 * np.eye(9)[y] - 2)
    head(place, "classes.onnx", "output", *classes)
    head(place, "softmax.onnx", "output", *classes, then=["Softmax"])
    head(place, "sigmoid.onnx", "output", *classes, then=["Sigmoid"])
    head(place, "tokens.onnx", "logits", *classes, squeeze=True)
    head(place, "labels.onnx", "logits", *fitted(x, np.where(x @ latent > 0.9, 6.0, -6.0)))
    head(place, "places.onnx", "output", *fitted(x, 0.5 + 0.05 * x @ latent))
    head(place, "again.onnx", "output", *fitted(x, x))
    amounts = np.tanh(x @ latent)
    head(place, "shares.onnx", "output", *fitted(x, 0.3 * amounts), then=["Softmax"])
    amounts -= amounts.mean(1, keepdims=True)
    amounts[:, 0] += 6
    head(place, "greatest.onnx", "output", *fitted(x, amounts))


TASKS = {"classes": "classes", "softmax": "classes", "sigmoid": "labels", "tokens": "other", "labels": "labels", "places": "other", "again": "other",
         "shares": "other", "greatest": "unclear"}


@case
def outputs_are_judged_by_evidence(place):
    task_models(place)
    for name, wanted in TASKS.items():
        data = "t.npz" if name == "tokens" else "x.npz"
        for share in ("5%", "70%"):
            report = json.loads(works(place, f"prune {name}.onnx --data {data} -s {share} -o o.onnx -f -j 1 --json").out)
            task = report["task"]
            equal((task["decided"], task["by"]), (wanted, "evidence"), name)
            assert task["evidence"] and all(one["name"] and one["found"] and one["says"] for one in task["evidence"]), task
            equal("top1_agreement" in report["drift"][0], wanted == "classes", f"answers of {name}")
            if wanted != "classes":
                equal((report["outputs"]["pruned"], report["readout"]["applied"]), (0, False), name)
                works(place, f"prune {name}.onnx --data {data} -s {share} -o k.onnx -f --outputs keep --readout keep --no-metadata -j 1")
                works(place, f"prune {name}.onnx --data {data} -s {share} -o o.onnx -f --no-metadata -j 1")
                assert place.path("o.onnx").read_bytes() == place.path("k.onnx").read_bytes(), f"{name} is not as with all kept"
        text = works(place, f"compare {name}.onnx o.onnx --data {data} -j 1").out.decode()
        equal("same answer" in text, wanted == "classes", f"compare of {name}")


@case
def the_scale_of_scores_does_not_matter(place):
    """Networks that were trained with squared errors or margins give scores whose softmax says next to nothing."""
    task_models(place)
    rng = np.random.default_rng(2)
    centres, y = np.random.default_rng(1).normal(size=(9, 24)), rng.integers(0, 9, 600)
    x = (centres[y] + 0.7 * rng.normal(size=(600, 24))).astype(np.float32)
    np.savez(place.path("mine.npz"), x=x[:200])
    weight, bias = fitted(x, 8 * np.eye(9)[y] - 2)
    for scale in (1, 0.1, 0.001):
        head(place, "scaled.onnx", "logits", scale * weight, scale * bias)
        before = (ort.InferenceSession(place.path("scaled.onnx")).run(None, {"x": x[200:]})[0].argmax(1) == y[200:]).mean()
        report = json.loads(works(place, "prune scaled.onnx --data mine.npz -s 50% -o o.onnx -f --task classes --json").out)
        after = (ort.InferenceSession(place.path("o.onnx")).run(None, {"x": x[200:]})[0].argmax(1) == y[200:]).mean()
        assert after >= before - 0.02, f"scores times {scale}: {before:.3f} before, {after:.3f} after"
        equal((report["outputs"]["sharpness"] > 1, any("flatter" in note for note in report.get("notes", []))), (scale < 1, scale < 1), scale)
        equal(report["outputs"]["seen"], 9, "classes that the samples show")


@case
def small_columns_count_by_their_own_spread(place):
    """Kilometres beside millimetres: neither is lost, and where one is, it is named."""
    task_models(place)
    x = np.load(place.path("x.npz"))["x"]
    latent = np.random.default_rng(8).normal(size=(24, 4)) / 5
    head(place, "units.onnx", "boxes", *fitted(x, np.tanh(x @ latent) * [1, 1e-3, 1, 1e3]))
    before = ort.InferenceSession(place.path("units.onnx")).run(None, {"x": x})[0]
    for share in ("30%", "60%"):
        works(place, f"prune units.onnx --data x.npz -s {share} -o o.onnx -f --task other")
        lost = ((ort.InferenceSession(place.path("o.onnx")).run(None, {"x": x})[0] - before) ** 2).mean(0) / before.var(0)
        assert lost.max() < 0.05, f"at {share} zeros {lost} of the variance is lost"
    text = verdict_of(works(place, "prune units.onnx --data x.npz -s 20% --method magnitude --allocation global -o o.onnx -f --task other"))
    assert re.match("worse, perhaps: column 1 of output 'boxes' differs by [0-9]+ % of its spread", text), text


@case
def the_users_word_wins(place):
    task_models(place)
    report = json.loads(works(place, "prune places.onnx --data x.npz -o o.onnx --task classes --json").out)
    equal((report["task"]["decided"], report["task"]["by"]), ("classes", "--task"), "task")
    report = json.loads(works(place, "prune classes.onnx --data x.npz -o p.onnx --task other --json").out)
    equal((report["task"]["decided"], report["readout"]["applied"], "top1_agreement" in report["drift"][0]), ("other", False, False), "task")
    assert "same answer" not in works(place, "compare classes.onnx p.onnx --data x.npz --task other").out.decode()
    assert "same answer" in works(place, "compare places.onnx o.onnx --data x.npz --task classes").out.decode()
    fails(place, "prune m.onnx --data local.npz -o q.onnx --task class", 2, "--task cannot be 'class'", "one of: auto, classes, labels, other")


@case
def gates_without_classes_say_why(place):
    task_models(place)
    ran = place.run("prune places.onnx --data x.npz -o o.onnx --min-agreement 90%")
    equal(ran.code, 5, "exit code")
    assert "min-agreement 0.9 could not be measured: the outputs are not classes" in ran.err, ran.err
    ran = place.run("prune labels.onnx --data x.npz -o o.onnx -s auto")
    equal(ran.code, 2, "exit code")
    assert "independent labels" in ran.err and "--task classes" in ran.err, ran.err


@case
def gates_measure_the_model_that_came_in(place):
    task_models(place)
    rng = np.random.default_rng(3)
    data = np.load(place.path("x.npz"))["x"]
    mixed = 0.6 * data + 0.4 * data[rng.permutation(len(data))] + 0.4 * rng.normal(size=data.shape)
    np.savez(place.path("mixed.npz"), x=mixed.astype(np.float32))
    line = "prune classes.onnx --data mixed.npz -o o.onnx -f -s 50% --on-fail keep --json"
    report = json.loads(place.run(f"{line} --min-agreement 100% --min-taught-agreement 1%").out)
    measured = {gate["name"]: gate["measured"] for gate in report["gates"]}
    equal(measured["min_agreement"], report["drift"][0]["top1_agreement"], "the drift's number")
    equal(measured["min_agreement"], report["agreement"]["with_dense"], "the agreement's number")
    equal(measured["min_taught_agreement"], report["agreement"]["pruning"], "the taught number")
    assert measured["min_agreement"] < 1, measured
    equal(place.run(f"{line} --min-agreement 100%").code, 5, "exit code")


def caller(place):
    """A host of the library that is under test; None when there is no compiler, or the library is not beside the program or wants a sanitizer."""
    library, flags = Path(harness.FINEPRUNE).resolve().parent, []
    if harness.SANITIZED or not shutil.which("gcc") or not (library / "libfineprune.so.0").exists():
        return None
    if shutil.which("pkg-config"):
        flags = subprocess.run(["pkg-config", "--cflags", "openblas"], capture_output=True, text=True).stdout.split()
    made = place.path("caller")
    subprocess.run(["gcc", "-fopenmp", f"-I{harness.ROOT / 'include'}", *flags, str(Path(__file__).parent / "caller.c"), "-o", str(made), f"-L{library}",
                    "-l:libfineprune.so.0", "-l:libopenblas.so.0", f"-Wl,-rpath,{library}", f"-Wl,-rpath-link,{harness.ROOT / '.prefix' / 'lib'}"],
                   check=True)
    return made


def environments(place):
    """What could make a difference but must not."""
    yield {}
    for said in ("OMP_NUM_THREADS=1", "OMP_NUM_THREADS=7", "OPENBLAS_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=5", "OMP_SCHEDULE=dynamic", "OMP_DYNAMIC=true",
                 "OMP_WAIT_POLICY=active", "OMP_THREAD_LIMIT=1", "OMP_MAX_ACTIVE_LEVELS=3", "ONEDNN_DEFAULT_FPMATH_MODE=ANY"):
        yield dict([said.split("=")])
    built = shutil.which("localedef") and subprocess.run(["localedef", "-f", "UTF-8", "-i", "de_DE", str(place.path("de_DE.UTF-8"))], capture_output=True)
    if built and built.returncode == 0:
        yield {"LC_ALL": "de_DE.UTF-8", "LOCPATH": str(place.folder)}


def called(made, threads, *paths, **environment):
    ran = subprocess.run([made, str(threads), *map(str, paths)], env={**os.environ, **environment}, cwd=made.parent, capture_output=True, text=True, timeout=60)
    equal((ran.returncode, ran.stderr), (0, ""), f"the caller with {threads} threads and {environment}")


@case
def whoever_calls_gets_the_same_bytes(place):
    line, made = "prune m.onnx --data local.npz -o o.onnx -f -q --no-metadata -s 70%", caller(place)
    works(place, line)
    expected = place.path("o.onnx").read_bytes()
    for environment in environments(place):
        place.path("o.onnx").unlink()
        equal(place.run(line, env=environment).code, 0, f"exit code with {environment}")
        assert place.path("o.onnx").read_bytes() == expected, f"the program writes other bytes with {environment}"
        if made:
            called(made, 0, "m.onnx", "local.npz", "p.onnx", **environment)
            assert place.path("p.onnx").read_bytes() == expected, f"a caller gets other bytes with {environment}"
    for threads in (1, 2, 3):
        equal(place.run(f"{line} -j {threads}").code, 0, "exit code")
        assert place.path("o.onnx").read_bytes() == expected, f"the program writes other bytes with -j {threads}"
        if made:
            called(made, threads, "m.onnx", "local.npz", "p.onnx")
            assert place.path("p.onnx").read_bytes() == expected, f"a caller gets other bytes with {threads} threads"


@case
def numbers_have_points_in_every_locale(place):
    made, commas = caller(place), []
    locales = [e for e in environments(place) if "LC_ALL" in e]
    if not made or not locales:
        return
    for environment in ({"LC_ALL": "C"}, locales[0]):
        called(made, 0, "m.onnx", "local.npz", "p.onnx", CALLER_PAGE=str(place.path("p.html")), **environment)
        texts = [entry.value for entry in onnx.load(place.path("p.onnx")).metadata_props] + [place.path("p.html").read_text()]
        commas.append([len(re.findall(r"\d,\d", text)) for text in texts])
    equal(commas[0], commas[1], "commas between digits in metadata and page")


@case
def two_at_once_get_the_bytes_of_one(place):
    task_models(place)
    made, pairs = caller(place), (("m.onnx", "local.npz", "o.onnx"), ("classes.onnx", "x.npz", "p.onnx"))
    if not made:
        return
    for pair in pairs:
        called(made, 2, *pair)
    expected = [place.path(pair[2]).read_bytes() for pair in pairs]
    for threads in (1, 2, 2, 3):
        called(made, threads, *pairs[0], *pairs[1])
        equal([place.path(pair[2]).read_bytes() == one for pair, one in zip(pairs, expected)], [True, True], f"the same bytes with {threads} threads each")

# ---- what is written


@case
def external_data_count_in_sizes(place):
    """The size of a model is that of all its files, in every line that has one; what leaves the shapes leaves it too."""
    model = onnx.load(place.path("gesture.onnx"))
    onnx.save_model(model, str(place.path("e.onnx")), save_as_external_data=True, location="e.data", size_threshold=0)
    size = place.path("e.onnx").stat().st_size + place.path("e.data").stat().st_size
    for line in ("inspect e.onnx", "check e.onnx", "run e.onnx --data local.npz -o y.npz", "compact e.onnx -o c.onnx", "prune e.onnx --data local.npz -o o.onnx",
                 "compare gesture.onnx e.onnx --data local.npz"):
        place.path("j.json").unlink(missing_ok=True)
        works(place, f"{line} --json=j.json")
        told = json.loads(place.path("j.json").read_text())
        equal((told.get("second_model") or told["model"])["file_size"], size, line)
    for name in ("gesture", "e"):
        works(place, f"prune {name}.onnx --data local.npz --target macs=50% -o o.onnx -f --json=j.json")
        told = json.loads(place.path("j.json").read_text())["size"]
        raw = [told[side]["raw_bytes"] if "raw_bytes" in told[side] else told[side]["raw"] for side in ("before", "after")]
        equal(0.4 < raw[1] / raw[0] < 0.8, True, f"share of the bytes of {name}: {told}")


@case
def sparse_initializers(place):
    """The same answers from a smaller file, in ONNX Runtime and here; what is not smaller, or is an input's default, stays dense."""
    weights = {"w": np.zeros((40, 60), np.float32), "half": np.zeros((60, 20), np.float16), "v": np.random.default_rng(2).standard_normal((20, 5)).astype(np.float32),
               "default": np.zeros((5,), np.float32), "ids": np.zeros((500,), np.int64)}
    random = np.random.default_rng(1)
    weights["w"].flat[random.choice(2400, 200, False)] = random.standard_normal(200)
    weights["half"].flat[random.choice(1200, 90, False)] = random.standard_normal(90)
    weights["ids"][7] = 3
    node = onnx.helper.make_node
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["r"]), node("Cast", ["half"], ["h"], to=1), node("MatMul", ["r", "h"], ["b"]),
             node("Gemm", ["b", "v", "default"], ["y"]), node("ReduceSum", ["ids"], ["n"], keepdims=0)]
    store_network(place, "z.onnx", nodes, {"y": (1, ["N", 5]), "n": (7, [])}, weights, [40])
    model = onnx.load(place.path("z.onnx"))
    model.graph.input.append(onnx.helper.make_tensor_value_info("default", 1, [5]))
    onnx.save(model, place.path("z.onnx"))
    np.savez(place.path("z.npz"), x=random.standard_normal((30, 40)).astype(np.float32))
    line = "prune z.onnx --data z.npz -s 80% --method magnitude --task other --exclude v --exclude half"
    works(place, f"{line} -o dense.onnx")
    ran = works(place, f"{line} -o sparse.onnx --sparse-initializers --json --report r.html")
    told = json.loads(ran.out)["sparse_initializers"]
    sparse = onnx.load(place.path("sparse.onnx"))
    onnx.checker.check_model(sparse)
    equal([t.values.name for t in sparse.graph.sparse_initializer], ["w", "half", "ids"], "sparse")
    equal([t.name for t in sparse.graph.initializer], ["v", "default"], "dense")
    equal((told["tensors"], told["dense_bytes"]), (3, 2400 * 4 + 1200 * 2 + 500 * 8), "the report")
    saved = place.path("dense.onnx").stat().st_size - place.path("sparse.onnx").stat().st_size
    assert abs(told["dense_bytes"] - told["bytes"] - saved) < 100, (told, saved)
    said = re.search(r"^sparse   3 tensors as sparse_initializer: .* instead of 16.0 kB; .*OpenVINO, TensorRT, XNNPACK, Core ML and many others do not$", ran.err, re.M)
    assert said and "3 tensors as sparse_initializer" in place.path("r.html").read_text(), ran.err
    x = np.load(place.path("z.npz"))["x"]
    one, other = (ort.InferenceSession(str(place.path(f"{f}.onnx"))).run(None, {"x": x})[0] for f in ("dense", "sparse"))
    equal(one.tobytes(), other.tobytes(), "answers of ONNX Runtime")
    for name in ("dense", "sparse"):
        works(place, f"run {name}.onnx --data z.npz -o {name}.npz")
    equal(np.load(place.path("dense.npz"))["y"].tobytes(), np.load(place.path("sparse.npz"))["y"].tobytes(), "answers here")
    for name in ("dense", "sparse"):  # what is stored as a sparse tensor is pruned as any other
        works(place, f"prune {name}.onnx --data z.npz -s 95% --method magnitude --task other --include w --no-metadata -o {name}-95.onnx")
    one, other = (ort.InferenceSession(str(place.path(f"{f}-95.onnx"))).run(None, {"x": x})[0] for f in ("dense", "sparse"))
    equal(one.tobytes(), other.tobytes(), "answers of what was pruned from a sparse tensor")
    w = [t.values for t in onnx.load(place.path("sparse-95.onnx")).graph.sparse_initializer if t.values.name == "w"]
    assert w and w[0].dims[0] <= 2400 * 0.07, w
    equal(*(json.loads(works(place, f"inspect {f}.onnx --json").out)["model"]["parameters"] for f in ("dense", "sparse")), "parameters")
    ran = works(place, "prune sparse.onnx --data z.npz -s 50% --task other --method magnitude -o again.onnx")
    equal([t.values.name for t in onnx.load(place.path("again.onnx")).graph.sparse_initializer], ["w", "half", "ids"], "what was sparse stays sparse")
    ran = works(place, f"{PRUNE} --method magnitude -s 30% -o s.onnx --sparse-initializers")
    assert "\nsparse   no tensor is smaller as sparse_initializer: all stay dense\n" in ran.err, ran.err


@case
def sparse_initializers_beside_external_data(place):
    """Of a model whose tensors lie beside it, too: what becomes sparse comes into the model's own file."""
    onnx.save(onnx.load(place.path("m.onnx")), place.path("e.onnx"), save_as_external_data=True, location="e.data", size_threshold=1024)
    line = "prune e.onnx --data local.npz -s 92% --strict-sparsity --method magnitude --exclude Conv2* -q"
    works(place, f"{line} -o dense.onnx")
    works(place, f"{line} -o sparse.onnx --sparse-initializers")
    sizes = [place.path(f"{f}.onnx{more}").stat().st_size for f in ("dense", "sparse") for more in ("", ".data")]
    assert sizes[0] < sizes[2] and 0 < sizes[3] < sizes[1] / 2 and sum(sizes[2:]) < sum(sizes[:2]) / 2, sizes
    x = np.load(place.path("test.npz"))["signal"]
    one, other = (ort.InferenceSession(str(place.path(f"{f}.onnx"))).run(None, {"signal": x})[0] for f in ("dense", "sparse"))
    equal(one.tobytes(), other.tobytes(), "answers of ONNX Runtime")


# ---- every option


@case
def instructions_are_pinned(place):
    """With --isa the bytes are the same whatever the environment says; without it they are not. Levels that are not there are refused."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    line = "prune m.onnx --data local.npz -f -q -o o.onnx --no-metadata"
    older = {"ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem"}
    newer = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell", "GLIBC_TUNABLES": "glibc.malloc.perturb=1"}
    made = {}
    for level, needs, core in (("sse4", "sse4_2", "Nehalem"), ("avx", "avx", "Sandybridge"), ("avx2", "fma", "Haswell"), ("avx512", "avx512vl", "Skylakex")):
        if needs not in flags:
            fails(place, f"{line} --isa {level}", 2, f"this processor has no {level}, as --isa says",
                  "equal bytes need a level that all the machines have")
            continue
        ran = place.run(f"{line} --isa {level}", env={"OPENBLAS_VERBOSE": "2"})
        equal((ran.code, ran.err.splitlines()[-1].lower()), (0, f"core: {core}".lower()), f"{level}: exit code and the kernels that OpenBLAS takes")
        made[level] = place.path("o.onnx").read_bytes()
        for environment in (older, newer):
            works(place, f"{line} --isa {level}", env=environment)
            assert place.path("o.onnx").read_bytes() == made[level], f"{level}: other bytes with {environment}"
    if "fma" in flags:
        assert made["avx2"] != made["sse4"], "the levels make no difference"
    fails(place, f"{line} --isa sse3", 2, "--isa cannot be 'sse3'", "one of: sse4, avx, avx2, avx512")


@case
def pictures_are_the_same_by_any_threads(place):
    """Pictures of many sizes, some of which cannot be used, decoded by one thread and by several, ahead and one by one, with and without room."""
    from PIL import Image
    random = np.random.default_rng(3)
    place.path("photos").mkdir()
    for i in range(90):
        pixels = random.integers(0, 256, (random.integers(30, 200), random.integers(30, 200), 3), np.uint8)
        ending, more = ((".jpg", {"quality": 85, "progressive": i % 4 == 1}), (".png", {}), (".webp", {}), (".bmp", {}))[i % 4]
        Image.fromarray(pixels).save(place.path(f"photos/{i:02d}{ending}"), **more)
    for i in (13, 14, 61):
        path = next(place.path("photos").glob(f"{i}.*"))
        path.write_bytes(path.read_bytes()[:200])
    store_network(place, "image.onnx", [onnx.helper.make_node("Relu", ["x"], ["y"])], {"y": (1, None)}, {}, [3, 96, 96])
    run = "run image.onnx --data photos --on-bad-file skip --resize 96x96 --mean 0.5 --std 0.2 -f"
    wanted = None
    for more in ("-j 1", "-j 2", "-j 7", "-j 2 --batch 1", "-j 2 --batch 50", "-j 3 --limit 500", "-j 2 --max-memory 60M"):
        ran = works(place, f"{run} -o y.npz {more}")
        assert "87 samples" in ran.err and "3 files left out" in ran.err, (more, ran.err)
        got = np.load(place.path("y.npz"))["y"]
        wanted = got if wanted is None else wanted
        equal((got.shape, np.array_equal(got, wanted)), ((87, 3, 96, 96), True), more)
    for threads in (1, 2):
        fails(place, f"run image.onnx --data photos --resize 96x96 --mean 0.5 --std 0.2 -o y.npz -f -j {threads}", 4,
              "3 of 90 files cannot be used: 'photos/13.png': not a picture that can be decoded: Read Error; 'photos/14.webp': not a picture that "
              "can be decoded: damaged, or cut short; 'photos/61.png': not a picture that can be decoded: Read Error",
              "--on-bad-file skip leaves them out and counts them")


@case
def what_lies_in_folders(place):
    """Folders below a folder, what is no data, files that cannot be used."""
    effect_files(place)
    os.makedirs(place.path("tree/2024/cats"))
    os.makedirs(place.path("tree/2025"))
    for i, where in enumerate(("tree/2024/cats/a.png", "tree/2025/a.png", "tree/z.png")):
        place.path(where).write_bytes(place.path(f"pictures/{i}.png").read_bytes())
    place.path("tree/2024/notes.txt").write_text("no")
    place.path("tree/2025/Thumbs.DB").write_text("no")
    os.symlink("..", place.path("tree/2024/circle"))
    options = "--mean 0 --std 1 -f -o y.npz"
    ran = works(place, f"run picture.onnx --data tree {options} --json=j.json")
    equal(json.loads(place.path("j.json").read_text())["data"]["passed_over"], ["1 link to a folder", "1 .txt", "1 .db"], "passed over")
    assert "3 samples" in ran.err and "passed over as no data: 1 link to a folder, 1 .txt, 1 .db" in ran.err, ran.err
    tree = np.load(place.path("y.npz"))["y"]
    works(place, f"run picture.onnx --data pictures {options}")
    assert np.array_equal(tree, np.load(place.path("y.npz"))["y"])
    for name, start in (("c.heic", b"\0\0\0\x18ftypheic"), ("d.webp", b"RIFF\0\0\0\0WEBPVP8 ")):
        place.path(f"cut/{name}").write_bytes(start)
    fails(place, f"run picture.onnx --data cut {options}", 4, "3 of 4 files cannot be used: 'cut/b.png': not a picture that can be decoded: Read Error; "
          "'cut/c.heic': HEIC and AVIF are not read; 'cut/d.webp': not a picture that can be decoded: WebP's header",
          "--on-bad-file skip leaves them out and counts them")
    ran = works(place, f"run picture.onnx --data cut {options} --on-bad-file skip --json=j.json")
    told = json.loads(place.path("j.json").read_text())["data"]
    equal((told["samples"], told["unusable_files"], len(told["unusable"])), (1, 3, 3), "what is left out")
    assert "3 files left out, which cannot be used" in ran.err, ran.err
    assert works(place, "check picture.onnx --data cut --mean 0 --std 1", code=3).out.count(b"obstacle") == 4


def effect_files(place):
    """What the lines of EFFECTS read: images of 6 x 8, a second of sound at two rates, statistics, a configuration."""
    import wave
    import zlib
    random, node = np.random.default_rng(7), onnx.helper.make_node
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    place.path("pictures").mkdir()
    for i in range(3):
        rows = b"".join(b"\0" + random.integers(0, 256, 24, np.uint8).tobytes() for _ in range(6))
        place.path(f"pictures/{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 8, 2, 0, 0, 0)) +
                                                    chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    whole = place.path("pictures/0.png").read_bytes()
    turned = struct.pack("<2sHIHHHIIIH", b"II", 42, 8, 1, 0x112, 3, 1, 6, 0, 0)  # EXIF: it lies on its side
    place.path("turned.png").write_bytes(whole[:33] + chunk(b"eXIf", turned) + whole[33:])
    place.path("cut").mkdir()
    place.path("cut/a.png").write_bytes(whole)
    place.path("cut/b.png").write_bytes(whole[:-40])
    store_network(place, "picture.onnx", [node("Relu", ["x"], ["y"])], {"y": (1, None)}, {}, [3, "H", "W"])
    store_network(place, "square.onnx", [node("Relu", ["x"], ["y"])], {"y": (1, None)}, {}, [3, 3, 3])
    store_network(place, "sound.onnx", [node("Relu", ["x"], ["y"])], {"y": (1, None)}, {}, ["T"])
    with wave.open(str(place.path("a.wav")), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000)
        sound.writeframes((1000 * random.standard_normal(800)).astype(np.int16).tobytes())
    for name, limit in (("most", 0), ("more", 0.3)):  # one by one some samples have outputs of equal shapes, all together never
        store_network(place, f"{name}.onnx", [node("Greater", ["x", "limit"], ["g"]), node("NonZero", ["g"], ["y"])], {"y": (7, [2, "n"])},
                      {"limit": np.float32(limit)}, [4])
    np.savez(place.path("most.npz"), x=random.standard_normal((30, 4)).astype(np.float32))
    signals = np.load(place.path("local.npz"))["signal"]
    answers = ort.InferenceSession(str(place.path("m.onnx"))).run(None, {"signal": signals})[0].argmax(1)
    np.savez(place.path("few.npz"), signal=signals[answers < 4])
    place.path("p.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}')
    place.path("c.json").write_text('{"limit": 50}')
    place.path("there.npz").write_bytes(b"precious")
    place.long_data()
    conv_network(place)
    works(place, "score m.onnx --data local.npz --limit 100 -o one.stats -q")
    works(place, "score m.onnx --data local.npz -o all.stats -q")


PRUNED = "prune m.onnx --data local.npz -f -q -o o.onnx --json=j.json"
QUICK = f"{PRUNED} --method magnitude"
CHANNELS = "prune cnn.onnx --data cnn.npz -s 70% --task other -f -q -o o.onnx"
RAW_PICTURES = "run picture.onnx --data pictures -f -q -o y.npz"
PICTURES = f"{RAW_PICTURES} --mean 0 --std 1"
MISSED = "prune m.onnx --data local.npz -f -o o.onnx --json=j.json -s 99% --method magnitude"
LOOK = "run m.onnx --data local.npz -f -o y.npz"

# option: (a line, what is added to it, what is then another thing): a file, a member of the JSON report ("/data/samples"), "code", or a pattern that is
# found on the streams with or without it ("~..."). {} in the line is where the option goes.
EFFECTS = {
    "data": (f"{LOOK} -q", "--data local.npz --data test.npz", "y.npz"),
    "labels": ("compare m.onnx m.onnx --data test.npz --json=j.json -f", "--labels test_labels.npy", "/accuracy"),
    "layers": ("compare m.onnx m.onnx --data test.npz --json=j.json -f", "--layers", "/layer_errors"),
    "batch": ("compare most.onnx more.onnx --data most.npz", "--batch 1", "code"),
    "limit": (f"{LOOK} -q --json=j.json", "--limit 10", "/data/samples"),
    "reserve": (QUICK, "--reserve 40%", "/data/reserve"),
    "shape": ("run picture.onnx --data random:1 -o y.npz -f -q --limit 2", "--shape x:1,3,5,9", "y.npz"),
    "preprocess": (RAW_PICTURES, "--preprocess p.json", "y.npz"),
    "resize": (PICTURES, "--resize 4", "y.npz"),
    "crop": (PICTURES, "--crop 4", "y.npz"),
    "mean": (PICTURES, "--mean 0.5,0.4,0.3", "y.npz"),
    "std": (PICTURES, "--std 0.5,0.4,0.3", "y.npz"),
    "layout": ("run square.onnx --data pictures -f -q -o y.npz --mean 0 --std 1 --resize 3x3", "--layout nhwc", "y.npz"),
    "on-bad-file": (f"{PICTURES} --data cut", "--on-bad-file skip", "code"),
    "resample": (f"{PICTURES} --resize 4", "--resample nearest", "y.npz"),
    "bgr": (PICTURES, "--bgr", "y.npz"),
    "exif": ("run picture.onnx --data turned.png -f -q -o y.npz --mean 0 --std 1", "--no-exif", "y.npz"),
    "rate": ("run sound.onnx --data a.wav -f -q -o y.npz", "--rate 4000", "y.npz"),
    "window": ("run sound.onnx --data a.wav -f -q -o y.npz --rate 8000", "--window 10ms", "y.npz"),
    "hop": ("run sound.onnx --data a.wav -f -q -o y.npz --rate 8000 --window 10ms", "--hop 40", "y.npz"),
    "stats": ("apply m.onnx -f -q -o o.onnx", "--stats one.stats", "o.onnx"),
    "sparsity": (QUICK, "-s 50%", "o.onnx"),
    "strict-sparsity": (f"{PRUNED} --limit 30 -s 95%", "--strict-sparsity", "/pruned/sparsity"),
    "target": (PRUNED, "--target macs=60%", "o.onnx"),
    "runtime-profile": (PRUNED, "--runtime-profile tensorrt", "o.onnx"),
    "method": (PRUNED, "--method wanda", "o.onnx"),
    "score": (PRUNED, "--score magnitude", "o.onnx"),
    "allocation": (PRUNED, "--allocation global", "o.onnx"),
    "pattern": (PRUNED, "--pattern 2:4", "o.onnx"),
    "repair": (PRUNED, "--repair none", "o.onnx"),
    "channels": (CHANNELS, "--channels none", "o.onnx"),
    "swaps": (PRUNED, "--swaps none", "o.onnx"),
    "refit": (PRUNED, "--refit none", "o.onnx"),
    "outputs": ("prune m.onnx --data few.npz -f -q -o o.onnx", "--outputs keep", "o.onnx"),
    "shrink-outputs": ("prune m.onnx --data few.npz -f -q -o o.onnx", "--shrink-outputs", "o.onnx"),
    "readout": (PRUNED, "--readout keep", "o.onnx"),
    "task": (PRUNED, "--task other", "o.onnx"),
    "rounds": (PRUNED, "--rounds 1", "o.onnx"),
    "include": (QUICK, "--include Conv*", "o.onnx"),
    "exclude": (QUICK, "--exclude Conv1*", "o.onnx"),
    "keep-first": (QUICK, "--keep-first", "o.onnx"),
    "keep-last": (QUICK, "--keep-last", "o.onnx"),
    "min-agreement": (QUICK, "--min-agreement 1%", "/gates"),
    "min-taught-agreement": (QUICK, "--min-taught-agreement 1%", "/gates"),
    "on-fail": (f"{MISSED} --min-agreement 99.9%", "--on-fail keep", "o.onnx"),
    "output": (f"{QUICK}", "-o p.onnx", "p.onnx"),
    "force": ("run m.onnx --data local.npz -o there.npz", "--force", "code"),
    "external-data": (QUICK, "--external-data always", "o.onnx.data"),
    "sparse-initializers": (f"{QUICK} -s 90%", "--sparse-initializers", "o.onnx"),
    "metadata": (QUICK, "--no-metadata", "o.onnx"),
    "compact": ("prune m.onnx --data local.npz -s 70% -o o.onnx -f -q", "--compact", "o.onnx"),
    "round": ("prune m.onnx --data local.npz -s 70% -o o.onnx -f -q --compact", "--round 64", "o.onnx"),
    "dry-run": (QUICK, "--dry-run", "o.onnx"),
    "json": ("inspect m.onnx -f", "--json=j.json", "j.json"),
    "report": ("inspect m.onnx -f", "--report r.html", "r.html"),
    "masks": (QUICK, "--masks k.npz", "k.npz"),
    "table": (f"{QUICK}", "--table plain", "~weight +operator"),
    "max-memory": (LOOK, "--max-memory 64K", "code"),
    "timeout": ("score m.onnx --data long.npz -f -o s.stats --limit 40000", "--timeout 1s", "code"),
    "isa": (f"{LOOK} -q", "--isa sse4", "y.npz"),
    "config": (f"{LOOK} -q --json=j.json", "--config c.json", "/data/samples"),
    "print-config": (LOOK, "--print-config", '~"progress": '),
    "verbose": (LOOK, "--verbose", r"~\d+/\d+ +\d+%"),
    "quiet": (LOOK, "--quiet", "~."),
    "progress": (LOOK, "--progress always", "~\r"),
    "color": (LOOK, "--color always", "~\x1b\\[1m"),
    "list": ("", "--list=score", "~obs"),
    "schema": ("", "--schema", "~peak_rss_bytes"),
    "version": ("", "--version", "~oneDNN"),
    "help": ("", "--help", "~first run"),
    "help-man": ("", "--help-man", r"~\.TH FINEPRUNE"),
    "completion": ("", "--completion bash", "~COMPREPLY"),
}
NO_EFFECT = {"threads": "only time: the result is the same with any number of them, as prune_gives_the_same_bytes and tests/unit/test_prune_determinism.c show"}


def options_of_the_table():
    """The names of all rows of cli/option_table.c, those that --help does not show too."""
    return re.findall(r'^    \{"([a-z-]+)", (?:0|\'.\'), CLI_', (harness.ROOT / "cli" / "option_table.c").read_text(), re.M)


def observed(place, line, what):
    """What `what` is after the line was run; files that it may write are not there before."""
    for name in ("o.onnx", "p.onnx", "o.onnx.data", "j.json", "r.html", "k.npz", "y.npz"):
        place.path(name).unlink(missing_ok=True)
    ran = place.run(line)
    assert not ran.crashed or ran.code == 1, (line, ran.err)
    if what == "code":
        return ran.code
    if what.startswith("~"):
        return bool(re.search(what[1:], ran.out.decode() + ran.err))
    if what.startswith("/"):
        found = json.loads(place.path("j.json").read_text()) if place.path("j.json").exists() else {}
        for member in what[1:].split("/"):
            found = found.get(member, {})
        return found
    return place.path(what).read_bytes() if place.path(what).exists() else None


@case
def every_option_has_an_effect(place):
    """Each row of the option table changes what it says it changes, or is named with the reason why nothing can be seen."""
    options = options_of_the_table()
    equal((len(options) > 50, len(set(options))), (True, len(options)), "rows of the option table")
    equal(sorted(set(options) ^ (set(EFFECTS) | set(NO_EFFECT))), [], "options without an entry in EFFECTS, or entries without an option")
    shown = set().union(*(re.findall(r"^  (?:-.,|   ) --(?:no-)?([a-z-]+)", works(place, f"{command} --help").out.decode(), re.M)
                          for command in ("", "prune", "score", "merge", "apply", "compact", "run", "compare", "inspect", "check", "show")))
    equal(sorted(set(options) - shown - {"no-metadata"}), ["completion", "help-man"], "options that no help shows")
    effect_files(place)
    before, same = {}, []
    for option, (line, added, what) in EFFECTS.items():
        if (line, what) not in before:
            before[line, what] = observed(place, line, what)
        if observed(place, f"{line} {added}", what) == before[line, what]:
            same.append(f"--{option}: {what} is the same with '{added}'")
    equal(same, [], "options without effect")


def outcome(name):
    """What is wrong; None: nothing."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            next(function for function in CASES if function.__name__ == name)(Place(folder))
        except (AssertionError, subprocess.TimeoutExpired, KeyError, ValueError, OSError) as why:
            return f"{type(why).__name__}: {why}"
    return None


def main():
    tally = harness.Tally("cli")
    names = [function.__name__ for function in CASES if not WORDS or any(word in function.__name__ for word in WORDS)]
    with concurrent.futures.ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as workers:
        for name, why in zip(names, workers.map(outcome, names)):
            if why:
                tally.bad(name, why)
            else:
                tally.ok(name)
                if SHOW:
                    print(f"cli: good {name}", flush=True)
    tally.finish()


if __name__ == "__main__":
    main()
