# SPDX-License-Identifier: Apache-2.0
"""Samples that are damaged, malicious or do not fit. Each function fills a folder and returns the options that name its data; `DATA` lists
them with the exit codes that fit and what the message must name. The model has one input, x float32 [N,4]."""
import io
import os
import struct
import zipfile
import zlib

import numpy as np

DATA = []


def bad_data(name, pattern, codes=(4,)):
    def register(function):
        DATA.append((name, function, pattern, codes))
        return function

    return register


def npz(folder, **arrays):
    np.savez(folder / "bad.npz", **arrays)
    return ["--data", folder / "bad.npz"]


def npy(folder, data):
    (folder / "bad.npy").write_bytes(data)
    return ["--data", folder / "bad.npy"]


def samples(n=6, width=4):
    return np.random.default_rng(5).standard_normal((n, width)).astype(np.float32)


def header(text, version=1):
    """The start of a .npy with this dict."""
    text = text.encode() + b"\n"
    length = struct.pack("<H", len(text)) if version == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text


def describe(shape="(6, 4)", descr="'<f4'", order="False"):
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")


# ---- not data ------------------------------------------------------------------------------------------------------------------------


@bad_data("data missing", r"bad\.npz", (4, 6))
def _(folder):
    return ["--data", folder / "bad.npz"]


@bad_data("data in a missing folder", r"absent", (4, 6))
def _(folder):
    return ["--data", folder / "absent" / "bad.npz"]


@bad_data("empty folder", r"nothing")
def _(folder):
    (folder / "nothing").mkdir()
    return ["--data", folder / "nothing"]


@bad_data("empty npz", r"bad\.npz", (4, 6))
def _(folder):
    (folder / "bad.npz").write_bytes(b"")
    return ["--data", folder / "bad.npz"]


@bad_data("npz of text", r"bad\.npz", (4, 6))
def _(folder):
    (folder / "bad.npz").write_text("not a zip\n" * 100)
    return ["--data", folder / "bad.npz"]


@bad_data("npz without arrays", r"bad\.npz")
def _(folder):
    with zipfile.ZipFile(folder / "bad.npz", "w"):
        pass
    return ["--data", folder / "bad.npz"]


@bad_data("npz truncated", r"bad\.npz", (4, 6))
def _(folder):
    options = npz(folder, x=samples(100))
    data = (folder / "bad.npz").read_bytes()
    (folder / "bad.npz").write_bytes(data[: len(data) // 2])
    return options


@bad_data("npz with damaged bytes", r"bad\.npz", (4, 6))
def _(folder):
    np.savez_compressed(folder / "bad.npz", x=samples(200))
    data = bytearray((folder / "bad.npz").read_bytes())
    for at in range(200, 1200, 7):
        data[at] ^= 0x5A
    (folder / "bad.npz").write_bytes(data)
    return ["--data", folder / "bad.npz"]


@bad_data("data of an unknown kind", r"bad\.xyz", (2, 4))
def _(folder):
    (folder / "bad.xyz").write_text("1 2 3 4\n")
    return ["--data", folder / "bad.xyz"]


@bad_data("the model as data", r"model\.onnx", (2, 4))
def _(folder):
    return ["--data", folder / "model.onnx"]


@bad_data("fifo as data", r"pipe\.npz", (2, 4, 6))
def _(folder):
    os.mkfifo(folder / "pipe.npz")
    return ["--data", folder / "pipe.npz"]


@bad_data("list of missing files", r"absent\.npz|list\.txt", (4, 6))
def _(folder):
    (folder / "list.txt").write_text("absent.npz\n")
    return ["--data", f"@{folder}/list.txt"]


@bad_data("list that names itself", r"list\.txt", (2, 4, 6, 7))
def _(folder):
    (folder / "list.txt").write_text(f"@{folder}/list.txt\n")
    return ["--data", f"@{folder}/list.txt"]


@bad_data("empty list", r"list\.txt", (2, 4))
def _(folder):
    (folder / "list.txt").write_text("\n\n")
    return ["--data", f"@{folder}/list.txt"]


# ---- .npy --------------------------------------------------------------------------------------------------------------------------------


for label, content in {
    "empty": b"", "only the magic": b"\x93NUMPY", "text": b"1,2,3,4\n", "version 9": b"\x93NUMPY\x09\x00" + bytes(100),
    "header longer than the file": b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFF0) + b"{",
    "header that is no dict": header("[1, 2, 3]"), "header without shape": header("{'descr': '<f4', 'fortran_order': False}"),
    "header unclosed": header("{'descr': '<f4', 'fortran_order': False, 'shape': (6, 4"),
    "header of nested brackets": header("{'descr': " + "[" * 5000),
    "negative shape": describe("(-6, 4)") + bytes(96), "overflowing shape": describe("(4294967296, 4294967296)") + bytes(96),
    "shape of twenty digits": describe("(99999999999999999999, 4)") + bytes(96), "huge shape": describe("(1099511627776, 4)") + bytes(96),
    "shape of rank 40": describe("(" + "1, " * 40 + ")") + bytes(96), "shape of text": describe("('a', 4)") + bytes(96),
    "too few elements": describe() + bytes(90), "objects": describe(descr="'|O'") + bytes(96), "strings": describe(descr="'<U4'") + bytes(384),
    "dates": describe(descr="'<M8[ns]'") + bytes(192), "structures": describe(descr="[('a', '<f4')]") + bytes(96),
    "floats of 3 bytes": describe(descr="'<f3'") + bytes(96),
}.items():
    @bad_data(f"npy: {label}", r"bad\.npy", (4, 6, 7))
    def _(folder, content=content):
        return npy(folder, content)


@bad_data("npz: the zip says 4 GB, the array is small", r"bad\.npz|'?x'?", (4, 6, 7))
def _(folder):
    """A local header and a directory that promise more than there is."""
    options = npz(folder, x=samples())
    data = (folder / "bad.npz").read_bytes()
    size = 128 + 96
    (folder / "bad.npz").write_bytes(data.replace(struct.pack("<II", size, size), struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)))
    return options


