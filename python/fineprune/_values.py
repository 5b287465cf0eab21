# SPDX-License-Identifier: Apache-2.0
"""Models and data of any kind as the library takes them."""
import contextlib
import ctypes
import itertools
import os
import tempfile

import numpy as np

from . import _library as c

# as TensorProto.DataType counts
TYPES = {"float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11,
         "uint32": 12, "uint64": 13}


class Model(c.Handle):
    def __init__(self):
        super().__init__("model_free")

    def bytes(self):
        to, size = ctypes.c_void_p(), ctypes.c_size_t()
        c.call("model_write", self.pointer, ctypes.byref(to), ctypes.byref(size), None)
        try:
            return ctypes.string_at(to, size.value)
        finally:
            c.FREE(to)


def is_path(value):
    return isinstance(value, (str, os.PathLike))


def is_module(value):
    return any(kind.__module__ == "torch.nn.modules.module" and kind.__name__ == "Module" for kind in type(value).__mro__)


def exported(module, data):
    """The bytes of torch.onnx's export, with a batch of any size, from the shape of the first batch of the data."""
    import inspect
    import io

    import torch
    first = None
    if data is not None and not is_path(data):
        first = data.peek() if isinstance(data, Peeked) else next(iter(batches(data)), None)
    first = None if first is None else inputs(first)
    if first is None:
        raise c.UsageError("a torch module is exported from samples in memory", "give arrays, or export it with torch.onnx")
    values = list(first.values()) if isinstance(first, dict) else [first]
    device = next((p.device for p in module.parameters()), None)
    samples = tuple(torch.from_numpy(np.ascontiguousarray(v[:2])).to(device) for v in values)
    names = [str(n) for n in first] if isinstance(first, dict) else ["input"]
    how = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    file, training = io.BytesIO(), module.training
    module.eval()
    try:
        torch.onnx.export(module, samples, file, input_names=names, dynamic_axes={name: {0: "batch"} for name in names}, **how)
    finally:
        module.train(training)
    return file.getvalue()


def open_model(model, data, run):
    opened = Model()
    options = ctypes.byref(run.options)
    if isinstance(model, Model):
        return model
    if hasattr(model, "_model") and isinstance(model._model, Model):  # a Result
        model = model.bytes
    if is_path(model):
        c.call("model_open", opened.out, c.encoded(model), options)
        return opened
    if is_module(model):
        model = exported(model, data)
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if not isinstance(model, (bytes, bytearray, memoryview)):
        raise TypeError(f"a model is a path, bytes, an onnx.ModelProto or a torch.nn.Module, not {type(model).__name__}")
    model = bytes(model)
    c.call("model_read", opened.out, model, len(model), None, options)
    return opened


def array(value):
    """A NumPy array of the same memory where that can be: of NumPy's own, torch's, and whatever speaks their protocols."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def is_batch(value):
    return isinstance(value, dict) or hasattr(value, "__array__") or hasattr(value, "__array_interface__") or np.isscalar(value)


def inputs(batch):
    """What the model takes of a batch: a dict of arrays, or one array: the first of a pair, as data sets have (x, label)."""
    if isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    if isinstance(batch, dict):
        return {str(k): array(v) for k, v in batch.items()}
    return array(batch)


class Peeked:
    """An iterator whose first batch can be looked at before they are taken, once."""

    def __init__(self, iterator):
        self.rest, self.first = iterator, []

    def peek(self):
        if not self.first:
            self.first = list(itertools.islice(self.rest, 1))
        return self.first[0] if self.first else None

    def __iter__(self):
        first, self.first = self.first, []
        yield from first
        yield from self.rest


def batches(data):
    if is_batch(data):
        yield inputs(data)
        return
    for batch in data:
        yield inputs(batch)


def add_batch(pointer, batch):
    named = batch if isinstance(batch, dict) else {None: batch}
    arrays, kept = (c.Array * len(named))(), []
    for to, (name, value) in zip(arrays, named.items()):
        if value.dtype.name not in TYPES:
            raise c.UsageError(f"an array of {value.dtype} is none that a model takes")
        if not value.dtype.isnative:
            value = value.astype(value.dtype.newbyteorder("="))
        dims, strides = (ctypes.c_int64 * value.ndim)(*value.shape), (ctypes.c_int64 * value.ndim)(*value.strides)
        kept += [value, dims, strides]
        to.input, to.type, to.rank = c.encoded(name), TYPES[value.dtype.name], value.ndim
        to.dims, to.strides, to.data = dims, strides, value.ctypes.data
    c.call("data_add_arrays", pointer, arrays, len(named))


@contextlib.contextmanager
def labels_file(labels):
    """The path of class numbers that are in memory, or the one that was given."""
    if labels is None or is_path(labels):
        yield labels
        return
    numbers = array(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise c.UsageError(f"labels are {numbers.ndim}-dimensional {numbers.dtype}", "one whole number a sample: y.argmax(1) of one-hot rows")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "labels.npy")
        np.save(path, numbers.astype(np.int64))
        yield path


def add_data(pointer, data):
    if data is None:
        raise c.UsageError("there are no data", "a path, an array, a dict of arrays, or what is iterated over batches")
    if is_path(data):
        c.call("data_add", pointer, c.encoded(data))
    elif isinstance(data, (tuple, list)) and data and all(map(is_path, data)):
        for source in data:
            c.call("data_add", pointer, c.encoded(source))
    else:
        for batch in batches(data):
            add_batch(pointer, batch)


def open_data(model, data, limit, options):
    opened = c.Handle("data_free")
    opened.model = model  # which must not be freed before
    given = dict(options or {})
    known = {name for name, *_ in c.DataOptions._fields_} - {"size", "limit", "n_shapes"}
    for name in given:
        if name not in known:
            raise TypeError(f"no data option {name!r}; there are {', '.join(sorted(known))}")
    shapes = given.pop("shapes", None)
    members = {name: value if name == "no_exif" else c.encoded(value) for name, value in given.items()}
    if shapes is not None:
        shapes = [shapes] if isinstance(shapes, str) else list(shapes)
        members.update(shapes=c.strings(shapes), n_shapes=len(shapes))
    c.call("data_open", opened.out, model.pointer, ctypes.byref(c.DataOptions(**c.counts(limit=limit), **members)))
    add_data(opened.pointer, data)
    return opened
