#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What README.md, docs/guide.md, docs/recipes.md, docs/faster.md and docs/python.md tell people to type: every fenced block of sh and python is run, in order, in a scratch folder with
a small model and data (made.py). Blocks that are only indented, or fenced as text, are not run. A block of python whose modules are not here is skipped.
Beside that: options and labels that the pages name exist, all that exist are named, and the pages' links lead somewhere.

    run_docs.py [WORD]      only the cases whose name holds WORD
"""
import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import doc_links  # noqa: E402
import harness  # noqa: E402
import made  # noqa: E402

TALLY = harness.Tally("docs")
PAGES = ["README.md", "docs/guide.md", "docs/recipes.md", "docs/faster.md", "docs/python.md"]
LIBRARY = Path(harness.FINEPRUNE).resolve().parent / "libfineprune.so.0"  # of the Python package
WORDS = sys.argv[1:]


def fenced(text):
    """(language, first line, block) of each fenced block."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        yield match[1], text.count("\n", 0, match.start()) + 2, match[2]


def missing(block, folder):
    """Modules that a block of python imports and that are neither here nor in the folder."""
    names = set()
    for node in ast.walk(ast.parse(block)):
        names |= {one.name for one in node.names} if isinstance(node, ast.Import) else {node.module} if isinstance(node, ast.ImportFrom) else set()
    tops = {name.split(".")[0] for name in names}
    if "mynet" in tops:
        tops.add("torch")
    if "torch" in tops and "torch.onnx.export" in block:
        tops |= {"onnx", "onnxscript"}
    lacking = {"fineprune"} & tops if harness.SANITIZED or not LIBRARY.exists() else set()
    return sorted(lacking | {name for name in tops - {"fineprune"} if not (folder / f"{name}.py").exists() and not importlib.util.find_spec(name)})


def scratch(page, folder):
    programs = folder / ".programs"
    programs.mkdir()
    (programs / "fineprune").symlink_to(harness.FINEPRUNE)
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python3").chmod(0o755)
    shutil.copytree(harness.ROOT / "samples", folder / "samples")
    if page != "README.md":
        made.make(folder)
    if page in ("docs/faster.md", "docs/python.md"):  # as the guide makes them
        made.describe(folder)
    return {**os.environ, "PYTHONPATH": str(harness.ROOT / "python"), "FINEPRUNE_LIBRARY": str(LIBRARY), "PATH": f"{programs}:{os.environ['PATH']}", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


def blocks_run(page):
    text = (harness.ROOT / page).read_text()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = scratch(page, folder)
        for language, line, block in fenced(text):
            if language not in ("sh", "python"):
                continue
            case = f"{page}:{line}"
            lacking = missing(block, folder) if language == "python" else []
            if lacking:
                TALLY.skip(case, f"no {', '.join(lacking)}")
                continue
            command = ["bash", "-eu", "-c", block] if language == "sh" else [sys.executable, "-c", block]
            ran = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 timeout=600, check=False)
            if not TALLY.check(case, ran.returncode == 0, f"exit code {ran.returncode}:\n{ran.stdout}"):
                return


def commands_of(text):
    """Lines of blocks that call the program."""
    for line in text.split("\n"):
        match = re.match(r"\s*(?:if |\$ |! )?(?:build/)?fineprune (.*)", line)
        if match:
            yield match[1].split(" # ")[0]


def options_exist():
    known = set(re.findall(r"(?<![\w-])(--?[a-z][a-z0-9-]*)", harness.run("help", "all").out.decode()))
    for page in doc_links.pages(harness.ROOT):
        if page.parts[len(harness.ROOT.parts):][0] == "tests":
            continue
        used = {word for line in commands_of(page.read_text()) for word in re.findall(r"(?<=\s)--?[a-z][a-z0-9-]*", f" {line}")}
        TALLY.check(f"options of {page.name}", used <= known, f"there are no {sorted(used - known)}")


def labels_are_explained():
    """Every label that a summary of prune may have has a row in the guide's table."""
    source = (harness.ROOT / "src/report/report_text.c").read_text()
    pruning = re.search(r"static void print_pruning\(.*?\n}", source, re.S)[0]
    written = {"verdict", "prepared"} | set(re.findall(r'print_(?:model|decision|texts)\([^"]*"(\w+)"', pruning))
    for name in re.findall(r"print_(\w+)\(file, report\)", pruning):
        body = re.search(rf"static void print_{name}\(.*?\n}}", source, re.S)[0]
        written |= set(re.findall(r'"(\w+) {2,}', body)) | set(re.findall(r'print_line\(file, "(\w+)"', body))
    told = set(re.findall(r"^\| `([\w ]+)` \|", (harness.ROOT / "docs/guide.md").read_text(), re.M))
    TALLY.check("labels of the summary", written == told and len(written) > 10, f"only written {sorted(written - told)}, only told {sorted(told - written)}")


