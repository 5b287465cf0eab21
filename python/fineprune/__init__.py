# SPDX-License-Identifier: Apache-2.0
"""Prune an ONNX model or a torch module with one user's own unlabelled data.

    import fineprune
    result = fineprune.prune("model.onnx", "photos/", sparsity=0.7)
    print(result.summary)
    result.save("mine.onnx")

A model is a path, bytes, an onnx.ModelProto, or a torch.nn.Module, which torch.onnx exports. Data are a path or any source that the
program takes, an array, a dict of arrays by input name, a list of them, or anything that is iterated over batches, as a torch DataLoader
is. Arrays have their samples along axis 0; they are copied once. Everything is computed in the C library; NumPy is all that is needed.
"""
import ctypes
import json
import os

from . import _library as c
from ._library import CancelledError, DataError, Error, FileError, GateError, InternalError, LimitError, ModelError, UsageError
from ._values import Peeked, labels_file, open_data, open_model

__all__ = ["prune", "compact", "inspect", "compare", "score", "apply", "Stats", "Result", "Error", "InternalError", "UsageError", "ModelError",
           "DataError", "GateError", "FileError", "LimitError", "CancelledError", "__version__"]
__version__ = c.LIBRARY.fineprune_version().decode()


class Result:
    """What a call made of a model. report: dict, as the program's --json. summary: its lines for people. html: one page."""

    def __init__(self, model, report):
        self._model = model
        self.report = json.loads(c.text("report_json", report.pointer))
        lines = c.text("report_summary", report.pointer).splitlines()
        self.summary = "\n".join(line for line in lines if line.split() != ["wrote", "nothing"])  # it is not asked to
        self._report = report

    @property
    def bytes(self):
        """The model as an ONNX file has it."""
        return self._model.bytes()

    @property
    def model(self):
        """The model as an onnx.ModelProto; needs the package onnx."""
        import onnx
        return onnx.load_from_string(self.bytes)

    @property
    def html(self):
        return c.text("report_html", self._report.pointer)

    def save(self, path, *, force=True, sparse_initializers=False):
        """Writes the model: whole or not at all, over what is there unless force is False."""
        options = c.SaveOptions(force=force, sparse_initializers=sparse_initializers)
        c.call("model_save", self._model.pointer, c.encoded(path), ctypes.byref(options))

    def masks(self):
        """{name of a weight: array of bool, its shape as the model came, True where it is kept}."""
        import tempfile

        import numpy as np
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "masks.npz")
            c.call("masks_save", self._model.pointer, c.encoded(path), False, None)
            with np.load(path) as file:
                return dict(file)

    def apply_masks(self, module):
        """Keeps the zeros of a torch module whose export was pruned: torch.nn.utils.prune.custom_from_mask on every parameter that a mask
        has the name and the shape of. Returns the names of the masks that fit none."""
        import torch
        from torch.nn.utils import prune as pruning
        left = self.masks()
        for owner, part in module.named_modules():
            for name, value in list(part.named_parameters(recurse=False)):
                full = f"{owner}.{name}" if owner else name
                if full in left and left[full].shape == tuple(value.shape):
                    pruning.custom_from_mask(part, name, torch.from_numpy(left.pop(full)).to(value.device))
        return list(left)

    def _repr_html_(self):
        return "<pre>" + self.summary.replace("&", "&amp;").replace("<", "&lt;") + "</pre>"

    def __repr__(self):
        return self.summary


class Stats:
    """Statistics of one model over data, from which it can be pruned elsewhere. They hold what the samples were like."""

    def __init__(self, path):
        self._handle = c.Handle("stats_free")
        c.call("stats_open", self._handle.out, c.encoded(c.path(path, "statistics")))

    def merge(self, other):
        """Adds those of other samples, of the same model, to these."""
        c.call("stats_merge", self._handle.pointer, other._handle.pointer)
        return self

    def save(self, path, *, force=False):
        c.call("stats_save", self._handle.pointer, c.encoded(path), force)


class _Run:
    """How long calls run: threads, memory, progress(stage, done, total), which stops the call when it returns True or raises."""

    def __init__(self, threads=0, max_memory=0, batch=0, progress=None):
        self.raised = None

        def told(_, stage, done, total):
            try:
                return int(bool(progress(stage.decode(), done, total))) if progress else 0
            except BaseException as failure:  # also KeyboardInterrupt: it goes on where the call ends
                self.raised = failure
                return 1

        self.callback = c.PROGRESS(told)  # Python looks for Ctrl-C in it, so it is there without a progress, too
        self.options = c.RunOptions(progress=self.callback, **c.counts(threads=threads, max_memory=max_memory, batch=batch))

    def call(self, name, *arguments):
        try:
            c.call(name, *arguments)
        except CancelledError:
            if self.raised:
                raise self.raised from None
            raise


TEXTS = ("method", "score", "allocation", "pattern", "repair", "outputs", "readout", "channels", "swaps", "refit", "task", "target",
         "runtime_profile")


