#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the suites of the personalisation benchmark whose models are trained on the spot, and their users.

    made.py [--out FOLDER] [--shared FOLDER] [SUITE...]

A suite becomes a folder with model.onnx and a userNN.npz each: `local` (what the user has, without labels), `test` and
`test_labels` (to measure with), and for some `local_labels` (for the upper reference) and `model` (the file's name, where users
do not share one). Seeds are fixed and one thread trains; another version of torch may find other weights. Needs torch, onnx,
onnxscript, numpy.
"""
import argparse, pathlib, shutil, time
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def suites():
    from suites import pictures, recordings, tasks
    return {"residual": pictures.residual, "sensors": recordings.sensors, "sensors-lstm": recordings.sensors_lstm,
            "words": recordings.words, "topics": tasks.topics,
            "tags": tasks.tags, "landmarks": tasks.landmarks, "autoencoder": tasks.autoencoder,
            "tokens": tasks.tokens, "tokens-squeezed": tasks.tokens_squeezed, "faces": tasks.faces}


def make(build, folder, options):
    """The folder appears when all of it is there."""
    import torch
    torch.set_num_threads(1)
    torch.manual_seed(5)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for k, user in enumerate(build(part, options)):
        np.savez(part / f"user{k + 1:02}.npz", **user)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/made")
    p.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared/bench", help="folder of digits and activity")
    p.add_argument("suite", nargs="*", help="all when none is named")
    options = p.parse_args()
    known = suites()
    for name in options.suite or known:
        start = time.process_time()
        make(known[name], options.out / name, options)
        print(f"{name}: {time.process_time() - start:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
