#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Facts about operators are on their rows in src/ops/; elsewhere their names say that a fact is not.

    tests/operator_names.py MOST

Prints the quoted names of operators in src/ and passes/ outside src/ops/ and the fusion's files, file by file, when they are more than MOST,
and says so when they are fewer: the number can only fall.
"""
import pathlib
import re
import sys

ROW = re.compile(r'(?:\{"[^"]*", |^ *[A-Z]+\()"(\w+)"', re.M)


def types():
    """Every type in the tables of src/ops/."""
    tables = [p.read_text().partition("const struct fp_op fp_ops_")[2] for p in pathlib.Path("src/ops").glob("*.c")]
    return {name for table in tables for name in ROW.findall(table)}


def names(path, known):
    """The quoted names in a file's code, comments left out."""
    code = re.sub(r"//.*", "", path.read_text())
    return [name for name in re.findall(r'"(\w+)"', code) if name in known]


def main():
    most, known, found = int(sys.argv[1]), types(), {}
    if len(known) < 150:
        print(f"only {len(known)} operators were found in src/ops/")
    for folder in ("src", "passes"):
        for path in sorted(pathlib.Path(folder).rglob("*.[ch]")):
            if path.parts[:2] != ("src", "ops") and not path.name.startswith("fuse"):
                found[path] = names(path, known)
    count = sum(map(len, found.values()))
    if count > most:
        for path, listed in found.items():
            if listed:
                print(f"{path}: {' '.join(listed)}")
    if count < most:
        print(f"{count} names are left: write that number in tests/checks.sh instead of {most}")


if __name__ == "__main__":
    main()
