#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input of every kind. Each case must end with

    - the right exit code and no crash,
    - one clear line, `fineprune: error: ...`, that names the file, node, tensor or value at fault (and at most a hint below it),
    - no new file anywhere in its folder, and every file of before unchanged,
    - in under 2 s of processor time and 256 MiB.
"""
import signal as interrupts
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import re
from pathlib import Path

# A runner in the background may have SIGINT ignored, and children would inherit that.
interrupts.signal(interrupts.SIGINT, interrupts.default_int_handler)

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from bad_data import DATA  # noqa: E402
from bad_models import MODELS, save, tiny  # noqa: E402
import bad_nodes  # noqa: E402
from bad_stats import STATS  # noqa: E402

SECONDS, BYTES = 2.0, 256 << 20
TALLY = harness.Tally("hostile")
ONLY = sys.argv[1] if len(sys.argv) > 1 else ""


def snapshot(folder):
    """Path -> what it is and holds, for everything below the folder."""
    state = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            state[path] = os.readlink(path)
        elif path.is_file():
            state[path] = path.read_bytes()
        else:
            state[path] = "other"
    return state


def judge(ran, codes, pattern):
    """None, or what is not as it should be."""
    if ran.crashed:
        return f"crashed: exit {ran.code}: {ran.err[:600]}"
    if ran.code not in codes:
        return f"exit {ran.code}, expected {codes}: {ran.first_line()[:300]}"
    if ran.code == 0:
        return None
    lines = [line for line in ran.err.split("\n") if line.strip()]
    errors = [line for line in lines if line.startswith("fineprune: error: ")]
    if len(errors) != 1:
        return f"{len(errors)} lines of error instead of one: {ran.err[:300]!r}"
    after = lines[lines.index(errors[0]) + 1:]
    if any(not line.startswith("  ") for line in after) or len(after) > 40:
        return f"something else after the error: {after[:3]}"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", ran.err):
        return f"control bytes in the message: {ran.err[:300]!r}"
    if len(errors[0]) > 1100:
        return f"a message of {len(errors[0])} characters"
    if not re.search(pattern, ran.err):
        return f"the message does not name it ({pattern}): {errors[0][:300]}"
    return None


def limits(ran):
    if harness.SANITIZED:
        return None
    if ran.cpu > SECONDS:
        return f"took {ran.cpu:.1f} s"
    if ran.rss > BYTES:
        return f"took {ran.rss >> 20} MiB"
    return None


def attempt(case, folder, arguments, codes, pattern, **kwargs):
    before = snapshot(folder)
    ran = harness.run(*arguments, timeout=10 if not harness.SANITIZED else 60, cwd=folder, **kwargs)
    why = judge(ran, codes, pattern) or limits(ran)
    if not why and ran.code != 0:
        after = snapshot(folder)
        if after != before:
            changed = [str(p.relative_to(folder)) for p in set(before) | set(after) if before.get(p) != after.get(p)]
            why = f"left behind or changed: {changed}"
    TALLY.check(case, not why, why)


def wanted(case):
    return re.search(ONLY, case)


# ---- models ------------------------------------------------------------------------------------------------------------------------


def try_models(scratch):
    for number, (name, make, pattern, codes, runs) in enumerate(MODELS):
        if not wanted(name):
            continue
        folder = scratch / f"model{number}"
        folder.mkdir()
        path = make(folder)
        np.savez(folder / "good.npz", x=np.random.default_rng(5).standard_normal((6, 4)).astype(np.float32))
        if not runs:
            attempt(f"{name} (inspect)", folder, ["inspect", path], codes, pattern)
        attempt(f"{name} (prune)", folder, ["prune", path, "--data", folder / "good.npz", "-o", folder / "out.onnx"], codes, pattern)
        attempt(f"{name} (run)", folder, ["run", path, "--data", folder / "good.npz", "-o", folder / "out.npz"], codes, pattern)
        shutil.rmtree(folder)


def try_nodes(scratch):
    """Every operator's node that does not fit it is refused when the model is opened; a few of each kind through the program."""
    tools = Path(harness.FINEPRUNE).resolve().parent / "tests"
    if not tools.exists():
        TALLY.skip("nodes", "the build has no tests")
        return
    listed = subprocess.run([tools / "list_rows"], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [(domain, name, int(since), *texts) for domain, name, since, *texts in (line.split("\t") for line in listed)]
    folder = scratch / "nodes"
    folder.mkdir()
    cases = [case for case in bad_nodes.nodes(rows) if wanted(case[0])]
    paths = [folder / f"{i}.onnx" for i in range(len(cases))]
    for path, (_, node, opset, _) in zip(paths, cases):
        path.write_bytes(bad_nodes.model(node, opset).SerializeToString())
    opened = subprocess.run([tools / "open_models", *paths], capture_output=True, text=True) if cases else None
    lines = opened.stdout.splitlines() if cases else []
    if cases and (opened.returncode or len(lines) != len(cases)):
        TALLY.bad(cases[min(len(lines), len(cases) - 1)][0], f"open_models ended with {opened.returncode}: {opened.stderr[:300]}")
    for line, path, (name, _, _, pattern) in zip(lines, paths, cases):
        status, _, message = line.partition("\t")
        good = status == "3" and re.search(rf"{path.name}.*suspect.*({pattern})", message)
        TALLY.check(name, good, f"status {status}: {message[:300]}")
    for what in sorted({name.rpartition(": ")[2] for name, *_ in cases}):
        name, node, opset, pattern = next(case for case in cases if case[0].endswith(f": {what}"))
        path = save(folder, bad_nodes.model(node, opset))
        for command in (["inspect", path], ["check", path, "--data", "random:1"], ["prune", path, "--data", "random:1", "-o", "o.onnx"],
                        ["run", path, "--data", "random:1", "-o", "o.npz"]):
            attempt(f"{name} ({command[0]})", folder, command, (3,), rf"model\.onnx.*suspect.*({pattern})")
    shutil.rmtree(folder)


# ---- data ---------------------------------------------------------------------------------------------------------------------------


def try_data(scratch):
    for number, (name, make, pattern, codes) in enumerate(DATA):
        if not wanted(name):
            continue
        folder = scratch / f"data{number}"
        folder.mkdir()
        save(folder, tiny())
        options = make(folder)
        attempt(f"{name} (prune)", folder, ["prune", folder / "model.onnx", *options, "-o", folder / "out.onnx"], codes, pattern)
        attempt(f"{name} (run)", folder, ["run", folder / "model.onnx", *options, "-o", folder / "out.npz"], codes, pattern)
        shutil.rmtree(folder)


# ---- statistics ---------------------------------------------------------------------------------------------------------------------


def try_stats(scratch):
    for number, (name, change, pattern) in enumerate(STATS):
        if not wanted(name):
            continue
        folder = scratch / f"stats{number}"
        folder.mkdir()
        model = save(folder, tiny(nodes=[helper.make_node("MatMul", ["x", "w"], ["y"], name="multiply")]))
        np.savez(folder / "good.npz", x=np.random.default_rng(5).standard_normal((6, 4)).astype(np.float32))
        harness.run("score", model, "--data", folder / "good.npz", "-o", folder / "good.stats")
        with np.load(folder / "good.stats") as stats:
            arrays = dict(stats)
        change(arrays)
        with open(folder / "bad.stats", "wb") as stream:
            np.savez(stream, **arrays)
        attempt(f"{name} (apply)", folder, ["apply", model, "--stats", folder / "bad.stats", "-o", folder / "out.onnx"], (4, 7), pattern)
        attempt(f"{name} (merge)", folder, ["merge", folder / "good.stats", folder / "bad.stats", "-o", folder / "both.stats"], (0, 4, 7), ".")
        shutil.rmtree(folder)


# ---- outputs ------------------------------------------------------------------------------------------------------------------------


def good(folder):
    folder.mkdir()
    model = save(folder, tiny())
    np.savez(folder / "good.npz", x=np.random.default_rng(5).standard_normal((20, 4)).astype(np.float32))
    return model, ["prune", model, "--data", folder / "good.npz"]


def try_outputs(scratch):
    def case(name, codes, pattern, prepare, options, **kwargs):
        if not wanted(name):
            return
        folder = scratch / re.sub(r"\W+", "-", name)
        _, command = good(folder)
        prepare(folder)
        attempt(name, folder, [*command, *options(folder)], codes, pattern, **kwargs)
        shutil.rmtree(folder)

    nothing = lambda folder: None
    case("output is the input", (2,), r"model\.onnx", nothing, lambda f: ["-o", f / "model.onnx"])
    case("output is the input, forced", (2,), r"model\.onnx", nothing, lambda f: ["-o", f / "model.onnx", "-f"])
    case("output is the input by another path", (2,), r"model\.onnx", nothing, lambda f: ["-o", f"{f}/../{f.name}/./model.onnx", "-f"])
    case("output is a symbolic link to the input", (2,), r"link\.onnx", lambda f: (f / "link.onnx").symlink_to("model.onnx"),
         lambda f: ["-o", f / "link.onnx", "-f"])
    case("output is a hard link to the input", (2,), r"hard\.onnx", lambda f: os.link(f / "model.onnx", f / "hard.onnx"),
         lambda f: ["-o", f / "hard.onnx", "-f"])
    case("output exists", (2,), r"there\.onnx", lambda f: (f / "there.onnx").write_text("keep me"), lambda f: ["-o", f / "there.onnx"])
    case("output is a folder", (2, 6), r"there", lambda f: (f / "there").mkdir(), lambda f: ["-o", f / "there", "-f"])
    case("output in a missing folder", (6,), r"absent", nothing, lambda f: ["-o", f / "absent" / "out.onnx"])
    case("output below a file", (2, 6), r"model\.onnx", nothing, lambda f: ["-o", f / "model.onnx" / "out.onnx"])
    case("full disk", (6,), r"/dev/full.*(?i:space)", nothing, lambda f: ["-o", "/dev/full", "-f"])
    case("output name too long", (6,), r"(?i:too long)", nothing, lambda f: ["-o", f / ("o" * 300)])
    case("empty output name", (2, 6), r".", nothing, lambda f: ["-o", ""])
    case("no output", (2,), r"-o", nothing, lambda f: [])
    case("a file may not grow", (6,), r"out\.onnx.*(?i:large|space|size)", nothing, lambda f: ["-o", f / "out.onnx"],
         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    case("a sparsity of 170 %", (2,), r"170", nothing, lambda f: ["-o", f / "o.onnx", "-s", "170%"])
    case("a negative sparsity", (2,), r"-0\.5|-s", nothing, lambda f: ["-o", f / "o.onnx", "-s", "-0.5"])
    case("a sparsity that is no number", (2,), r"lots", nothing, lambda f: ["-o", f / "o.onnx", "-s", "lots"])
    case("a sparsity of NaN", (2,), r"(?i:nan)", nothing, lambda f: ["-o", f / "o.onnx", "-s", "nan"])
    case("an unknown method", (2,), r"alchemy", nothing, lambda f: ["-o", f / "o.onnx", "--method", "alchemy"])
    case("an unknown option", (2,), r"--frobnicate", nothing, lambda f: ["-o", f / "o.onnx", "--frobnicate"])
    case("a glob that fits no weight", (2, 3, 4), r"nothing\*", nothing, lambda f: ["-o", f / "o.onnx", "--include", "nothing*"])
    case("memory that does not suffice", (7,), r"(?i:memory)", nothing, lambda f: ["-o", f / "o.onnx", "--max-memory", "1K"])
    case("a gate that fails, discarded", (5,), r"(?i:agreement)", nothing,
         lambda f: ["-o", f / "o.onnx", "-s", "99%", "--method", "magnitude", "--min-agreement", "100%", "--on-fail", "discard"])
    for command in ("run", "score"):
        if wanted(f"{command}: output is the input"):
            folder = scratch / f"{command}-input"
            model, _ = good(folder)
            attempt(f"{command}: output is the input", folder, [command, model, "--data", folder / "good.npz", "-o", model, "-f"],
                    (2,), r"model\.onnx")
            attempt(f"{command}: output is the data", folder,
                    [command, model, "--data", folder / "good.npz", "-o", folder / "good.npz", "-f"], (2,), r"good\.npz")
            attempt(f"{command}: full disk", folder, [command, model, "--data", folder / "good.npz", "-o", "/dev/full", "-f"], (6,),
                    r"/dev/full")
    if wanted("no data"):
        folder = scratch / "no-data"
        model, _ = good(folder)
        attempt("no data", folder, ["prune", model, "-o", folder / "out.onnx"], (2, 4), r"(?s)\bx\b")


def with_external(folder, data="out.onnx.data"):
    """A model whose weight lies in a file that is called as that of the output would be."""
    model = tiny()
    tensor = model.graph.initializer[0]
    (folder / data).write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=data)
    return save(folder, model)


def spellings(folder, name):
    """Other paths to the same file, most of them links that are made here."""
    (folder / "sub").mkdir(exist_ok=True)
    if not (folder / "also").exists():
        (folder / "also").symlink_to(".")
    yield from (name, f"./{name}", f"sub/../{name}", str(folder / name), f"{folder}/../{folder.name}//{name}", f"also/{name}")
    if (folder / name).exists():
        os.link(folder / name, folder / f"hard-{name}")
        (folder / f"soft-{name}").symlink_to(name)
        yield from (f"hard-{name}", f"soft-{name}", f"sub/../soft-{name}")


def try_names(scratch):
    """Outputs that are named as an input, or as each other, in every spelling: nothing is written."""
    if not wanted("names of outputs"):
        return
    for kept in ("model.onnx", "weights.bin", "out.onnx.data", "good.npz"):
        folder = scratch / f"names-{kept}"
        folder.mkdir()
        model = with_external(folder, kept if kept not in ("model.onnx", "good.npz") else "weights.bin")
        np.savez(folder / "good.npz", x=np.random.default_rng(5).standard_normal((20, 4)).astype(np.float32))
        prune = ["prune", model, "--data", folder / "good.npz", "-f"]
        for path in spellings(folder, kept):
            attempt(f"names of outputs: -o {path}", folder, [*prune, "-o", path], (2,), re.escape(path))
            for option in ("--json=", "--report=", "--masks="):
                attempt(f"names of outputs: {option}{path}", folder, [*prune, "-o", "new.onnx", option + path], (2,), re.escape(path))
            attempt(f"names of outputs: run -o {path}", folder, ["run", model, "--data", folder / "good.npz", "-f", "-o", path], (2,), re.escape(path))
            attempt(f"names of outputs: score -o {path}", folder, ["score", model, "--data", folder / "good.npz", "-f", "-o", path], (2,),
                    re.escape(path))
        attempt(f"names of outputs: PATH.data is {kept}", folder, [*prune, "-o", kept.removesuffix(".data")], (2,) if kept.endswith(".data") else (2,),
                re.escape(kept))
        for path in spellings(folder, "new.onnx"):
            for option in ("--json=", "--report=", "--masks="):
                attempt(f"names of outputs: -o new.onnx {option}{path}", folder, [*prune, "-o", "new.onnx", option + path], (2,), "new.onnx")
        shutil.rmtree(folder)


def try_leftovers(scratch):
    """What a killed run has left is removed by the next; what another one still writes is not. A group whose last rename fails leaves all as it was."""
    import fcntl
    if wanted("leftovers"):
        folder = scratch / "leftovers"
        _, command = good(folder)
        gone, held_name, other = (harness.leftover(base, number) for base, number in (("o.onnx", 0), ("o.onnx", 1), ("other.onnx", 0)))
        users = [".o.onnx.1234567-0.part", ".o.onnx.1234567-2-00000000.part", ".o.onnx.part", ".o.onnx.12x-0.part", other.replace("other", "o"),
                 harness.leftover("o.onnx", 3).upper(), harness.leftover("o.onnx", 4) + ".part", harness.leftover("o.onnx", 5)]
        for name in (gone, held_name, other, *users):
            (folder / name).write_text("left")
        os.link(folder / users[-1], folder / "linked")  # what has another name too is none of ours
        with open(folder / held_name, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            ran = harness.run(*command, "-o", folder / "o.onnx")
        left = sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(".part"))
        wants = sorted([held_name, other, *users])
        TALLY.check("leftovers", ran.code == 0 and left == wants, f"exit {ran.code}, left {left}")
    if wanted("standard output"):
        folder = scratch / "stdout"
        _, command = good(folder)
        plain = harness.run(*command, "-o", "-").out
        for name in ("DNNL_VERBOSE", "ONEDNN_VERBOSE"):
            ran = harness.run(*command, "-o", "-", env={name: "2"})
            TALLY.check(f"standard output is the model alone ({name})", ran.code == 0 and ran.out == plain, f"exit {ran.code}, {len(ran.out)} bytes")
    if wanted("modes"):
        folder = scratch / "modes"
        _, command = good(folder)
        ran = harness.run(*command, "-o", folder / "o.onnx", f"--json={folder}/o.json", "--report", folder / "o.html", "--masks", folder / "m.npz")
        harness.run("score", *command[1:], "-o", folder / "s.npz")
        modes = {name: oct((folder / name).stat().st_mode & 0o77) for name in ("o.json", "o.html", "m.npz", "s.npz")} if not ran.code else {}
        TALLY.check("modes of reports, masks and statistics", modes and set(modes.values()) == {"0o0"}, f"{modes} {ran.err[:200]}")


# ---- signals ------------------------------------------------------------------------------------------------------------------------


def try_signals(scratch):
    """A signal in the middle of the work: 130 or 143, and no file."""
    for number, name, code in ((signal.SIGINT, "SIGINT", 130), (signal.SIGTERM, "SIGTERM", 143)):
        if not wanted(name):
            continue
        folder = scratch / name
        model, _ = good(folder)
        # Data on standard input that do not come: the program waits in its middle.
        command = [harness.FINEPRUNE, "prune", model, "--data", "-", "-o", folder / "out.onnx"]
        before = snapshot(folder)
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(1.0 if not harness.SANITIZED else 3.0)
        process.send_signal(number)
        try:
            _, err = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            TALLY.bad(name, "goes on for 20 s after the signal")
            continue
        got = process.returncode
        TALLY.check(name, got == code or got == -number, f"exit {got}, expected {code}: {err[:200]!r}")
        TALLY.check(f"{name} leaves nothing", snapshot(folder) == before, "a file was left behind")


def main():
    with tempfile.TemporaryDirectory(prefix="fineprune-hostile-") as scratch:
        scratch = Path(scratch)
        try_models(scratch)
        try_nodes(scratch)
        try_data(scratch)
        try_stats(scratch)
        try_outputs(scratch)
        try_names(scratch)
        try_leftovers(scratch)
        try_signals(scratch)
    TALLY.finish()


if __name__ == "__main__":
    main()
