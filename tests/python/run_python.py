#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package in python/ over the built library: structs as the header has them, the program's bytes from every kind of model and data,
errors by kind, progress and Ctrl-C, two threads at once. With torch installed, a module and a DataLoader too.

    run_python.py LIBRARY        libfineprune.so of a build whose program FINEPRUNE names
"""
import collections
import concurrent.futures
import io
import os
import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "python")]
os.environ["FINEPRUNE_LIBRARY"] = str(Path(sys.argv[1]).resolve())
import fineprune  # noqa: E402
import harness  # noqa: E402
from fineprune import _library  # noqa: E402

TALLY = harness.Tally("python")
MODEL, LOCAL, LABELS = (ROOT / "samples/gesture" / name for name in ("gesture.onnx", "local.npz", "test_labels.npy"))
CASES = []


def case(f):
    CASES.append(f)
    return f


def raises(kind, f, *words):
    try:
        f()
    except kind as failure:
        assert all(word in str(failure) for word in words), failure
        return failure
    raise AssertionError(f"no {kind.__name__}")


def samples():
    with np.load(LOCAL) as file:
        return dict(file)


def x():
    return next(iter(samples().values()))


def program(folder, *arguments):
    out = Path(folder, "out.onnx")
    ran = harness.run(*arguments, "-o", out, "-f", "-q")
    assert not ran.code, ran.first_line()
    return out.read_bytes()


@case
def structs_are_the_headers(folder):
    header = (ROOT / "include/fineprune/fineprune.h").read_text()
    for name, kind in _library.STRUCTS.items():
        body = re.search(r"typedef struct %s \{(.*?)\n\} %s;" % (name, name), header, re.S).group(1)
        body = re.sub(r"//[^\n]*", "", body)
        members = [re.sub(r"\[\d+\]", "", word).split()[-1].lstrip("*") for part in body.split(";") if part.strip() for word in part.split(",")]
        assert members == [field for field, *_ in kind._fields_], (name, members)


@case
def functions_are_the_headers(folder):
    header = " ".join((ROOT / "include/fineprune/fineprune.h").read_text().split())
    for name, (_, arguments) in _library.FUNCTIONS.items():
        given = re.search(r"FINEPRUNE_API [^;(]*\bfineprune_%s\(([^)]*)\)" % name, header).group(1)
        assert len(arguments) == (0 if given == "void" else given.count(",") + 1), (name, given)


@case
def one_version(folder):
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
    assert f'version = "{version}"' in (ROOT / "python/pyproject.toml").read_text() and fineprune.__version__ == version


@case
def the_programs_bytes(folder):
    wanted = program(folder, "prune", MODEL, "--data", LOCAL, "-s", "60%")
    for model in (MODEL, str(MODEL)):
        for data in (LOCAL, [LOCAL], samples(), x()):
            assert fineprune.prune(model, data, 0.6).bytes == wanted, type(data)


# Without a file there are no names of classes beside the model.
@case
def models_in_memory(folder):
    alone = Path(folder, "alone.onnx")
    alone.write_bytes(MODEL.read_bytes())
    wanted = program(folder, "prune", alone, "--data", LOCAL, "-s", "60%")
    for model in (alone.read_bytes(), bytearray(alone.read_bytes()), onnx.load(alone)):
        assert fineprune.prune(model, x(), 0.6).bytes == wanted, type(model)
    raises(TypeError, lambda: fineprune.prune(3, x()), "int")
    raises(fineprune.ModelError, lambda: fineprune.inspect(b"nothing"))


@case
def arrays_in_pieces_and_of_any_strides(folder):
    whole, wanted = x(), fineprune.prune(MODEL, x(), 0.6).bytes
    turned = np.asfortranarray(whole)
    backwards = np.ascontiguousarray(whole[::-1, :, ::-1])[::-1, :, ::-1]
    pieces = [(whole[i:i + 37], np.zeros(37)) for i in range(0, len(whole), 37)]  # as data sets have labels
    name = next(iter(samples()))
    for data in (turned, backwards, whole.astype(">f4"), iter(pieces), [{name: p} for p, _ in pieces], (p for p, _ in pieces)):
        assert fineprune.prune(MODEL, data, 0.6).bytes == wanted


@case
def what_a_result_has(folder):
    result = fineprune.prune(MODEL, x(), 0.6, strict_sparsity=True)
    assert result.summary.startswith("verdict") and "wrote" not in result.summary, result.summary
    assert result.html.lower().startswith("<!doctype html>") and "<pre>" in result._repr_html_()
    path = Path(folder, "saved.onnx")
    result.save(path)
    result.save(path)
    raises(fineprune.UsageError, lambda: result.save(path, force=False), "exists")
    assert path.read_bytes() == result.bytes
    onnx.checker.check_model(result.model, full_check=True)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in result.model.graph.initializer}
    masks = result.masks()
    assert masks and all(not stored[name][~mask].any() for name, mask in masks.items())
    session = onnxruntime.InferenceSession(result.bytes)
    assert len(session.run(None, samples())[0]) == len(x())


@case
def choices(folder):
    wanted = program(folder, "prune", MODEL, "--data", LOCAL, "-s", "50%", "--method", "wanda", "--exclude", "*conv*", "--limit", "100")
    got = fineprune.prune(MODEL, LOCAL, 0.5, method="wanda", exclude="*conv*", limit=100)
    assert got.bytes == wanted
    assert fineprune.prune(MODEL, LOCAL, 0.5, method="wanda", exclude=["*conv*"], limit=100, threads=1, batch=3).bytes == wanted
    raises(TypeError, lambda: fineprune.prune(MODEL, LOCAL, 0.5, sparsty=1), "sparsty")
    raises(TypeError, lambda: fineprune.prune(MODEL, LOCAL, 0.5, data_options={"croop": 1}), "croop")
    raises(fineprune.UsageError, lambda: fineprune.prune(MODEL, LOCAL, 0.5, method="best"), "best")
    raises(fineprune.UsageError, lambda: fineprune.prune(MODEL, LOCAL, 1.5))
    assert fineprune.prune(MODEL, LOCAL, "50%").bytes == fineprune.prune(MODEL, LOCAL, 0.5).bytes
    raises(fineprune.UsageError, lambda: fineprune.prune(MODEL, LOCAL, "much"), "70%")
    raises(fineprune.UsageError, lambda: fineprune.prune(MODEL, None), "no data")
    for name, value in dict(limit=-1, threads=10 ** 30, max_memory=-1, batch=1 << 64, multiple=-1, sparsity=float("nan"), reserve=float("nan"),
                            min_agreement=float("nan"), method="wan\0da").items():
        raises(fineprune.UsageError, lambda: fineprune.prune(MODEL, LOCAL, **{name: value}), name.split("_")[0] if name != "method" else "NUL")


@case
def smaller_shapes(folder):
    wanted = program(folder, "prune", MODEL, "--data", LOCAL, "--target", "macs=0.5", "--compact")
    made = fineprune.prune(MODEL, LOCAL, target="macs=0.5", compact=True)
    assert made.bytes == wanted and made.report["compact"]["removed"] > 0
    zeroed = fineprune.prune(MODEL, LOCAL, target="macs=0.5")
    assert len(fineprune.compact(zeroed).bytes) < len(zeroed.bytes)
    assert fineprune.inspect(zeroed)["compact"]["removed"] > 0


@case
def statistics(folder):
    files = [Path(folder, f"{i}.stats") for i in range(2)]
    halves = [x()[:120], x()[120:]]
    stats = [fineprune.score(MODEL, half) for half in halves]
    for path, one in zip(files, stats):
        one.save(path)
    merged = Path(folder, "all.stats")
    assert not harness.run("merge", *files, "-o", merged, "-q").code
    wanted = program(folder, "apply", MODEL, "--stats", merged, "-s", "50%")
    assert fineprune.apply(MODEL, stats[0].merge(stats[1]), 0.5).bytes == wanted
    assert fineprune.apply(MODEL, merged, 0.5).bytes == wanted
    raises(fineprune.UsageError, lambda: stats[0].save(files[0]), "exists")
    for nothing in (None, 3):
        raises(TypeError, lambda: fineprune.apply(MODEL, nothing), "a path")


@case
def comparing(folder):
    made = fineprune.prune(MODEL, x(), 0.6)
    test = ROOT / "samples/gesture/test.npz"
    told = fineprune.compare(MODEL, made, test, labels=LABELS)
    for labels in (np.load(LABELS), np.load(LABELS).tolist()):
        assert fineprune.compare(MODEL, made, test, labels=labels)["accuracy"] == told["accuracy"]
    raises(fineprune.UsageError, lambda: fineprune.compare(MODEL, made, test, labels=np.eye(7)), "argmax")
    assert told["command"] == "compare" and told["accuracy"]["b"] >= told["accuracy"]["a"], told["accuracy"]


@case
def errors_by_kind(folder):
    assert isinstance(raises(fineprune.FileError, lambda: fineprune.prune("/none.onnx", x())), OSError)
    raises(fineprune.DataError, lambda: fineprune.prune(MODEL, x()[:, :2]), "is wanted")
    raises(fineprune.DataError, lambda: fineprune.prune(MODEL, []))
    raises(fineprune.UsageError, lambda: fineprune.prune(MODEL, np.array(["a", "b"])))
    assert isinstance(raises(fineprune.LimitError, lambda: fineprune.prune(MODEL, x(), max_memory=200000)), MemoryError)
    missed = raises(fineprune.GateError, lambda: fineprune.prune(MODEL, x(), 0.99, min_agreement=1.0, method="magnitude"))
    assert missed.report["command"] == "prune"
    assert raises(fineprune.DataError, lambda: fineprune.prune(MODEL, {"wrong": x()})).message


@case
def progress_and_cancel(folder):
    seen = []
    fineprune.prune(MODEL, x(), 0.6, progress=lambda *told: seen.append(told))
    assert seen and all(len(told) == 3 and told[1] <= told[2] for told in seen)
    raises(fineprune.CancelledError, lambda: fineprune.prune(MODEL, x(), progress=lambda *told: True))
    raises(ZeroDivisionError, lambda: fineprune.prune(MODEL, x(), progress=lambda *told: 1 // 0))

    def stop(*told):
        raise KeyboardInterrupt
    raises(KeyboardInterrupt, lambda: fineprune.prune(MODEL, x(), progress=stop))


@case
def threads_at_once(folder):
    wanted = fineprune.prune(MODEL, x(), 0.6).bytes
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: fineprune.prune(MODEL, x(), 0.6).bytes, range(4)))
    assert all(one == wanted for one in made)


def pair_model():
    """A model of two inputs."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    random = np.random.default_rng(5)
    weights = {"w": (8, 16), "v": (4, 16), "u": (16, 5)}
    graph = onnx.helper.make_graph(
        [node("MatMul", ["first", "w"], ["a"]), node("MatMul", ["second", "v"], ["b"]), node("Add", ["a", "b"], ["s"]), node("Relu", ["s"], ["r"]),
         node("MatMul", ["r", "u"], ["y"])], "g", [value("first", 1, ["n", 8]), value("second", 1, ["n", 4])], [value("y", 1, ["n", 5])],
        [onnx.numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name) for name, shape in weights.items()])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def warned(f):
    """What f gives, and the warnings on the way."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        return f(), [str(one.message) for one in told if "fineprune" in str(one.message)]


@case
def names_that_are_no_inputs(folder):
    """What a dict has beside the inputs is ignored and said once; where an input is missing, too, it is an error with both lists."""
    plain, labels = fineprune.prune(MODEL, x(), 0.5).bytes, np.zeros(len(x()), int)
    batches = [{"signal": x()[:100], "labels": labels[:100]}, {"signal": x()[100:], "labels": labels[100:]}]
    for data in ({"labels": labels, "signal": x()}, batches, iter(batches), collections.UserDict({"signal": x(), "labels": labels}),
                 [(batch, 0) for batch in batches]):
        result, told = warned(lambda: fineprune.prune(MODEL, data, 0.5))
        assert result.bytes == plain and told == ["fineprune ignores 'labels' of the data: the model's inputs are 'signal'"], told
    error = raises(fineprune.DataError, lambda: fineprune.prune(MODEL, {"pixel_values": x(), "labels": labels}), "'pixel_values', 'labels'", "'signal'")
    assert error.hint == "a dict has the arrays by the names of the inputs"


@case
def tuples_are_inputs_in_order(folder):
    """As many of a batch as the model has inputs; a tuple of arrays is a batch where they cannot be batches."""
    random = np.random.default_rng(6)
    a, b, labels = random.standard_normal((80, 8)).astype(np.float32), random.standard_normal((80, 4)).astype(np.float32), np.zeros(80, int)
    model, both = pair_model(), {"first": a, "second": b}
    plain = fineprune.prune(model, both, 0.5).bytes
    for data in ((a, b), (a, b, labels), [(a, b)], [[a[:50], b[:50], labels[:50]], [a[50:], b[50:], labels[50:]]], [both]):
        result, told = warned(lambda: fineprune.prune(model, data, 0.5))
        assert result.bytes == plain and not told, told
    raises(fineprune.DataError, lambda: fineprune.prune(model, [(a,)], 0.5), "a batch has 1 array, ", "'first', 'second'")
    raises(fineprune.DataError, lambda: fineprune.prune(model, a, 0.5), "a batch has 1 array, ", "in that order")
    plain = fineprune.prune(MODEL, x(), 0.5).bytes
    assert fineprune.prune(MODEL, (x(), np.zeros(len(x()))), 0.5).bytes == plain  # (x, labels)
    assert fineprune.prune(MODEL, (x()[:100], x()[100:]), 0.5).bytes == plain  # two batches


@case
def torch_data_of_all_kinds(folder):
    """Data sets, loaders of pairs and dicts; modules of several inputs, and whose forward takes labels."""
    try:
        import torch
    except ImportError:
        return
    from torch.utils.data import DataLoader, TensorDataset
    torch.manual_seed(1)

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = torch.nn.Linear(8, 16), torch.nn.Linear(4, 16), torch.nn.Linear(16, 5)

        def forward(self, first, second):
            return self.c(torch.relu(self.a(first) + self.b(second)))

    class Labelled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))

        def forward(self, mask=None, pixel_values=None, labels=None):
            assert mask is None and labels is None
            return self.net(pixel_values)

    a, b, y = torch.randn(80, 8), torch.randn(80, 4), torch.zeros(80, dtype=torch.long)
    names = lambda result: [value.name for value in result.model.graph.input]
    set_of = TensorDataset(torch.from_numpy(x()), torch.zeros(len(x())))
    assert fineprune.prune(MODEL, set_of, 0.5).bytes == fineprune.prune(MODEL, x(), 0.5).bytes
    for data in (DataLoader(TensorDataset(a, b, y), 16), TensorDataset(a, b), (a, b), [{"second": b, "labels": y, "first": a}]):
        assert names(fineprune.prune(Two(), data, 0.5)) == ["first", "second"]
    raises(fineprune.UsageError, lambda: fineprune.prune(Two(), TensorDataset(a), 0.5), "1 array, ", "'first', 'second'")
    loader = DataLoader([{"labels": 0, "pixel_values": one} for one in a], 16)
    result, told = warned(lambda: fineprune.prune(Labelled(), loader, 0.5))
    assert names(result) == ["pixel_values"] and told == ["fineprune ignores 'labels' of the data: the model's inputs are 'pixel_values'"], told
    assert names(fineprune.prune(Labelled().net, loader, 0.5)) == ["pixel_values"]


@case
def torch_modules(folder):
    try:
        import torch
    except ImportError:
        return  # the program's own set-up has none
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    inputs = torch.randn(200, 20)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, torch.zeros(200)), batch_size=64)
    result = fineprune.prune(net, loader, 0.5)
    assert fineprune.prune(net, (batch for batch in loader), 0.5).bytes == result.bytes  # none is lost to the export
    session = onnxruntime.InferenceSession(result.bytes)
    assert session.run(None, {session.get_inputs()[0].name: inputs[:3].numpy()})[0].shape == (3, 4)
    assert net.training and not result.apply_masks(net)
    assert sum(int((p == 0).sum()) for p in (net[0].weight, net[2].weight)) > 0
    for nothing in (LOCAL, iter([]), []):
        raises(fineprune.UsageError, lambda: fineprune.prune(net, nothing), "memory")


def main():
    for f in CASES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                f(folder)
                TALLY.ok(f.__name__)
            except Exception:
                text = io.StringIO()
                traceback.print_exc(file=text)
                TALLY.bad(f.__name__, text.getvalue()[-1500:])
    TALLY.finish()


if __name__ == "__main__":
    main()
