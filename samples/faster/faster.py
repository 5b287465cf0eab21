#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From a model to a faster one: fineprune takes channels out until a share of the multiply-adds stays, ONNX Runtime quantizes the rest to int8 with the
same samples, and the three models are timed in turn.

    faster.py MODEL --data LOCAL.npz -o FOLDER [--test TEST.npz --labels LABELS.npy] [--macs 0.5] [--batch 1] [--program fineprune]

Needs onnxruntime, onnx and numpy. Writes FOLDER/compact.onnx, FOLDER/int8.onnx and FOLDER/faster.json.
"""
import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

CALIBRATION = 200  # samples that the ranges of the activations come from
SECONDS = 6  # of timing, in all


class Samples(CalibrationDataReader):
    """One sample after the other, evenly spread."""

    def __init__(self, arrays):
        n = len(next(iter(arrays.values())))
        chosen = np.unique(np.linspace(0, n - 1, min(n, CALIBRATION)).astype(int))
        self.feeds = iter([{name: array[i:i + 1] for name, array in arrays.items()} for i in chosen])

    def get_next(self):
        return next(self.feeds, None)


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def prune(program, model, data, macs, out):
    line = [program, "prune", model, "--data", data, "--target", f"macs={macs}", "-o", out, "-f", "--json"]
    ran = subprocess.run([str(word) for word in line], stdout=subprocess.PIPE, check=False)
    if ran.returncode:
        sys.exit(ran.returncode)
    return json.loads(ran.stdout)


def quantize(model, arrays, out):
    prepared = out.with_name("prepared.onnx")
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(out), Samples(arrays), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, extra_options={"CalibMovingAverage": True})
    prepared.unlink()


def milliseconds(sessions, feed):
    """Medians of runs in turn, so that what else the machine does hits all alike."""
    taken, end = [[] for _ in sessions], time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(taken[-1]) < 20:
        for one, times in zip(sessions, taken):
            started = time.perf_counter()
            one.run(None, feed)
            times.append(time.perf_counter() - started)
    return [1e3 * float(np.median(times)) for times in taken]


def accuracy(one, arrays, labels):
    answers = [one.run(None, {name: array[i:i + 1] for name, array in arrays.items()})[0].reshape(-1).argmax() for i in range(len(labels))]
    return float(np.mean(np.array(answers) == labels))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a .npz with the model's inputs by name")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a folder")
    parser.add_argument("--test", type=Path, help="a .npz of other samples")
    parser.add_argument("--labels", type=Path, help="a .npy of their classes")
    parser.add_argument("--macs", type=float, default=0.5, help="the share of the multiply-adds that stays")
    parser.add_argument("--batch", type=int, default=1, help="samples in a timed run")
    parser.add_argument("--program", default="fineprune")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    compact, int8 = options.out / "compact.onnx", options.out / "int8.onnx"
    report = prune(options.program, options.model, options.data, options.macs, compact)
    arrays = dict(np.load(options.data))
    quantize(compact, arrays, int8)
    paths = [options.model, compact, int8]
    sessions = [session(path) for path in paths]
    times = milliseconds(sessions, {name: array[:options.batch] for name, array in arrays.items()})
    rows = [{"model": name, "milliseconds": took, "times_as_fast": times[0] / took, "bytes": path.stat().st_size}
            for name, path, took in zip(("dense", "compact", "int8"), paths, times)]
    if options.test and options.labels:
        test, labels = dict(np.load(options.test)), np.load(options.labels)
        for row, one in zip(rows, sessions):
            row["accuracy"] = accuracy(one, test, labels)
    print(f"{'':8} {'ms':>8} {'faster':>8} {'kB':>8} {'accuracy':>9}")
    for row in rows:
        right = f"{row['accuracy']:9.3f}" if "accuracy" in row else f"{'-':>9}"
        print(f"{row['model']:8} {row['milliseconds']:8.3f} {row['times_as_fast']:7.2f}x {row['bytes'] / 1e3:8.1f} {right}")
    told = {"multiply_adds": report["macs"]["compact"] / report["macs"]["dense"], "batch": options.batch, "models": rows}
    (options.out / "faster.json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
