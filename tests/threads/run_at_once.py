#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several prunes at once through the library (at_once.c): no data race, and the bytes of one that was alone.

    run_at_once.py AT_ONCE       the program, best of a build with -Db_sanitize=thread
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

GESTURE = harness.ROOT / "samples" / "gesture"
TALLY = harness.Tally("at once")


def main():
    quiet = Path(__file__).with_name("tsan.supp")
    env = {**os.environ, "TSAN_OPTIONS": f"halt_on_error=0:exitcode=66:suppressions={quiet}", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run([sys.argv[1], GESTURE / "gesture.onnx", GESTURE / "local.npz", folder, "30"], env=env, capture_output=True, text=True,
                             errors="replace", timeout=600)
    races = ran.stderr.count("WARNING: ThreadSanitizer")
    TALLY.check("gesture", ran.returncode == 0 and not races, f"exit {ran.returncode}, {races} races: {ran.stderr[:3000]}")
    return TALLY.finish()


if __name__ == "__main__":
    sys.exit(main())
