#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Input that would take for ever, or all memory: --timeout T ends within T + 1 s, --max-memory M keeps to M + 64 MiB, the first signal ends the
process within 2.5 s and the second at once, what is no regular file is not waited for, and what a header claims is not believed."""
import io
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import wave
import zipfile
import zlib
from pathlib import Path

import numpy as np
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from bad_data import png_chunk  # noqa: E402
from bad_models import save, tiny  # noqa: E402

TALLY = harness.Tally("limits")
ONLY = sys.argv[1] if len(sys.argv) > 1 else ""
LATE = 1.0 if not harness.SANITIZED else 20.0
MIB = 1 << 20


def wanted(name):
    return ONLY in name


# ---- models ---------------------------------------------------------------------------------------------------------------------------


def loop_model(trips, scan=False, nodes=1):
    """x -> Loop of so many trips -> y; scan: each trip gives a row too."""
    body = [helper.make_node("Identity", ["more"], ["go"])]
    body += [helper.make_node("Relu", ["state" if i == 0 else f"s{i}"], [f"s{i + 1}"]) for i in range(nodes)]
    outputs = [helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info(f"s{nodes}", TensorProto.FLOAT, ["N", 3])]
    if scan:
        body.append(helper.make_node("Neg", ["state"], ["row"]))
        outputs.append(helper.make_tensor_value_info("row", TensorProto.FLOAT, ["N", 3]))
    inputs = [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("more", TensorProto.BOOL, []),
              helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", 3])]
    graph = helper.make_graph(body, "body", inputs, outputs)
    loop = helper.make_node("Loop", ["trips", "", "h"], ["y", "rows"][:1 + scan], name="endless", body=graph)
    weights = [numpy_helper.from_array(np.ones((4, 3), np.float32), "w"), numpy_helper.from_array(np.array(trips), "trips")]
    ends = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])]
    if scan:
        ends.append(helper.make_tensor_value_info("rows", TensorProto.FLOAT, None))
    return tiny([helper.make_node("MatMul", ["x", "w"], ["h"]), loop], weights, outputs=ends)


def many_calls(levels):
    """2^levels calls from a file of `levels` functions."""
    model = tiny([helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("f0", ["h"], ["y"], domain="own", name="calls")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for i in range(levels):
        inner, domain = ("Relu", "") if i == levels - 1 else (f"f{i + 1}", "own")
        body = [helper.make_node(inner, ["a"], ["b"], domain=domain), helper.make_node(inner, ["b"], ["c"], domain=domain)]
        model.functions.append(helper.make_function("own", f"f{i}", ["a"], ["c"], body, imports))
    return model


def timed(name, arguments, seconds, codes=(7,), memory=None, pattern=None, **kwargs):
    if not wanted(name):
        return
    ran = harness.run(*arguments, timeout=seconds + 60, **kwargs)
    why = None
    if ran.code not in codes:
        why = f"exit {ran.code}, expected {codes}: {ran.err[:300]}"
    elif (ran.seconds if "--timeout" in arguments else ran.cpu) > seconds + LATE:
        why = f"took {ran.seconds:.1f} s, {ran.cpu:.1f} of the processor"
    elif memory and not harness.SANITIZED and ran.rss > memory + 64 * MIB:
        why = f"took {ran.rss / MIB:.0f} MiB of {memory / MIB:.0f}"
    elif pattern and pattern not in ran.err:
        why = f"the message does not name {pattern}: {ran.err[:300]}"
    TALLY.check(name, not why, why)


def signalled(name, arguments, numbers, code, seconds, folder):
    if not wanted(name):
        return
    process = subprocess.Popen(list(map(str, [harness.FINEPRUNE, *arguments])), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    time.sleep(1.5)
    start = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
    took = time.monotonic() - start
    left = [p.name for p in folder.iterdir() if p.name.endswith(".part")]
    TALLY.check(name, process.returncode == code and took < seconds + LATE and not left, f"exit {process.returncode} after {took:.1f} s, left {left}")


def models(folder):
    endless = folder / "endless.onnx"
    endless.write_bytes(loop_model(1 << 62).SerializeToString())
    rows = folder / "rows.onnx"
    rows.write_bytes(loop_model(1 << 62, scan=True).SerializeToString())
    data = ["--data", "random:1"]
    timed("endless loop, --timeout", ["run", endless, *data, "-o", folder / "o.npz", "--timeout", "2"], 2, pattern="not done")
    timed("endless loop in a prune, --timeout", ["prune", endless, *data, "-o", folder / "o.onnx", "--timeout", "2"], 2)
    timed("rows without end, --max-memory", ["run", rows, *data, "-o", folder / "o.npz", "--max-memory", "100M"], 30, memory=100 * MIB)
    calls = folder / "calls.onnx"
    for levels in (18, 30):
        calls.write_bytes(many_calls(levels).SerializeToString())
        timed(f"2^{levels} calls", ["inspect", calls], 2, (3, 7), memory=192 * MIB, pattern="expanded")
    run = ["run", endless, *data, "-o", folder / "o.npz"]
    signalled("SIGTERM in a loop", run, [signal.SIGTERM], 143, 2.5, folder)
    signalled("SIGTERM twice", run, [signal.SIGTERM, signal.SIGTERM], 143, 0.5, folder)
    plain = save(folder, tiny())
    timed("--threads 100000", ["run", plain, *data, "-o", folder / "threads.npz", "--threads", "100000"], 5, (0,))


# ---- pictures and sound -----------------------------------------------------------------------------------------------------------------


def segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def scans(side, n):
    """A progressive grey JPEG of zeros: a first scan of the means, and n that refine them, with a bit for each block."""
    bits = bytes(side * side // 64 // 8)
    first = segment(0xda, bytes([1, 1, 0, 0, 0, 0x01])) + bits
    refine = segment(0xda, bytes([1, 1, 0, 0, 0, 0x10])) + bits
    return b"\xff\xd8" + segment(0xdb, bytes([0]) + bytes([1] * 64)) + segment(0xc2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])) + \
        segment(0xc4, bytes([0, 1] + [0] * 15 + [0])) + first + refine * n + b"\xff\xd9"


def texts(n):
    """A PNG with n compressed texts of 8 MB."""
    text = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(8 << 20)))
    picture = zlib.compress(b"".join(b"\0" + bytes(3 * 32) for _ in range(32)))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) + text * n + png_chunk(b"IDAT", picture) + \
        png_chunk(b"IEND", b"")


def flac(frames):
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + struct.pack(">Q", 16000 << 44 | 15 << 36 | frames) + bytes(16)
    return b"fLaC\x80" + struct.pack(">I", len(info))[1:] + info


def sounds(frames, there):
    """Headers that claim so many frames of 16 bits, of which some are there."""
    size, body = 2 * frames, np.arange(there, dtype=np.int16)
    little, big = body.astype("<i2").tobytes(), body.astype(">i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
    rate = struct.pack(">hQ", 16383 + 13, 16000 << 50)
    guid = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    comm = struct.pack(">hIh", 1, frames, 16) + rate
    return {
        "wav": b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + little,
        "au": b".snd" + struct.pack(">IIIII", 24, size, 3, 16000, 1) + big,
        "aiff": b"FORM" + struct.pack(">I", 46 + size) + b"AIFFCOMM" + struct.pack(">I", len(comm)) + comm + b"SSND" +
                struct.pack(">III", 8 + size, 0, 0) + big,
        "w64": b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 104 + size) + b"wave" + guid + b"fmt " + guid +
               struct.pack("<Q", 40) + form + b"data" + guid + struct.pack("<Q", 24 + size) + little,
    }


def picture_model(folder):
    path = folder / "picture.onnx"
    path.write_bytes(tiny([helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
                           helper.make_node("MatMul", ["f", "w"], ["y"])], [numpy_helper.from_array(np.ones((3, 3), np.float32), "w")],
                          [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 32, 32])]).SerializeToString())
    return path


def media(folder):
    picture = picture_model(folder)
    shots = folder / "shots"
    shots.mkdir()
    for name, content, codes in (("scans.jpg", scans(2048, 400), (4,)), ("few scans.jpg", scans(2048, 20), (0,)), ("texts.png", texts(200), (0, 4, 7))):
        for old in shots.iterdir():
            old.unlink()
        (shots / name).write_bytes(content)
        timed(name, ["run", picture, "--data", shots, "--resize", "32", "--mean", "0.5", "--std", "0.5", "-o", folder / f"{name}.npz", "--timeout", "5", "--max-memory", "150M"], 5, codes,
              memory=150 * MIB)
    wave = folder / "wave.onnx"
    wave.write_bytes(tiny([helper.make_node("MatMul", ["x", "w"], ["y"])], [numpy_helper.from_array(np.ones((16, 3), np.float32), "w")],
                          [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 16])]).SerializeToString())
    run = ["run", wave, "--rate", "16000", "-o"]
    for frames in ((1 << 28) - 1, 1 << 28):
        (folder / "claims.flac").write_bytes(flac(frames))
        timed(f"a FLAC that claims {frames} frames", [*run, folder / "f.npz", "--data", folder / "claims.flac"], 2, (4,), memory=150 * MIB)
    for kind, content in sounds(8000, 8000).items():
        (folder / f"whole.{kind}").write_bytes(content)
        timed(f"a whole {kind}", [*run, folder / f"{kind}.npz", "--data", folder / f"whole.{kind}"], 2, (0,))
    for kind, content in sounds(8000, 4000).items():
        (folder / f"cut.{kind}").write_bytes(content)
        timed(f"a cut {kind}", [*run, folder / f"c-{kind}.npz", "--data", folder / f"cut.{kind}"], 2, (4,), pattern=f"cut.{kind}")


# ---- archives ---------------------------------------------------------------------------------------------------------------------------


def npy_header(rows, columns, by_columns):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": by_columns, "shape": (rows, columns)})
    return header.getvalue()


def bomb(path, mib, by_columns=False):
    """x of [N, 4], so many MiB of 1.5 and zeros, deflated once and repeated. Above 4 GiB it needs what zip64 is for."""
    part = np.zeros(MIB // 4, np.float32)
    part[::1000] = 1.5
    header, crc = npy_header(mib * MIB // 16, 4, by_columns), 0
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = deflate.compress(header) + deflate.flush(zlib.Z_FULL_FLUSH)
    again = deflate.compress(part.tobytes()) + deflate.flush(zlib.Z_FULL_FLUSH)
    packed, whole = len(first) + mib * len(again) + 2, len(header) + mib * MIB
    for piece in (header, *[part] * mib):
        crc = zlib.crc32(piece, crc)
    sizes = struct.pack("<HHQQ", 1, 16, whole, packed)
    fixed = struct.pack("<HHHHHIIIHH", 45, 0, 8, 0, 33, crc, 0xffffffff, 0xffffffff, 5, len(sizes))
    with path.open("wb") as file:
        file.write(b"PK\3\4" + fixed + b"x.npy" + sizes + first)
        for _ in range(mib):
            file.write(again)
        file.write(b"\3\0")
        at = file.tell()
        file.write(b"PK\1\2" + struct.pack("<H", 45) + fixed + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"x.npy" + sizes)
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, file.tell() - at, at, 0))


def archives(folder):
    """More than there is room or time for in few bytes, or without an end. A limit makes it as little as it takes."""
    model, small, columns, large = save(folder, tiny()), folder / "small.npz", folder / "columns.npz", folder / "large.npz"
    if not wanted("archive"):
        return
    bomb(small, 600)
    bomb(columns, 600, by_columns=True)
    bomb(large, 600 if harness.SANITIZED else 4200)
    run = ["run", model, "-o", folder / "o.npz", "-f"]
    few, room = ["--limit", "10"], ["--max-memory", "96M"]
    silent = folder / "silent"
    os.mkfifo(silent)
    endless = {"preexec_fn": lambda: os.dup2(os.open("/dev/zero", os.O_RDONLY), 0)}
    timed("an archive of 600 MB, --max-memory", [*run, "--data", small, *room], 10, memory=96 * MIB, pattern="--max-memory")
    timed("an archive of 600 MB, --timeout", [*run, "--data", small, "--timeout", "0.2s"], 1, (0, 7))
    timed("an archive of 4 GB, --limit and --timeout", [*run, "--data", large, *few, "--timeout", "0.5s"], 1, (0, 7))
    timed("an archive of 4 GB, --limit", [*run, "--data", large, *few, *room], 60, (0,), memory=96 * MIB)
    timed("an archive of columns, --limit", [*run, "--data", columns, *few, *room], 20, (0,), memory=96 * MIB)
    timed("an archive of 600 MB, a limit above all there is", [*run, "--data", small, "--limit", "100000000", *room], 20, memory=96 * MIB,
          pattern="--max-memory")
    for limit, codes in (([], (7,)), (few, (0,))):
        timed(f"an archive on standard input, --max-memory {' '.join(limit)}", [*run, "--data", "-", *room, *limit], 20, codes, memory=96 * MIB,
              stdin=small.read_bytes())
    timed("an endless archive, --max-memory", [*run, "--data", "-", *few, *room], 10, memory=96 * MIB, pattern="--max-memory", **endless)
    timed("a silent archive, --timeout", [*run, "--data", "-", "--timeout", "1s"], 1,
          preexec_fn=lambda: os.dup2(os.open(silent, os.O_RDWR), 0))


def make_large(folder):
    raw = TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[8 * MIB, 4], raw_data=bytes(128 * MIB))
    (folder / "raw.pb").write_bytes(raw.SerializeToString())
    floats = TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[8 * MIB, 4])
    floats.float_data.extend([0] * (32 * MIB))
    (folder / "floats.pb").write_bytes(floats.SerializeToString())
    with wave.open(str(folder / "long.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", "none"))
        sound.writeframes(bytes(60 * MIB))
    (folder / "floats.onnx").write_bytes(tiny(initializers=[numpy_helper.from_array(np.ones((4, 3), np.float32), "w"), floats]).SerializeToString())
    np.save(folder / "columns.npy", np.zeros((4, 4 * MIB), np.float32).T)


def headers(folder):
    """What a header says of a file is told by its name, with what is needed and what is there, before the rest is read."""
    if not wanted("header"):
        return
    model = save(folder, tiny())
    run = ["run", model, "--rate", "16000", "-o", folder / "o.npz", "-f", "--max-memory", "96M", "--data"]
    bomb(folder / "rows.npz", 600)
    # by another process: what this one has taken counts for its children
    maker = multiprocessing.get_context("fork").Process(target=make_large, args=(folder,))
    maker.start()
    maker.join()
    bomb(folder / "columns.npz", 60, by_columns=True)  # twice while they are turned
    for name, needed in (("rows.npz': array 'x'", "629.1 MB"), ("columns.npz': array 'x'", "125.8 MB"), ("columns.npy'", "134.2 MB")):
        path = folder / name.split("'")[0]
        shape = f"[{39321600 if 'rows' in name else 3932160 if 'npz' in name else 4194304},4]"
        timed(f"header: {name}", [*run, path], 0.5, memory=1, pattern=f"{name}: {shape} of float32 needs {needed}")
        timed(f"header: {name}, what is left", [*run, path], 0.5, memory=1, pattern="100.7 of 100.7 MB are left")
        timed(f"header: {name}, what helps", [*run, path], 0.5, memory=1, pattern="--limit")
        timed(f"header: {name}, --limit", [*run, path, "--limit", "7"], 10, (0,), memory=1)
    for name in ("raw.pb", "floats.pb", "long.wav"):
        for limit in ([], ["--limit", "10"]):
            timed(f"header: {name} {' '.join(limit)}", [*run, folder / name, *limit], 1, memory=1, pattern=name)
    timed("header: a model of floats", ["inspect", folder / "floats.onnx", "--max-memory", "96M"], 1, memory=1, pattern="floats.onnx")
    statistics(folder, model)


def statistics(folder, model):
    """Statistics of which one array is inflated to more than memory, in a file of some KB."""
    np.savez(folder / "six.npz", x=np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32))
    assert harness.run("score", model, "--data", folder / "six.npz", "-o", folder / "six.stats").code == 0
    arrays = dict(np.load(folder / "six.stats"))
    for key in ("model", "samples", "0/counts", "0/sum", "0/gram"):
        made = folder / "bomb.stats"
        np.savez(made.with_suffix(".npz"), **{name: array for name, array in arrays.items() if name != key})
        grow(made.with_suffix(".npz"), key, made)
        timed(f"header: statistics, {key}", ["apply", model, "--stats", made, "-o", folder / "a.onnx", "-f"], 0.5, (4,), memory=1, pattern=key)


def grow(path, key, to):
    """The archive with one array more, of 600 MB of float64."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        member = zipfile.ZipInfo(key + ".npy")
        member.compress_type = zipfile.ZIP_DEFLATED
        with new.open(member, "w") as out:
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (75 * MIB,)})
            out.write(header.getvalue())
            for _ in range(600):
                out.write(bytes(MIB))


