#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Multiply-adds are those that the shapes of ONNX Runtime's run give: of every network of models.py, in all and layer by layer."""
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from count_macs import count  # noqa: E402
from models import MODELS  # noqa: E402

TALLY = harness.Tally("multiply-adds")
BODIES = {"If", "Loop", "Scan"}


def sees_all(model):
    """Whether the count above knows all that multiplies."""
    return not model.functions and not any(n.op_type in BODIES or n.domain not in ("", "ai.onnx") for n in model.graph.node)


def check(name, folder):
    model, data = MODELS[name]()
    if not sees_all(model):
        return None
    path, samples, report = folder / f"{name}.onnx", folder / f"{name}.npz", folder / f"{name}.json"
    path.write_bytes(model.SerializeToString())
    np.savez(samples, **data)
    ran = harness.run("prune", path, "--data", samples, "--method", "magnitude", "-s", "0", "--dry-run", f"--json={report}", "-f", "-q")
    if "no weight that can be pruned" in ran.err:
        return None
    if ran.code:
        return f"exit {ran.code}: {ran.first_line()}"
    told = json.loads(report.read_text())
    moved = {i.name: i.type.tensor_type.shape.dim for i in model.graph.input}
    sample = {k: v[:1] if len(moved[k]) == v.ndim else v[0] for k, v in data.items()}
    total, own = count(model, sample)
    if told["macs"].get("dense") != total:
        return f"{told['macs']} instead of {total}"
    for layer in told["layers"]:
        expected = own.get(layer["node"])
        if isinstance(expected, dict) or expected is None or layer.get("part"):
            continue  # by the sum of all
        if sum(1 for other in told["layers"] if other["name"] == layer["name"]) == 1 and layer.get("macs", 0) % max(expected, 1):
            return f"{layer['name']}: {layer.get('macs')} instead of {expected}"
    return ""


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            fault = check(name, Path(folder))
            if fault is not None:
                TALLY.check(name, not fault, fault)
    TALLY.finish()


if __name__ == "__main__":
    main()