def exit_codes_agree():
    program = re.search(r"Exit codes\n(.*)", harness.run("help").out.decode(), re.S)[1]
    section = (harness.ROOT / "docs/commands.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    asked, told = set(re.findall(r"\d+", program)), {number for row in re.findall(r"^\| ([\d, ]+) \|", section, re.M) for number in re.findall(r"\d+", row)}
    TALLY.check("exit codes", asked == told, f"the program has {sorted(asked)}, the page {sorted(told)}")


def readme_is_short():
    text = (harness.ROOT / "README.md").read_text()
    TALLY.check("README.md", text.count("\n") <= 200, f"{text.count(chr(10))} lines; what is looked up belongs to docs/")
    TALLY.check("words of README.md", not (words := re.findall(r"(?i)\b(lesson|read-?out|synapses?|reserve)\b", text)), f"{words} are not explained there")


def links_lead_somewhere():
    lines = list(doc_links.dead(harness.ROOT))
    TALLY.check("links", not lines, "\n".join(lines))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        (root / "docs").mkdir()
        (root / "docs" / "a.md").write_text("# A `b`: c\n\n## Twice\n\n## Twice\n\n```sh\n# no heading\n```\n")
        good = "[a](docs/a.md) [`b`](docs/a.md#a-b-c) [c](docs/a.md#twice-1) [d](#here) [e](https://example.org/no#where) `docs/a.md` `[x](none.md)`\n\n    [code](none.md)\n"
        for case, text, count in (("good links", good, 0), ("a file that is not there", "[a](docs/b.md)", 1), ("a heading that is not there", "[a](docs/a.md#a-b)", 1),
                                  ("a comment for a heading", "[a](docs/a.md#no-heading)", 1), ("out of the folder", "[a](../b.md)", 1), ("a path", "`docs/b.md`", 1),
                                  ("a third", "[a](docs/a.md#twice-2)", 1)):
            (root / "README.md").write_text(f"# Here\n\n{text}\n")
            found = list(doc_links.dead(root))
            TALLY.check(case, len(found) == count, found)


def set_up(folder, programs, *options):
    """setup.sh in a folder that has oneDNN, with programs in front of those that are installed: what it says, its exit code, and how often sudo was asked."""
    shutil.copy(harness.ROOT / "setup.sh", folder / "setup.sh")
    for name in ("lib/cmake/dnnl/dnnl-config.cmake", "lib/libdnnl.so.3"):
        (folder / ".prefix" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / ".prefix" / name).touch()
    shutil.rmtree(folder / "programs", ignore_errors=True)
    (folder / "programs").mkdir()
    (folder / "asked").write_text("")
    for name, script in programs.items():
        (folder / "programs" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "programs" / name).chmod(0o755)
    ran = subprocess.run(["sh", "setup.sh", *options], cwd=folder, env={**os.environ, "PATH": f"{folder / 'programs'}:{os.environ['PATH']}"}, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    return ran.stdout, ran.returncode, (folder / "asked").read_text().split("\n")[:-1]


def set_up_without_root():
    """A user who may not install gets the one line, once, and what can be done is done; one who may is not asked again."""
    nobody = {"id": "echo 1000", "sudo": 'echo "$*" >>asked; exit 1', "apt-get": "exit 100"}
    lacking = {"pkg-config": 'case "$*" in *libwebp*) exit 1;; esac', "protoc-c": "exit 1"}
    building = {"meson": "mkdir -p build; touch build/build.ninja", "ninja": "exit 0"}
    line = "    apt-get update && apt-get install -y --no-install-recommends "
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said, code, asked = set_up(folder, {**nobody, **lacking}, "--no-build")
        lines = [one for one in said.split("\n") if one.startswith(line)]
        TALLY.check("the line for root", code == 1 and len(lines) == 1 and {"libwebp-dev", "protobuf-c-compiler"} <= set(lines[0].split()), said)
        TALLY.check("sudo is not asked twice", asked == ["-n true"], asked)
        said, code, asked = set_up(folder, {**nobody, **lacking, **building})
        TALLY.check("what is there is enough to build", code == 0 and said.count(line) == 1 and "built " in said, said)
        shutil.rmtree(folder / "build", ignore_errors=True)
        said, code, asked = set_up(folder, {**nobody, **lacking, "meson": "echo 'meson.build:1: ERROR: no libwebp'; exit 1", "ninja": "exit 0"})
        TALLY.check("what is not there", code == 1 and "ERROR: no libwebp" in said and "these are missing: " in said and said.count(line) == 1, said)
        said, code, asked = set_up(folder, {**nobody, **lacking, "sudo": 'echo "$*" >>asked; [ "$1" != env ] || printf "#!/bin/sh\\n" | tee programs/pkg-config >programs/protoc-c'},
                                   "--no-build")
        TALLY.check("with sudo", code == 0 and line not in said and [one.split()[0] for one in asked] == ["-n", "apt-get", "env"], (said, asked))


def main():
    cases = {**{f"blocks of {page}": lambda page=page: blocks_run(page) for page in PAGES if (harness.ROOT / page).exists()},
             "options": options_exist, "labels": labels_are_explained, "exit codes": exit_codes_agree, "length": readme_is_short, "links": links_lead_somewhere, "set-up": set_up_without_root}
    for name, case in cases.items():
        if not WORDS or any(word in name for word in WORDS):
            case()
    TALLY.finish()


if __name__ == "__main__":
    main()
