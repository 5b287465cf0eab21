#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A few commands under valgrind: no invalid access, no use of uninitialised memory that decides, nothing definitely lost."""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

import harness

GESTURE = harness.ROOT / "samples" / "gesture"
SUITE = Path(onnx.__file__).parent / "backend" / "test" / "data"
# One test per kind of work.
CASES = [
    "node/test_conv_with_strides_padding", "node/test_lstm_defaults", "node/test_gemm_all_attributes", "node/test_loop11",
    "node/test_resize_upsample_scales_linear", "node/test_slice",
]


def commands(folder):
    model, data, out = GESTURE / "gesture.onnx", GESTURE / "local.npz", folder / "out.onnx"
    yield "check", ["check", model]
    yield "prune", ["prune", model, "--data", data, "--limit", "8", "--rounds", "1", "-j", "1", "-o", out]
    yield "compare", ["compare", model, model, "--data", data, "--limit", "4", "-j", "1"]
    for case in CASES:
        test = SUITE / case
        if test.exists():
            yield case, ["run", test / "model.onnx", "--data", test / "test_data_set_0", "-j", "1",
                         "-o", folder / f"{test.name}.npz"]
    truncated = folder / "truncated.onnx"
    truncated.write_bytes(model.read_bytes()[:10000])
    yield "truncated model", ["inspect", truncated]


def main():
    tally = harness.Tally("valgrind")
    program = sys.argv[1]
    # The kernels must be ones whose instructions valgrind knows.
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    env.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", ONEDNN_MAX_CPU_ISA="AVX2")
    suppressions = harness.ROOT / "tests" / "valgrind.supp"

    def examine(case):
        name, arguments = case
        ran = subprocess.run(["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
                              "--show-leak-kinds=definite", f"--suppressions={suppressions}", program, *map(str, arguments)],
                             capture_output=True, text=True, env=env, timeout=900, errors="replace")
        findings = re.findall(r"^==\d+==.*$", ran.stderr, re.M)
        return name, ran.returncode in (0, 3, 5) and not findings, \
            f"exit {ran.returncode}: " + "\n".join(findings[:12] or ran.stderr.splitlines()[:3])

    # Most of the time goes into loading oneDNN, so the cases are few, small, and run two at a time.
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        for result in pool.map(examine, commands(Path(folder))):
            tally.check(*result)
    tally.finish()


if __name__ == "__main__":
    main()
