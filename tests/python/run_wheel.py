#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The wheel as a user gets it: built, installed beside NumPy into a virtual environment that knows nothing else, used from Python and from
the command line, with the bytes of the program that it was made of.

    run_wheel.py BUILD
"""
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import harness  # noqa: E402

TALLY = harness.Tally("wheel")
BUILD = Path(sys.argv[1]).resolve()
MODEL, LOCAL = (ROOT / "samples/gesture" / name for name in ("gesture.onnx", "local.npz"))
MOST = 40e6  # bytes
USE = """
import sys, time
import numpy
start = time.perf_counter()
import fineprune
assert time.perf_counter() - start < 1, time.perf_counter() - start
assert not {"onnx", "torch", "onnxruntime"} & set(sys.modules)
with numpy.load(sys.argv[2]) as file:
    made = fineprune.prune(sys.argv[1], dict(file), 0.6)
made.save(sys.argv[3])
"""


def run(*command, env=None):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env)
    return done.returncode, (done.stdout + done.stderr)[-1500:]


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        code, said = run(ROOT / "python/wheel.sh", BUILD, folder)
        wheels = list(folder.glob("*.whl"))
        if not TALLY.check("it is built", not code and len(wheels) == 1, said):
            TALLY.finish()
        TALLY.check("its size", wheels[0].stat().st_size <= MOST, wheels[0].stat().st_size)
        TALLY.check("its name", "py3-none-manylinux" in wheels[0].name, wheels[0].name)
        code, said = run(sys.executable, "-m", "venv", folder / "venv")
        if not code:
            code, said = run(folder / "venv/bin/pip", "install", "-q", wheels[0])
        if not TALLY.check("it is installed", not code, said):
            TALLY.finish()
        bytes_of = {}
        for name, command in {"as it was built": [BUILD / "fineprune"], "of the wheel": [folder / "venv/bin/fineprune"],
                              "as a module": [folder / "venv/bin/python", "-m", "fineprune"]}.items():
            out = folder / "out.onnx"
            code, said = run(*command, "prune", MODEL, "--data", LOCAL, "-s", "60%", "-o", out, "-f", "-q", env={})
            TALLY.check(f"the program {name}", not code, said)
            bytes_of[name] = out.read_bytes() if not code else None
        (folder / "use.py").write_text(USE)
        code, said = run(folder / "venv/bin/python", folder / "use.py", MODEL, LOCAL, folder / "python.onnx", env={})
        TALLY.check("from Python", not code, said)
        bytes_of["from Python"] = (folder / "python.onnx").read_bytes() if not code else None
        TALLY.check("all have the same bytes", len(set(bytes_of.values())) == 1, [name for name in bytes_of])
    TALLY.finish()


if __name__ == "__main__":
    main()