def _prune_options(run, sparsity, choices):
    known = {name for name, *_ in c.PruneOptions._fields_} - {"size", "sparsity", "run"}
    for name in choices:
        if name not in known:
            raise TypeError(f"no option {name!r}; beside the arguments of the function there are {', '.join(sorted(known))}")
    given = {name: c.encoded(value) if name in TEXTS else c.strings(value) if name in ("include", "exclude") else value
             for name, value in choices.items() if value is not None}
    if isinstance(sparsity, str) and sparsity != "auto":
        try:
            sparsity = float(sparsity.rstrip("%")) / (100 if sparsity.endswith("%") else 1)
        except ValueError:
            raise c.UsageError(f"sparsity {sparsity!r} is no number", 'as in 0.7, "70%" or "auto"') from None
    if sparsity is None:
        sparsity = 0. if given.get("target") else 0.7
    given.setdefault("reserve", -1.)
    c.counts(**{name: given[name] for name in ("multiple", "rounds") if name in given})
    return c.PruneOptions(sparsity=-1. if sparsity == "auto" else sparsity, run=run.options, **given)


def _compacts(compact, choices):
    profile = choices.get("runtime_profile")
    return compact if compact is not None else bool(profile and c.LIBRARY.fineprune_runtime_compacts(c.encoded(profile)))


def _finish(run, name, model, arguments, options, compact):
    report = c.Handle("report_free")
    try:
        run.call(name, model.pointer, *arguments, ctypes.byref(options), report.out)
    except GateError as missed:
        missed.report = json.loads(c.text("report_json", report.pointer)) if report.pointer else None
        raise
    if compact:
        run.call("compact", model.pointer, options.multiple, ctypes.byref(run.options), report.out)
    return Result(model, report)


def prune(model, data, sparsity=None, *, compact=None, limit=0, data_options=None, threads=0, max_memory=0, batch=0, progress=None, **choices):
    """Prunes with samples of `data`, repairs what is left and returns a Result.

    sparsity: share of zeros over all prunable weights, or "auto"; by default 0.7, or none beside a target. compact: whole channels leave
    the shapes (by default where runtime_profile rewards it). limit: at most so many samples. data_options: dict of preparations by their
    names in fineprune_data_options (resize, crop, mean, std, window, ...). choices: the other members of fineprune_prune_options, as
    target="macs=0.5", method="wanda", min_agreement=0.98, strict_sparsity=True. Raises GateError where a promise is not kept, and other
    kinds of Error.
    """
    run, data = _Run(threads, max_memory, batch, progress), Peeked(data) if hasattr(data, "__next__") else data
    opened = open_model(model, data, run)
    options = _prune_options(run, sparsity, choices)
    samples = open_data(opened, data, limit, data_options)
    return _finish(run, "prune", opened, [samples.pointer], options, _compacts(compact, choices))


def score(model, data, *, limit=0, data_options=None, threads=0, max_memory=0, batch=0, progress=None):
    """Statistics of the model over the samples, for apply."""
    run, data = _Run(threads, max_memory, batch, progress), Peeked(data) if hasattr(data, "__next__") else data
    opened = open_model(model, data, run)
    samples = open_data(opened, data, limit, data_options)
    stats = Stats.__new__(Stats)
    stats._handle = c.Handle("stats_free")
    run.call("score", stats._handle.out, opened.pointer, samples.pointer, ctypes.byref(run.options))
    return stats


def apply(model, stats, sparsity=None, *, compact=None, threads=0, max_memory=0, progress=None, **choices):
    """As prune, from statistics alone (a Stats or its path)."""
    run = _Run(threads, max_memory, 0, progress)
    opened = open_model(model, None, run)
    stats = stats if isinstance(stats, Stats) else Stats(stats)
    options = _prune_options(run, sparsity, choices)
    return _finish(run, "apply", opened, [stats._handle.pointer], options, _compacts(compact, choices))


def compact(model, multiple=0, *, threads=0, max_memory=0):
    """Takes channels out of the shapes that nothing reads; the outputs stay as they were. Kept counts are multiples of `multiple`."""
    run = _Run(threads, max_memory)
    opened, report = open_model(model, None, run), c.Handle("report_free")
    run.call("compact", opened.pointer, c.counts(multiple=multiple)["multiple"], ctypes.byref(run.options), report.out)
    return Result(opened, report)


def inspect(model):
    """What is in a model: a dict."""
    run = _Run()
    opened, report = open_model(model, None, run), c.Handle("report_free")
    run.call("inspect", opened.pointer, report.out)
    return json.loads(c.text("report_json", report.pointer))


def compare(a, b, data, *, labels=None, task=None, layers=False, limit=0, data_options=None, threads=0, max_memory=0, batch=0, progress=None):
    """Drift of model b's outputs against a's: a dict. labels: class numbers, one a sample, or a path as compare's --labels, for accuracies."""
    run, data = _Run(threads, max_memory, batch, progress), Peeked(data) if hasattr(data, "__next__") else data
    one, other, report = open_model(a, data, run), open_model(b, data, run), c.Handle("report_free")
    samples = open_data(one, data, limit, data_options)
    with labels_file(labels) as path:
        options = c.CompareOptions(task=c.encoded(task), labels=c.encoded(path), run=run.options, layers=layers)
        run.call("compare_with", one.pointer, other.pointer, samples.pointer, ctypes.byref(options), report.out)
    return json.loads(c.text("report_json", report.pointer))
