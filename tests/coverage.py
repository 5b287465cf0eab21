#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which lines and branches the tests reach, by file, from what gcov tells about a build with -Db_coverage=true whose tests have run.

    coverage.py BUILD [--lines FILE...] [--floor]    --lines: also the numbers of the lines in FILE that nothing reached
                                                     --floor: fails where less is covered than FLOORS ask for
"""
import argparse
import collections
import concurrent.futures
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (("src/onnx/", 95), ("src/tensor/", 95), ("", 80))  # per cent of the lines of a file; the first that fits


def told(data):
    """What gcov says of one object: {file: {line: (count, [branch counts])}}."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--preserve-paths", data], cwd=folder, capture_output=True)
        return [json.load(gzip.open(path)) for path in Path(folder).glob("*.gcov.json.gz")]


def gather(build):
    lines = collections.defaultdict(dict)
    objects = sorted(p for name in ("libcore.a.p", "libideas.a.p", "libcommands.a.p", "fineprune.p") for p in (build / name).glob("*.gcno"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for answers in pool.map(told, [p.resolve() for p in objects]):
            for answer in answers:
                for file in answer["files"]:
                    path = (Path(answer["current_working_directory"]) / file["file"]).resolve()
                    if not path.is_relative_to(ROOT) or path.is_relative_to(build.resolve()):
                        continue
                    into = lines[str(path.relative_to(ROOT))]
                    for line in file["lines"]:
                        count, branches = into.get(line["line_number"], (0, []))
                        more = [b["count"] for b in line["branches"]]
                        if len(more) == len(branches):
                            more = [a + b for a, b in zip(more, branches)]
                        into[line["line_number"]] = (count + line["count"], more if len(more) >= len(branches) else branches)
    return lines


def share(part, whole):
    return 100 * part / whole if whole else 100.


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path)
    p.add_argument("--lines", nargs="*", default=[])
    p.add_argument("--floor", action="store_true")
    options = p.parse_args()
    low, sums = [], [0] * 4
    for name, lines in sorted(gather(options.build).items()):
        if not name.endswith(".c"):
            continue
        branches = [n for _, found in lines.values() for n in found]
        counts = [sum(n > 0 for n, _ in lines.values()), len(lines), sum(n > 0 for n in branches), len(branches)]
        sums = [a + b for a, b in zip(sums, counts)]
        print(f"{name:44} {share(*counts[:2]):6.1f} % of {counts[1]:5} lines {share(*counts[2:]):6.1f} % of {counts[3]:5} branches")
        floor = next(least for folder, least in FLOORS if name.startswith(folder))
        if share(*counts[:2]) < floor:
            low.append(f"{name}: {share(*counts[:2]):.1f} % of the lines, not {floor} %")
        if name in options.lines:
            print("   ", *[n for n, (count, _) in sorted(lines.items()) if not count])
    print(f"{'all':44} {share(*sums[:2]):6.1f} % of {sums[1]:5} lines {share(*sums[2:]):6.1f} % of {sums[3]:5} branches")
    if options.floor:
        print(*low, sep="\n")
    return 1 if options.floor and low else 0


if __name__ == "__main__":
    sys.exit(main())
