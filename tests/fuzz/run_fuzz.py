#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A corpus of sound files, and files that once did harm (found/), through tests/fuzz/fuzz.c: replayed, then mutated.

    run_fuzz.py FUZZ [--seconds 30] [--seed 1] [TARGET...]      FUZZ: the program, best of a build with sanitizers

An input that ends it is kept as found-TARGET-NUMBER.EXT in the working folder.
"""
import argparse
import concurrent.futures
import io
import shutil
import struct
import subprocess
import sys
import tempfile
import wave
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

TALLY = harness.Tally("fuzz")
RNG = np.random.default_rng(6)
MODELS = 150     # of ONNX's node models, for the targets that take a model


def weight(name, *shape):
    return numpy_helper.from_array(RNG.standard_normal(shape).astype(np.float32) / 4, name)


def model(nodes, entry, stored, opset=17):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, entry)
    graph = helper.make_graph(nodes, "g", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def pictures():
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"]), helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("GlobalAveragePool", ["r"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
             helper.make_node("Gemm", ["f", "v", "d"], ["y"])]
    return model(nodes, ["n", 3, 8, 8], [weight("w", 6, 3, 3, 3), weight("b", 6), weight("v", 6, 4), weight("d", 4)])


def vectors(width):
    return model([helper.make_node("Gemm", ["x", "w", "b"], ["y"])], ["n", width], [weight("w", width, 4), weight("b", 4)])


def conditions():
    """A Loop with an If in it, a function's call aside: graphs within graphs."""
    branch = lambda name, op: helper.make_graph([helper.make_node(op, ["a"], [name])], name, [],
                                                [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
    body = helper.make_graph(
        [helper.make_node("If", ["go"], ["z"], then_branch=branch("t", "Relu"), else_branch=branch("e", "Neg")),
         helper.make_node("Identity", ["go"], ["on"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
    stored = [numpy_helper.from_array(np.array(3, np.int64), "trips"), numpy_helper.from_array(np.array(True), "yes"), weight("w", 5, 4)]
    return model([helper.make_node("Loop", ["trips", "yes", "x"], ["l"], body=body), helper.make_node("MatMul", ["l", "w"], ["y"])],
                 ["n", 5], stored)


def recurrent():
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["s", "h"], hidden_size=4), helper.make_node("Squeeze", ["h", "zero"], ["q"]),
             helper.make_node("MatMul", ["q", "v"], ["y"])]
    return model(nodes, [3, "n", 5], [weight("w", 1, 16, 5), weight("r", 1, 16, 4), weight("b", 1, 32), weight("v", 4, 3),
                                      numpy_helper.from_array(np.array([0], np.int64), "zero")])


def png(pixels, colour=2, bits=8):
    part = lambda kind, content: struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def bitmap(bits):
    """Eight by eight pixels, of a palette below 24 bits."""
    colours = RNG.integers(0, 256, (2 ** bits if bits < 24 else 0, 4), np.uint8).tobytes()
    rows, at = RNG.integers(0, 256, 8 * bits, np.uint8).tobytes(), 54 + len(colours)
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", at + len(rows), 0, at, 40, 8, -8, 1, bits, 0, len(rows), 0, 0, 0, 0) + colours + rows


def recording(channels, width):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels), file.setsampwidth(width), file.setframerate(8000)
        file.writeframes(RNG.integers(0, 256, 64 * channels * width, np.uint8).tobytes())
    return out.getvalue()


def arrays(folder):
    x = RNG.standard_normal((5, 6)).astype(np.float32)
    np.savez(folder / "a.npz", x=x)
    np.savez_compressed(folder / "b.npz", x=x.astype(np.float64), y=x[:2])
    np.save(folder / "c.npy", np.asfortranarray(x))
    np.save(folder / "d.npy", x.astype(">f8"))


def models(folder):
    made = {"pictures": pictures(), "vectors": vectors(6), "conditions": conditions(), "recurrent": recurrent()}
    for name, proto in made.items():
        (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())
    nodes = sorted((Path(onnx.__file__).parent / "backend/test/data/node").glob("*/model.onnx"))
    small = [p for p in nodes if p.stat().st_size < 4000]
    for path in small[::max(1, len(small) // MODELS)]:
        shutil.copy(path, folder / f"{path.parent.name}.onnx")


def statistics(folder):
    (folder / "../fixed.onnx").write_bytes(vectors(6).SerializeToString())
    np.savez(folder / "../some.npz", x=RNG.standard_normal((40, 6)).astype(np.float32))
    for name, more in (("a", []), ("b", ["--limit", "7"])):
        ran = harness.run("score", folder / "../fixed.onnx", "--data", folder / "../some.npz", "-o", folder / f"{name}.stats", *more)
        assert ran.code == 0, ran.err


PREPARATIONS = {
    "ours": '{"resize": 8, "crop": [8, 8], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "layout": "nchw", "color": "bgr"}',
    "hf": '{"do_resize": true, "size": {"shortest_edge": 8}, "resample": 3, "do_center_crop": true, "crop_size": 8, "do_rescale": true,'
          ' "rescale_factor": 0.0039, "do_normalize": true, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}',
    "timm": '{"pretrained_cfg": {"input_size": [3, 8, 8], "interpolation": "bicubic", "crop_pct": 0.9, "mean": [0, 0, 0], "std": [1, 1, 1]}}',
}


def corpus(target, folder):
    """The files to start from; fixed.onnx beside the folder is the model that they are for."""
    folder.mkdir(parents=True)
    fixed = {"image": pictures, "preparation": pictures, "sound": lambda: vectors(50)}.get(target, lambda: vectors(6))
    (folder / "../fixed.onnx").write_bytes(fixed().SerializeToString())
    pixels = RNG.integers(0, 256, (9, 8, 3), np.uint8)
    if target in ("model", "prune"):
        models(folder)
    elif target == "array":
        arrays(folder)
    elif target == "tensor":
        (folder / "a.pb").write_bytes(numpy_helper.from_array(RNG.standard_normal((1, 6)).astype(np.float32), "x").SerializeToString())
        (folder / "b.pb").write_bytes(helper.make_tensor("x", TensorProto.FLOAT, [1, 6], [1.] * 6).SerializeToString())
        (folder / "c.pb").write_bytes(helper.make_tensor("x", TensorProto.FLOAT16, [1, 6], [1.] * 6).SerializeToString())
    elif target == "image":
        (folder / "a.png").write_bytes(png(pixels))
        (folder / "b.png").write_bytes(png(pixels[..., :1], colour=0))
        (folder / "c.png").write_bytes(png(RNG.integers(0, 256, (8, 8, 8), np.uint8), colour=6, bits=16))
        shutil.copy(Path(__file__).with_name("small.jpg"), folder / "d.jpg")
        shutil.copy(Path(__file__).with_name("progressive.jpg"), folder / "e.jpg")
        for i, name in enumerate(("turned.jpg", "small.webp", "small.gif", "small.tif")):
            shutil.copy(Path(__file__).with_name(name), folder / f"f{i}{Path(name).suffix}")
        for bits in (4, 8, 32):
            (folder / f"g{bits}.bmp").write_bytes(bitmap(bits))
    elif target == "sound":
        for k, (channels, width) in enumerate(((1, 2), (2, 1), (1, 3))):
            (folder / f"{k}.wav").write_bytes(recording(channels, width))
    elif target == "preparation":
        (folder / "../fixed.onnx.png").write_bytes(png(pixels))
        for name, text in PREPARATIONS.items():
            (folder / f"{name}.json").write_text(text)
    else:
        statistics(folder)
    for path in sorted((Path(__file__).parent / "found").glob(f"{target}-*")):
        shutil.copy(path, folder / path.name)
    return sorted(folder.iterdir())


def fuzz(options, target):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        scratch = Path(scratch)
        files = corpus(target, scratch / "corpus")
        ran = subprocess.run([options.program, target, str(options.seconds), str(options.seed), scratch, scratch / "fixed.onnx", *files],
                             capture_output=True, text=True, errors="replace", timeout=options.seconds + 600)
        if ran.returncode == 0:
            return target, None, ran.stdout.strip().splitlines()[-1]
        kept = []
        for path in scratch.glob("input*"):
            number = 1
            while (keep := Path(f"found-{target}-{number}{path.suffix}")).exists():
                number += 1
            if path.stat().st_mtime == max(p.stat().st_mtime for p in scratch.glob("input*")):
                shutil.copy(path, keep)
                kept.append(str(keep))
        return target, f"exit {ran.returncode}, input kept as {kept}: {ran.stderr[:1500]}", ""


TARGETS = ["prune", "model", "image", "statistics", "array", "sound", "preparation", "tensor"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("--seconds", type=int, default=30)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("target", nargs="*", default=TARGETS)
    options = p.parse_intermixed_args()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for target, wrong, said in pool.map(lambda t: fuzz(options, t), options.target):
            if wrong:
                TALLY.bad(target, wrong)
            else:
                print(f"fuzz: {said}", flush=True)
                TALLY.ok(target)
    return TALLY.finish()


if __name__ == "__main__":
    sys.exit(main())
