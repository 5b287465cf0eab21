#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints every link of the pages (*.md) that leads nowhere: a file that is not there, a heading that is not there, and paths in backticks below
docs/, samples/ and tests/ that do not exist. Links to other places are not looked at.

    doc_links.py [FOLDER]
"""
import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`+[^`\n]+`+")
PATH = re.compile(r"`((?:docs|samples|tests)/[\w./-]+)[`# ]")


def pages(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "*.md"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            check=False).stdout.split("\n")
    return [root / name for name in listed if name and (root / name).exists()] or [root / "README.md", *sorted(root.glob("docs/*.md"))]


def without_blocks(text):
    """Its lines outside of fenced and indented blocks; others are empty, so that numbers of lines stay."""
    fence, before = None, ""
    for line in text.split("\n"):
        mark = re.match(r" {0,3}(```+|~~~+)", line)
        indented = line.startswith("    ") and not re.match(r"\s*([-*]|\d+\.) ", before) and not before.strip()
        if mark and (fence is None or mark[1].startswith(fence)):
            fence = mark[1] if fence is None else None
            yield ""
        else:
            yield "" if fence or indented else line
        before = "" if indented else line


def anchors(page):
    """What the headings of a page are called in links, as the usual viewers do it: small letters, no marks, hyphens for spaces, -1 behind the second."""
    seen, found = {}, set()
    for line in without_blocks(page.read_text()):
        heading = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if not heading:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return found


def dead(root):
    known = {}
    for page in pages(root):
        for number, line in enumerate(without_blocks(page.read_text()), 1):
            place = f"{page.relative_to(root)}:{number}"
            for path in PATH.findall(line):
                if not (root / path).exists() and not list(page.parent.glob(path)):
                    yield f"{place}: `{path}` is not there"
            for link in LINK.findall(CODE.sub("", line)):
                if re.match(r"[a-z][a-z0-9+.-]*:", link):
                    continue
                path, _, anchor = link.partition("#")
                target = (page.parent / path).resolve() if path else page.resolve()
                if not target.exists() or not target.is_relative_to(root):
                    yield f"{place}: {link} leads to no file of this folder"
                elif anchor and target.suffix == ".md" and anchor not in known.setdefault(target, anchors(target)):
                    yield f"{place}: {link} leads to no heading"


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent).resolve()
    for line in dead(root):
        print(line)


if __name__ == "__main__":
    main()
