#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mutation testing: a source file is changed in one place (a comparison turned, a check dropped, a number off by one), what depends on it is
built, and the quick tests must notice. Says how many are killed, and prints the survivors, each of which is a missing test or no change at all.

    mutants.py BUILD FILE... [--sample N] [--seed S] [--unit]     BUILD: a folder of its own, which is built again and again; -Doptimization=0
                                                                 is fast. The sources are restored after each mutant, also after Ctrl-C.
                                                                 --unit: unit tests only, without bad input and ONNX's suite.
"""
import argparse
import os
import random
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120   # a mutant that takes longer has been noticed
# The tests that a change in a folder can reach, the quickest first: unit tests by name, then commands.
UNIT = {"src/onnx": "wire model graph initializer model_sparse model_size contracts op_list weights compact zeros".split(),
        "src/tensor": "npz tensor convert data stats".split(), "src/base": "output arena mapping allocations npz model contracts".split()}
TURNED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"}


def mutants(text):
    """(line number, line, changed line) of every mutant of a file."""
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'', lambda m: " " * len(m[0]), line.split("//")[0])
        inside, depth = depth > 0, depth + code.count("{") - code.count("}")
        if not inside or code.lstrip().startswith("#") or re.match(r"\s*(static|const|struct|enum)\b.*=\s*\{", code):
            continue
        for m in re.finditer(r"(?<=\s)(<=|>=|==|!=|<|>|&&|\|\|)(?=\s)", code):
            yield number, line, line[:m.start()] + TURNED[m[0]] + line[m.end():]
        for m in re.finditer(r"(?<=[\w)\]]\s)([+-])(?=\s[\w(])", code):
            yield number, line, line[:m.start()] + ("-" if m[0] == "+" else "+") + line[m.end():]
        for m in re.finditer(r"(?<![\w.])([0-9]+)(?![\w.])", code):
            yield number, line, line[:m.start()] + str(int(m[0]) + 1) + line[m.end():]
        check = re.match(r"(\s*)if \((.*)\) (return|continue|break|goto)\b.*;$", code)
        if check:
            yield number, line, line[:check.end(1)] + "if (0 && (" + line[check.start(2):check.end(2)] + "))" + line[check.end(2) + 1:]
        if re.match(r"\s*if \(!status\) status = ", code):
            yield number, line, line.replace("if (!status) status = ", "if (0) status = ", 1)


def quiet(command, **kwargs):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS, **kwargs).returncode
    except subprocess.TimeoutExpired:
        return None


def killed_by(build, folder, unit):
    """None, or what noticed the mutant; "build" where the compiler does."""
    tests = [name for name in UNIT[folder] if (build / "tests" / f"test_{name}").exists()]
    if quiet(["ninja", "-C", build, *(f"tests/test_{name}" for name in tests)]):
        return "build"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "FINEPRUNE_HEADER": str(ROOT / "include/fineprune/fineprune.h"), "MALLOC_PERTURB_": "165"}
    for name in tests:
        if quiet([build / "tests" / f"test_{name}"], env=env):
            return name
    if unit:
        return None
    if quiet(["ninja", "-C", build, "fineprune", "tests/open_models"]):
        return "build"
    env["FINEPRUNE"] = str(build / "fineprune")
    for command in (["tests/hostile/run_hostile.py"], ["tests/conformance/run_suites.py", "--only", "test_a"]):
        if quiet([ROOT / ".venv/bin/python", *command], env=env, cwd=ROOT) != 0:
            return Path(command[0]).name
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path)
    p.add_argument("file", nargs="+", type=Path)
    p.add_argument("--sample", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--unit", action="store_true")
    options = p.parse_args()
    build = options.build.resolve()
    every = [(path, *m) for path in options.file for m in mutants(path.read_text())]
    random.Random(options.seed).shuffle(every)
    killed, tried = 0, 0
    for path, number, line, changed in every[:options.sample or None]:
        text = path.read_text()
        lines = text.split("\n")
        assert lines[number - 1] == line
        lines[number - 1] = changed
        try:
            path.write_text("\n".join(lines))
            by = killed_by(build, str(path.resolve().relative_to(ROOT).parent), options.unit)
        finally:
            path.write_text(text)
        if by == "build":
            continue
        tried, killed = tried + 1, killed + bool(by)
        print(f"{path}:{number}: {by or 'SURVIVES'}: {changed.strip()}", flush=True)
    print(f"mutants: {killed} of {tried} killed, {100 * killed / max(tried, 1):.0f} %, of {len(every)} that there are")


if __name__ == "__main__":
    sys.exit(main())