def crowds(folder):
    """Many files of which each is small: together they are more than a limit leaves room for, and more than may be open."""
    if not wanted("crowd"):
        return
    model = save(folder, tiny())
    x = np.zeros((3 * MIB // 16, 4), np.float32)
    for kind in ("npy", "npz", "pb"):
        (folder / kind).mkdir()
        for i in range(100):
            path = folder / kind / f"{i:03d}.{kind}"
            if i:
                os.link(folder / kind / f"000.{kind}", path)
            elif kind == "npy":
                np.save(path, x)
            elif kind == "npz":
                np.savez_compressed(path, x=x)
            else:
                path.write_bytes(numpy_helper.from_array(x, "x").SerializeToString())
        run = ["run", model, "--data", folder / kind, "-o", folder / f"{kind}.npz", "--max-memory", "64M"]
        timed(f"a crowd of .{kind}, --limit", [*run, "--limit", "5"], 20, (0,), memory=64 * MIB)
    (folder / "large").mkdir()
    for i in range(100):
        path = folder / "large" / f"{i:03d}.npy"
        if i:
            os.link(folder / "large" / "000.npy", path)
        else:
            np.save(path, np.zeros((5 * MIB // 16, 4), np.float32)[:, :])
    timed("a crowd of large .npy", ["check", model, "--data", folder / "large", "--max-memory", "64M"], 20, (0, 5), memory=64 * MIB)


# ---- constants that are large ------------------------------------------------------------------------------------------------------------


def folded(nodes, dead=True, **constants):
    """x[N,4] -> a[N,6], with a dead channel; `m`, the mean of 60 MB of ones, and what the nodes make of both -> y."""
    first = np.random.default_rng(3).standard_normal((4, 6)).astype(np.float32)
    first[:, 2] *= not dead
    stored = {"w": first, "v": np.ones((6, 3), np.float32), "big": np.array([15_000_000]), "six": np.array([6]), **constants}
    fill = helper.make_node("ConstantOfShape", ["big"], ["c"], value=numpy_helper.from_array(np.ones(1, np.float32)))
    begin = [helper.make_node("MatMul", ["x", "w"], ["a"]), fill, helper.make_node("ReduceMean", ["c"], ["m"], keepdims=1)]
    return tiny(begin + nodes + [helper.make_node("MatMul", ["b", "v"], ["y"])], [numpy_helper.from_array(value, name) for name, value in stored.items()])


def constants(folder):
    """What is made of constants has no room: that is told by every command, or changes nothing of what it gives."""
    if not wanted("constant"):
        return
    node, index = helper.make_node, helper.make_node("Cast", ["m"], ["i"], to=TensorProto.INT64)
    spread = node("Expand", ["m", "six"], ["e"])
    cases = {"a factor": ([spread, node("Mul", ["a", "e"], ["b"])], {}), "a bias": ([spread, node("Add", ["a", "e"], ["b"])], {}),
             "a slope": ([spread, node("PRelu", ["a", "e"], ["b"])], {}), "a normalization": ([spread, node("LayerNormalization", ["a", "e"], ["b"])], {}),
             "an exponent": ([node("Pow", ["a", "m"], ["b"])], {}),
             "places": ([index, node("Add", ["i", "by"], ["at"]), node("Gather", ["a", "at"], ["b"], axis=1)], {"by": np.arange(6) - 1}),
             "parts": ([index, node("Add", ["i", "by"], ["at"]), node("Split", ["a", "at"], ["l", "r"], axis=1), node("Concat", ["r", "l"], ["b"], axis=1)],
                       {"by": np.array([2, 2])}),
             "a shape": ([index, node("Sub", ["i", "two"], ["n"]), node("Concat", ["n", "six"], ["s"], axis=0), node("Reshape", ["a", "s"], ["b"])],
                         {"two": np.array([2])})}
    data = folder / "few.npz"
    np.savez(data, x=np.random.default_rng(2).standard_normal((20, 4)).astype(np.float32))
    for case, (nodes, more) in cases.items():
        model = folder / "folded.onnx"
        model.write_bytes(folded(nodes, **more).SerializeToString())
        for command in (["inspect"], ["check"], ["compact", "--round", "1"], ["prune", "--data", data, "-s", "50%"], ["compare", model, "--data", data], ["run", "--data", data]):
            out = ["-f", "-o", folder / "folded.out"] if command[0] in ("compact", "prune", "run") else []
            enough = harness.run(command[0], model, *command[1:], *out)
            TALLY.check(f"constants: {case}, {command[0]}, enough", enough.code in (0, 5), f"exit {enough.code}: {enough.err[:300]}")
            timed(f"constants: {case}, {command[0]}", [command[0], model, *command[1:], *out, "--max-memory", "40M"], 2, (7,), memory=40 * MIB,
                  pattern="1 obstacle" if command[0] == "check" else "--max-memory")


# ---- files that are none ----------------------------------------------------------------------------------------------------------------


def files(folder):
    model, pipe = save(folder, tiny()), folder / "pipe"
    np.savez(folder / "good.npz", x=np.ones((6, 4), np.float32))
    np.save(folder / "labels.npy", np.zeros(6, np.int64))
    for made in (pipe, folder / "pipe.npy", folder / "pipes" / "pipe.npy"):
        made.parent.mkdir(exist_ok=True)
        os.mkfifo(made)
    (folder / "p").mkdir()
    (folder / "p" / "a.png").write_bytes(texts(0))
    picture = picture_model(folder)
    big = folder / "big.json"
    big.write_text("[" + "[]," * (13 << 20) + "[]]")
    data = ["--data", folder / "good.npz"]
    for name, pattern, arguments in (
            ("a pipe as config", "pipe", ["run", model, *data, "--config", pipe, "-o", folder / "a.npz"]),
            ("a pipe as labels", "pipe.npy", ["compare", model, model, *data, "--labels", folder / "pipe.npy"]),
            ("a pipe as a list", "pipe", ["run", model, "--data", f"@{pipe}", "-o", folder / "a.npz"]),
            ("a pipe as preparation", "pipe", ["run", picture, "--data", folder / "p", "--preprocess", pipe, "-o", folder / "a.npz"]),
            ("a pipe as statistics", "pipe", ["apply", model, "--stats", pipe, "-o", folder / "a.onnx"]),
            ("a pipe in a folder", "pipe.npy", ["run", model, "--data", folder / "pipes", "-o", folder / "a.npz"]),
            ("40 MB of JSON as config", "big.json", ["run", model, *data, "--config", big, "-o", folder / "a.npz"])):
        timed(name, arguments, 2, (2, 3, 4, 6), memory=128 * MIB, pattern=pattern)
    names(folder / "names", data)


def names(folder, data):
    """What would be names of classes, in the model's metadata and beside it, is passed over."""
    folder.mkdir()
    weights = np.random.default_rng(3).standard_normal((4, 8)).astype(np.float32)
    model = tiny([helper.make_node("MatMul", ["x", "w"], ["y"])], [numpy_helper.from_array(weights, "w")],
                 outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8])])
    plain = save(folder, model)
    told = model.metadata_props.add()
    told.key, told.value = "names", "[" + "0," * 20_000_000 + "0]"
    large = folder / "large.onnx"
    large.write_bytes(model.SerializeToString())
    for name, path, beside in (("40 MB of names in the metadata", large, ""),
                               ("4 MB of objects beside the model", plain, "[" + "{}," * ((4 << 20) // 3 - 3) + "{}]")):
        (folder / "config.json").write_text(beside)
        timed(name, ["prune", path, *data, "-s", "50%", "-f", "-o", folder / "o.onnx"], 2, (0,), memory=128 * MIB)


# ---- the file under our feet ------------------------------------------------------------------------------------------------------------


def meanwhile(folder):
    """The model is changed while the program waits for its samples on standard input."""
    weights = np.random.default_rng(3).standard_normal((4, 1 << 16)).astype(np.float32)
    data = io.BytesIO()
    np.savez(data, x=np.ones((20, 4), np.float32))
    model = tiny([helper.make_node("MatMul", ["x", "w"], ["y"])], [numpy_helper.from_array(weights, "w")],
                 outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1 << 16])]).SerializeToString()
    for name, change in (("cut", lambda p: os.truncate(p, 4096)), ("touched", lambda p: p.open("r+b").write(model[:100])),
                         ("longer", lambda p: p.open("ab").write(b"more"))):
        for command in (["prune", "-s", "50%", "--task", "other", "-o", folder / "o.onnx"], ["run", "-o", folder / "o.npz"]):
            if not wanted(f"meanwhile {name}"):
                continue
            path = folder / "m.onnx"
            path.write_bytes(model)
            process = subprocess.Popen(list(map(str, [harness.FINEPRUNE, command[0], path, "--data", "-", *command[1:]])), stdin=subprocess.PIPE,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(1.5 if not harness.SANITIZED else 5)
            change(path)
            err = process.communicate(data.getvalue(), timeout=120)[1].decode()
            left = [p.name for p in folder.iterdir() if p.name != "m.onnx"]
            TALLY.check(f"meanwhile {name} ({command[0]})", process.returncode == 6 and err.count("fineprune: error: ") == 1 and not left,
                        f"exit {process.returncode}, left {left}: {err[:300]}")


# ---- constants that a file declares and does not hold -----------------------------------------------------------------------------------


def declared(kind, rows, columns):
    """x [N, rows] times a matrix of which only one element, or none, is in the file."""
    sparse = SparseTensorProto(dims=[rows, columns])
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "w"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, np.int64), "where"))
    makes = {"sparse_initializer": [], "sparse_value": [helper.make_node("Constant", [], ["w"], sparse_value=sparse)],
             "ConstantOfShape": [helper.make_node("ConstantOfShape", ["shape"], ["w"])],
             "Expand": [helper.make_node("Constant", [], ["one"], value_float=1.0), helper.make_node("Expand", ["one", "shape"], ["w"])]}[kind]
    model = tiny([*makes, helper.make_node("MatMul", ["x", "w"], ["y"])], [numpy_helper.from_array(np.array([rows, columns]), "shape")],
                 inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", rows])],
                 outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", columns])])
    if not makes:
        model.graph.sparse_initializer.append(sparse)
    return model


def claims(folder):
    path = folder / "claims.onnx"
    commands = (["check", path], ["inspect", path], ["run", path, "--data", "random:1", "-f", "-o", folder / "o.npz"])
    for kind in ("sparse_initializer", "sparse_value", "ConstantOfShape", "Expand"):
        path.write_bytes(declared(kind, 16, 1 << 25).SerializeToString())
        for command in commands:
            timed(f"2 GB of {kind} that are not there ({command[0]})", command, 2, memory=32 * MIB,
                  pattern="" if command[0] == "check" and kind != "sparse_initializer" else "2147.5 MB")
        timed(f"2 GB of {kind} that are not there, --max-memory", [*commands[1], "--max-memory", "1G"], 2, memory=32 * MIB, pattern="2049M")
        path.write_bytes(declared(kind, 16, 1 << 19).SerializeToString())
        for command in commands:
            timed(f"32 MB of {kind} ({command[0]})", command, 4, (0, 3), memory=512 * MIB)
    path.write_bytes(declared("sparse_initializer", 16, 1 << 21).SerializeToString())
    timed("a sparse initializer of 134 MB, --max-memory", [*commands[1], "--max-memory", "1G"], 20, (0,))


def main():
    for part in (models, media, archives, headers, constants, claims, crowds, files, meanwhile):
        with tempfile.TemporaryDirectory(prefix="fineprune-limits-") as folder:
            part(Path(folder))
    TALLY.finish()


if __name__ == "__main__":
    main()
