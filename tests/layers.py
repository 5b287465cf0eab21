#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders are layers: what the objects of a build call must lie in the same folder or in a lower one.

    tests/layers.py BUILD-FOLDER

Prints every call upward, and every circle of more than three files; then one line of what there is on standard error.
"""
import collections
import pathlib
import subprocess
import sys

# From the lowest to the highest. The program is none of them: it sees the public header only.
LAYERS = ["src/base", "src/tensor", "src/onnx", "src/kernel", "src/ops", "src/exec", "src/data", "src/weights", "src/compact", "src/stats", "src/report", "src/task",
          "passes/maths", "passes/job", "passes/ideas", "passes", "commands", "cli"]
MOST = 3  # files in a circle


def layer_of(file):
    return next((n for n in reversed(range(len(LAYERS))) if pathlib.PurePath(file).parent.as_posix() == LAYERS[n]), None)


def objects(build):
    """(source file, object) of what the libraries and the program are made of."""
    sources = [p for n in LAYERS for p in sorted(pathlib.Path(n).glob("*.c"))]
    named = {str(p).replace("/", "_") + ".o": str(p) for p in sources}
    for folder in ("libcore.a.p", "libideas.a.p", "libcommands.a.p", "fineprune.p"):
        for o in sorted((build / folder).glob("*.c.o")):
            if o.name in named:
                yield named[o.name], o


def calls(build):
    """file -> files whose symbols it uses."""
    defined, wanted = {}, collections.defaultdict(set)
    for file, o in objects(build):
        for line in subprocess.run(["nm", str(o)], capture_output=True, text=True, check=True).stdout.splitlines():
            *_, kind, name = line.split()
            if kind == "U":
                wanted[file].add(name)
            elif kind.isupper():
                defined[name] = file
    return {file: sorted({defined[n] for n in wanted[file] if n in defined} - {file}) for file in set(defined.values()) | set(wanted)}


def circles(graph):
    """Sets of files that reach each other (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in graph[v]:
            if w not in index:
                visit(w)
            if w in stack:
                low[v] = min(low[v], low[w])
        if low[v] == index[v]:
            at = stack.index(v)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for v in sorted(graph):
        if v not in index:
            visit(v)
    return [c for c in found if len(c) > 1]


def main():
    sys.setrecursionlimit(10000)
    graph = calls(pathlib.Path(sys.argv[1]))
    if len(graph) < 150:
        print(f"only {len(graph)} objects were found in {sys.argv[1]}")
    for file, used in sorted(graph.items()):
        for other in used:
            if layer_of(file) is None or layer_of(other) is None or layer_of(other) > layer_of(file):
                print(f"{file} calls upward into {other}")
    loose = [p for p in pathlib.Path("src").glob("*") if p.is_file() and p.name not in ("README.md", "meson.build")]
    for path in loose:
        print(f"{path} lies in no layer")
    groups = circles(graph)
    for group in groups:
        if len(group) > MOST:
            print("a circle of", len(group), "files:", *group)
    edges = sum(len(used) for used in graph.values())
    print(f"layers: {len(graph)} files in {len(LAYERS)} folders, {edges} uses, none upward; the largest circle has {max(map(len, groups), default=1)} files",
          file=sys.stderr)


if __name__ == "__main__":
    main()