@bad_data("npz: deflated bomb", r"bad\.npz|'?x'?", (4, 6, 7))
def _(folder):
    """200 MB of zeros in 200 KB, declared as a tiny array: what the header does not ask for must not be unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x.npy", "w") as entry:
            entry.write(describe("(50000000, 5)"))
            for _ in range(200):
                entry.write(bytes(1 << 20))
    (folder / "bad.npz").write_bytes(buffer.getvalue())
    return ["--data", folder / "bad.npz"]


@bad_data("npz: encrypted", r"bad\.npz|'?x'?", (4, 6))
def _(folder):
    options = npz(folder, x=samples())
    data = bytearray((folder / "bad.npz").read_bytes())
    data[6] |= 1
    at = data.find(b"PK\x01\x02")
    data[at + 8] |= 1
    (folder / "bad.npz").write_bytes(data)
    return options


# ---- arrays that do not fit --------------------------------------------------------------------------------------------------------------


@bad_data("another name", r"\bx\b")
def _(folder):
    return npz(folder, other=samples(), another=samples())


@bad_data("wrong width", r"\bx\b.*5.*4|\bx\b.*4.*5")
def _(folder):
    return npz(folder, x=samples(width=5))


@bad_data("wrong rank", r"\bx\b")
def _(folder):
    return npz(folder, x=np.zeros((2, 3, 5, 7), np.float32))


@bad_data("a scalar", r"\bx\b|bad\.npz")
def _(folder):
    return npz(folder, x=np.float32(3))


@bad_data("no samples", r"\bx\b|bad\.npz|sample")
def _(folder):
    return npz(folder, x=samples(0))


@bad_data("NaN in a sample", r"(?i:nan)")
def _(folder):
    x = samples()
    x[3, 2] = np.nan
    return npz(folder, x=x)


@bad_data("infinity in a sample", r"(?i:inf)")
def _(folder):
    x = samples()
    x[3, 2] = -np.inf
    return npz(folder, x=x)


@bad_data("objects", r"bad\.npz|\bx\b", (4, 6))
def _(folder):
    return npz(folder, x=np.array([{"a": 1}] * 4, dtype=object))


@bad_data("strings", r"bad\.npz|\bx\b")
def _(folder):
    return npz(folder, x=np.array([["a", "b", "c", "d"]] * 6))


@bad_data("complex numbers", r"bad\.npz|\bx\b")
def _(folder):
    return npz(folder, x=samples().astype(np.complex64))


@bad_data("doubles beyond float32", r"\bx\b|(?i:inf)", (4,))
def _(folder):
    return npz(folder, x=np.full((6, 4), 1e300))


@bad_data("an input that the model has not", r"ghost", (2, 4))
def _(folder):
    npz(folder, x=samples())
    return ["--data", f"ghost={folder}/bad.npz"]


@bad_data("an empty source", r".", (2, 4, 6))
def _(folder):
    return ["--data", ""]


@bad_data("random with a seed that is no number", r"random", (2, 4))
def _(folder):
    return ["--data", "random:seed"]


@bad_data("a limit of nothing", r"--limit|limit|sample", (2, 4))
def _(folder):
    npz(folder, x=samples())
    return ["--data", folder / "bad.npz", "--limit", "0"]


@bad_data("a shape for an input that the model has not", r"ghost", (2, 4))
def _(folder):
    npz(folder, x=samples())
    return ["--data", folder / "bad.npz", "--shape", "ghost:1,4"]


@bad_data("a shape that contradicts the model", r"\bx\b", (2, 4))
def _(folder):
    npz(folder, x=samples())
    return ["--data", folder / "bad.npz", "--shape", "x:1,9"]


# ---- folders of tensors ------------------------------------------------------------------------------------------------------------------


def test_set(folder, content):
    data = folder / "sets" / "test_data_set_0"
    data.mkdir(parents=True)
    (data / "input_0.pb").write_bytes(content)
    return ["--data", folder / "sets"]


@bad_data("test_data_set: empty folder", r"test_data_set_0")
def _(folder):
    (folder / "sets" / "test_data_set_0").mkdir(parents=True)
    return ["--data", folder / "sets"]


@bad_data("test_data_set: text", r"input_0\.pb", (4,))
def _(folder):
    return test_set(folder, b"hello world, this is not a tensor")


@bad_data("test_data_set: wrong shape", r"(?s)input_0\.pb|\bx\b", (4,))
def _(folder):
    from onnx import numpy_helper
    return test_set(folder, numpy_helper.from_array(samples(width=5), "x").SerializeToString())


@bad_data("test_data_set: raw_data too short", r"input_0\.pb|\bx\b", (4,))
def _(folder):
    from onnx import numpy_helper
    tensor = numpy_helper.from_array(samples(), "x")
    tensor.raw_data = tensor.raw_data[:-4]
    return test_set(folder, tensor.SerializeToString())


@bad_data("test_data_set: external data", r"input_0\.pb|\bx\b", (3, 4, 6))
def _(folder):
    from onnx import TensorProto
    tensor = TensorProto(dims=[6, 4], data_type=1, name="x", data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    return test_set(folder, tensor.SerializeToString())


# ---- pictures and sound --------------------------------------------------------------------------------------------------------------------


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@bad_data("a folder of pictures for a model without pictures", r"pictures|\bx\b", (2, 4))
def _(folder):
    (folder / "pictures").mkdir()
    picture = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)) + \
        png_chunk(b"IDAT", zlib.compress(b"\0" + bytes(6) + b"\0" + bytes(6))) + png_chunk(b"IEND", b"")
    (folder / "pictures" / "a.png").write_bytes(picture)
    return ["--data", folder / "pictures"]


@bad_data("a picture of 2^31 pixels", r"a\.png|pictures|\bx\b", (2, 4, 6, 7))
def _(folder):
    (folder / "pictures").mkdir()
    picture = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 8, 2, 0, 0, 0)) + png_chunk(b"IEND", b"")
    (folder / "pictures" / "a.png").write_bytes(picture)
    return ["--data", folder / "pictures"]


@bad_data("folders in folders in folders", r"more than 32 folders deep", (7,))
def _(folder):
    deep = folder / "deep"
    for _ in range(40):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "x.npy").write_bytes(b"")
    return ["--data", folder / "deep"]


@bad_data("a circle of folders", r"circle.*holds no data")
def _(folder):
    (folder / "circle" / "a").mkdir(parents=True)
    os.symlink("../..", folder / "circle" / "a" / "up")
    os.symlink("/", folder / "circle" / "all")
    return ["--data", folder / "circle"]


@bad_data("a pipe among the files", r"not a regular file", (6,))
def _(folder):
    (folder / "files").mkdir()
    os.mkfifo(folder / "files" / "x.npy")
    return ["--data", folder / "files"]


@bad_data("a name that is no text", r"\\x1b\[31m")
def _(folder):
    (folder / "files").mkdir()
    (folder / "files" / "\x1b[31mred.npy").write_bytes(b"no")
    (folder / "files" / "x.npy").write_bytes(b"no")
    return ["--data", folder / "files"]


@bad_data("a truncated WAV", r"a\.wav|sounds|\bx\b", (2, 4, 6))
def _(folder):
    (folder / "sounds").mkdir()
    (folder / "sounds" / "a.wav").write_bytes(b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0")
    return ["--data", folder / "sounds"]
