#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--target: random networks of coupled channels (run_compact.py), residual streams, depthwise, squeeze-and-excite and gated ones among them, lose
half of their multiply-adds. The result passes onnx.checker, ONNX Runtime gives what 'run' gives, and the counts are those of count_macs.py.

    run_target.py [NUMBER OF NETWORKS]
"""
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from count_macs import count  # noqa: E402
from run_compact import SIZE, Made, answers, plainly  # noqa: E402

TALLY = harness.Tally("target")
SAMPLES = 40


class Coupled(Made):
    """The same, with a stage of residual blocks behind the first layers."""

    def squeeze(self, x, channels):
        y = self.node("GlobalAveragePool", [x])
        y = self.node("Relu", [self.conv(y, channels, 8, kernel=1)])
        return self.node("Mul", [x, self.node("Sigmoid", [self.conv(y, 8, channels, kernel=1)])])

    def inverted(self, x, channels):
        """Expand, filter, squeeze-and-excite, project, add."""
        inner = 2 * channels
        y = self.node("Relu", [self.conv(x, channels, inner, kernel=1)])
        w = self.const(self.values(inner, 1, 3, 3))
        y = self.node("Clip", [self.node("Conv", [y, w], pads=[1] * 4, group=inner), self.const(0.0), self.const(6.0)])
        if self.rng.random() < 0.5:
            y = self.squeeze(y, inner)
        return self.node("Add", [x, self.conv(y, inner, channels, kernel=1)])

    def basic(self, x, channels):
        y = self.node("BatchNormalization", [self.conv(x, channels, channels), *(self.const(abs(self.values(channels)) + 0.1) for _ in range(4))])
        y = self.conv(self.node("Relu", [y]), channels, channels)
        return self.node("Relu", [self.node("Add", [y, x])])

    def block(self, x, n_in, dead_in):
        channels = int(self.rng.choice([16, 24, 32]))
        y = self.between(self.conv(x, n_in, channels, dead_in), channels)
        for _ in range(self.rng.integers(1, 3)):
            y = self.inverted(y, channels) if self.rng.random() < 0.5 else self.basic(y, channels)
        return y, channels, np.zeros(channels, bool)


def check(seed, folder):
    made = Coupled(seed)
    model, multiple = made.model(), [4, 8][seed % 2]
    before, after, report = folder / f"{seed}.onnx", folder / f"{seed}small.onnx", folder / f"{seed}.json"
    before.write_bytes(model.SerializeToString())
    x = np.random.default_rng(seed).standard_normal((SAMPLES, 3, SIZE, SIZE)).astype(np.float32)
    np.savez(folder / "x.npz", x=x)
    for multiple in (multiple, 1):  # groups of eight that go by eights cannot halve
        ran = harness.run("prune", before, "--data", folder / "x.npz", "--target", "macs=50%", "--task", "other", "--strict-sparsity", "-o", after,
                          "--round", multiple, f"--json={report}", "-q", "-f")
        if ran.code != 5 or "out of reach" not in ran.err or "in the way" not in ran.err:
            break
    if ran.code:
        return [f"exit {ran.code}: {ran.first_line()}"]
    told, small, faults = json.loads(report.read_text()), onnx.load(after), []
    onnx.checker.check_model(small, full_check=True)
    dense, now = count(model, {"x": x[:1]})[0], count(small, {"x": x[:1]})[0]
    if (told["macs"]["dense"], told["macs"]["compact"]) != (dense, now):
        faults.append(f"{told['macs']} instead of {dense} and {now}")
    if now > dense / 2 or not told["target"]["met"]:
        faults.append(f"{now} of {dense} stay")
    if now > told["target"]["reached"] * dense * (1 + 1e-8):
        faults.append(f"{now / dense} stay, {told['target']['reached']} were promised")
    ran = harness.run("run", after, "--data", folder / "x.npz", "-o", folder / "y.npz", "-f", "-q")
    ours, theirs = next(iter(np.load(folder / "y.npz").values())), answers(small, x)
    # Values that grow from layer to layer round differently in another order: by as much as ONNX Runtime's own optimizations change them.
    allowed = max(5e-4 * max(np.abs(theirs).max(), 1), 3 * np.abs(theirs - plainly(small, x)).max())
    if ran.code or np.abs(ours - theirs).max() > allowed:
        faults.append(f"ONNX Runtime differs by {np.abs(ours - theirs).max():g} of {np.abs(theirs).max():g}")
    return faults


def check_out_of_reach(folder):
    """Refused, no file, with the share that can be reached; kept when that is asked for."""
    model = Coupled(0).model()
    before, after, report = folder / "far.onnx", folder / "far_small.onnx", folder / "far.json"
    before.write_bytes(model.SerializeToString())
    np.savez(folder / "x.npz", x=np.random.default_rng(0).standard_normal((SAMPLES, 3, SIZE, SIZE)).astype(np.float32))
    options = ("prune", before, "--data", folder / "x.npz", "--target", "macs=0.001", "--task", "other", "--strict-sparsity", "-o", after)
    ran = harness.run(*options, "-q")
    TALLY.check("out of reach", ran.code == 5 and not after.exists() and "out of reach" in ran.err and "in the way" in ran.err, ran.err)
    ran = harness.run(*options, "--on-fail", "keep", f"--json={report}", "-q")
    told = json.loads(report.read_text())
    reached = count(onnx.load(after), {"x": np.zeros((1, 3, SIZE, SIZE), np.float32)})[0] / told["macs"]["dense"]
    TALLY.check("kept", ran.code == 5 and not told["target"]["met"] and abs(reached - told["target"]["reached"]) < 1e-9, f"{reached} {told['target']}")


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(number):
            faults = check(seed, Path(folder))
            TALLY.check(f"network {seed}", not faults, "; ".join(faults))
        check_out_of_reach(Path(folder))
    TALLY.finish()


if __name__ == "__main__":
    main()
