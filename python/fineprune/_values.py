# SPDX-License-Identifier: Apache-2.0
"""Models and data of any kind as the library takes them."""
import contextlib
import ctypes
import itertools
import os
import tempfile
import warnings
from collections.abc import Mapping

import numpy as np

from . import _library as c

# as TensorProto.DataType counts
TYPES = {"float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11,
         "uint32": 12, "uint64": 13}
LABELS = ("label", "labels", "target", "targets")


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


def forward_inputs(module, batch):
    """{name: value}: what the module's forward takes of a batch, in its order. Labels stay out, as losses are not exported."""
    import inspect
    taken = [p for p in inspect.signature(module.forward).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in taken) or 1
    batch = unpaired(batch)
    if isinstance(batch, Mapping):
        given = {str(name): value for name, value in batch.items()}
        given = {name: value for name, value in given.items() if name.lower() not in LABELS} or given
        names = [p.name for p in taken if p.name in given] or list(given)[:needed]
        return {name: given[name] for name in names}
    values = list(batch) if isinstance(batch, (tuple, list)) else [batch]
    if len(values) < needed:
        raise c.UsageError(f"a batch has {len(values)} array{'s' * (len(values) != 1)}, but the module takes {quoted(p.name for p in taken[:needed])}",
                           "batches are tuples in that order, or dicts by these names")
    return dict(zip(["input"] if needed == 1 else [p.name for p in taken], values[:needed]))


def exported(module, data):
    """The bytes of torch.onnx's export, with a batch of any size, from the shape of the first batch of the data."""
    import inspect
    import io

    import torch
    first = None
    if data is not None and not is_path(data):
        first = data.peek() if isinstance(data, Peeked) else next(iter(whole_batches(data, 2)), None)
    if first is None:
        raise c.UsageError("a torch module is exported from samples in memory", "give arrays, or export it with torch.onnx")
    device = next((p.device for p in module.parameters()), None)
    samples = {name: torch.from_numpy(np.ascontiguousarray(array(v)[:2])).to(device) for name, v in forward_inputs(module, first).items()}
    order = [name for name in inspect.signature(module.forward).parameters]
    by_name = set(samples) <= set(order) and list(samples) != order[:len(samples)]  # torch.onnx takes a last dict for names
    how = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    file, training = io.BytesIO(), module.training
    module.eval()
    try:
        torch.onnx.export(module, (samples,) if by_name else tuple(samples.values()), file, input_names=list(samples),
                          dynamic_axes={name: {0: "batch"} for name in samples}, **how)
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
    return isinstance(value, Mapping) or hasattr(value, "__array__") or hasattr(value, "__array_interface__") or np.isscalar(value)


def quoted(names):
    return ", ".join(f"'{name}'" for name in names)


def unpaired(batch):
    """The dict of a pair (dict, label)."""
    return batch[0] if isinstance(batch, (tuple, list)) and batch and isinstance(batch[0], Mapping) else batch


def inputs(batch, names, ignored):
    """{name: array} of a batch for the model's inputs: of a dict by name, of a tuple in their order, as data sets have (x, label). What
    else a dict has is ignored, and said once."""
    batch = unpaired(batch)
    if isinstance(batch, Mapping):
        given = {str(name): value for name, value in batch.items()}
        others = [name for name in given if name not in names]
        if others and len(given) - len(others) < len(names):
            raise c.DataError(f"the data are named {quoted(given)}, but the model's inputs are {quoted(names)}",
                              "a dict has the arrays by the names of the inputs")
        if others and not ignored:
            warnings.warn(f"fineprune ignores {quoted(others)} of the data: the model's inputs are {quoted(names)}", stacklevel=6)
        ignored.update(others)
        return {name: array(given[name]) for name in names if name in given}
    values = batch if isinstance(batch, (tuple, list)) else [batch]
    if len(values) < len(names):
        raise c.DataError(f"a batch has {len(values)} array{'s' * (len(values) != 1)}, but the model's inputs are {quoted(names)}",
                          "batches are tuples in that order, or dicts by these names")
    return {name: array(value) for name, value in zip(names, values)}


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


def is_dataset(value):
    return any(kind.__module__ == "torch.utils.data.dataset" and kind.__name__ == "Dataset" for kind in type(value).__mro__)


def whole_batches(data, n_inputs):
    """The batches of data, as they come. A tuple of arrays is one, of several inputs or of (x, labels), unless all have the same shape but
    for the samples; a torch Dataset gives single samples, which a DataLoader joins."""
    if is_dataset(data):
        import torch
        return torch.utils.data.DataLoader(data, batch_size=64)
    arrays = isinstance(data, tuple) and len(data) > 1 and all(hasattr(one, "__array__") for one in data)
    if is_batch(data) or (arrays and (n_inputs > 1 or len({np.shape(one)[1:] for one in data}) > 1)):
        return [data]
    return data


def batches(data, names):
    ignored = set()
    for batch in whole_batches(data, len(names)):
        yield inputs(batch, names, ignored)


def input_names(model):
    names = []
    while (name := c.LIBRARY.fineprune_model_input(model.pointer, len(names))) is not None:
        names.append(name.decode())
    return names


def add_batch(pointer, named):
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


def add_data(pointer, data, names):
    if data is None:
        raise c.UsageError("there are no data", "a path, an array, a dict of arrays, or what is iterated over batches")
    if is_path(data):
        c.call("data_add", pointer, c.encoded(data))
    elif isinstance(data, (tuple, list)) and data and all(map(is_path, data)):
        for source in data:
            c.call("data_add", pointer, c.encoded(source))
    else:
        for batch in batches(data, names):
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
    add_data(opened.pointer, data, input_names(model))
    return opened
