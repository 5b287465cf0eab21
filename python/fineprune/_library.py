# SPDX-License-Identifier: Apache-2.0
"""The C library by ctypes: its structs and functions as fineprune.h has them, and errors as exceptions."""
import ctypes
import operator
import os
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_double, c_int, c_int64, c_size_t, c_void_p
from ctypes.util import find_library
from pathlib import Path

STRINGS = POINTER(c_char_p)
PROGRESS = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, c_size_t, c_size_t)


class Error(Exception):
    """A call failed. `hint` says how to mend it, where that is known."""

    def __init__(self, message, hint=""):
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message, self.hint = message, hint


class InternalError(Error):
    """A mistake of the library."""


class UsageError(Error, ValueError):
    """An argument that makes no sense."""


class ModelError(Error, ValueError):
    """The model is unreadable, invalid or uses something that is not supported."""


class DataError(Error, ValueError):
    """The data are missing or do not fit the model."""


class GateError(Error):
    """The result is whole, but a promise is not kept, or any zeros ruin the model. `report` says how far it came."""

    report = None


class FileError(Error, OSError):
    """Reading or writing failed."""


class LimitError(Error, MemoryError):
    """Memory or another limit."""


class CancelledError(Error):
    """The progress callback asked to stop."""


KINDS = (Error, InternalError, UsageError, ModelError, DataError, GateError, FileError, LimitError, CancelledError)
GATE, CANCELLED = 5, 8


class CError(ctypes.Structure):
    _fields_ = [("status", c_int), ("message", c_char * 1000), ("hint", c_char * 500)]


class RunOptions(ctypes.Structure):
    _fields_ = [("threads", c_int), ("max_memory", c_size_t), ("batch", c_size_t), ("progress", PROGRESS), ("progress_user", c_void_p),
                ("scratch", c_char_p)]


class Sized(ctypes.Structure):
    """Options that grow by members at their end; their size says which the caller knows."""

    def __init__(self, **members):
        super().__init__(size=ctypes.sizeof(type(self)), **members)


class SaveOptions(Sized):
    _fields_ = [("size", c_size_t), ("force", c_bool), ("sparse_initializers", c_bool), ("external_data", c_int), ("group", c_void_p),
                ("sparse_count", c_void_p)]


class DataOptions(Sized):
    _fields_ = [("size", c_size_t), ("limit", c_size_t), ("preprocess", c_char_p), ("resize", c_char_p), ("crop", c_char_p), ("mean", c_char_p),
                ("std", c_char_p), ("layout", c_char_p), ("rate", c_char_p), ("shapes", STRINGS), ("n_shapes", c_size_t),
                ("on_bad_file", c_char_p), ("resample", c_char_p), ("color", c_char_p), ("no_exif", c_bool), ("window", c_char_p),
                ("hop", c_char_p), ("threads", c_int)]


class Array(ctypes.Structure):
    _fields_ = [("input", c_char_p), ("type", c_int), ("rank", c_int), ("dims", POINTER(c_int64)), ("strides", POINTER(c_int64)),
                ("data", c_void_p)]


class PruneOptions(Sized):
    _fields_ = [("size", c_size_t), ("sparsity", c_double), ("method", c_char_p), ("score", c_char_p), ("allocation", c_char_p),
                ("pattern", c_char_p), ("repair", c_char_p), ("outputs", c_char_p), ("readout", c_char_p), ("rounds", c_int),
                ("min_agreement", c_double), ("reserve", c_double), ("include", STRINGS), ("exclude", STRINGS), ("keep_first", c_bool),
                ("keep_last", c_bool), ("no_metadata", c_bool), ("run", RunOptions), ("channels", c_char_p), ("swaps", c_char_p),
                ("refit", c_char_p), ("task", c_char_p), ("min_taught_agreement", c_double), ("strict_sparsity", c_bool),
                ("target", c_char_p), ("multiple", c_size_t), ("shrink_outputs", c_bool), ("runtime_profile", c_char_p)]


class CompareOptions(Sized):
    _fields_ = [("size", c_size_t), ("task", c_char_p), ("labels", c_char_p), ("run", RunOptions), ("layers", c_bool)]


STRUCTS = {"fineprune_error": CError, "fineprune_run_options": RunOptions, "fineprune_save_options": SaveOptions,
           "fineprune_data_options": DataOptions, "fineprune_array": Array, "fineprune_prune_options": PruneOptions,
           "fineprune_compare_options": CompareOptions}

P, OUT, ERROR = c_void_p, POINTER(c_void_p), POINTER(CError)
FUNCTIONS = {  # what is called here: the result, and the arguments before the error
    "version": (c_char_p, []),
    "model_open": (c_int, [OUT, c_char_p, P, ERROR]),
    "model_read": (c_int, [OUT, P, c_size_t, c_char_p, P, ERROR]),
    "model_free": (None, [P]),
    "model_input": (c_char_p, [P, c_size_t]),
    "model_write": (c_int, [P, OUT, POINTER(c_size_t), P, ERROR]),
    "model_save": (c_int, [P, c_char_p, P, ERROR]),
    "data_open": (c_int, [OUT, P, P, ERROR]),
    "data_free": (None, [P]),
    "data_add": (c_int, [P, c_char_p, ERROR]),
    "data_add_arrays": (c_int, [P, P, c_size_t, ERROR]),
    "data_samples": (c_size_t, [P]),
    "report_free": (None, [P]),
    "report_json": (P, [P]),
    "report_summary": (P, [P]),
    "report_html": (P, [P]),
    "prune": (c_int, [P, P, P, OUT, ERROR]),
    "runtime_compacts": (c_bool, [c_char_p]),
    "masks_save": (c_int, [P, c_char_p, c_bool, P, ERROR]),
    "score": (c_int, [OUT, P, P, P, ERROR]),
    "stats_open": (c_int, [OUT, c_char_p, ERROR]),
    "stats_save": (c_int, [P, c_char_p, c_bool, ERROR]),
    "stats_merge": (c_int, [P, P, ERROR]),
    "stats_free": (None, [P]),
    "apply": (c_int, [P, P, P, OUT, ERROR]),
    "compact": (c_int, [P, c_size_t, P, OUT, ERROR]),
    "inspect": (c_int, [P, OUT, ERROR]),
    "compare_with": (c_int, [P, P, P, P, OUT, ERROR]),
}


def load():
    here = Path(__file__).parent
    named = os.environ.get("FINEPRUNE_LIBRARY")
    tried = [named] if named else [*map(str, here.glob("libfineprune.so*")), find_library("fineprune") or "libfineprune.so.0"]
    for path in tried:
        try:
            library = ctypes.CDLL(path)  # which lets go of the interpreter's lock while it works
        except OSError as failure:
            last = failure
            continue
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(library, "fineprune_" + name)
            function.restype, function.argtypes = result, arguments
        return library
    raise ImportError(f"libfineprune is not found: {last}; FINEPRUNE_LIBRARY names it, or install it where the system looks")


LIBRARY = load()
FREE = ctypes.CDLL(None).free
FREE.argtypes, FREE.restype = [c_void_p], None


def call(name, *arguments):
    """A function that can fail, with the error behind its arguments."""
    error = CError()
    status = getattr(LIBRARY, "fineprune_" + name)(*arguments, byref(error))
    if status:
        raise KINDS[status](error.message.decode(errors="replace"), error.hint.decode(errors="replace"))


def text(name, handle):
    pointer = getattr(LIBRARY, "fineprune_" + name)(handle)
    if not pointer:
        raise LimitError("not enough memory for the report")
    try:
        return ctypes.string_at(pointer).decode()
    finally:
        FREE(pointer)


def encoded(value):
    """A C string; None stays None."""
    if value is None:
        return None
    text = os.fsencode(value) if isinstance(value, os.PathLike) else str(value).encode()
    if b"\0" in text:
        raise UsageError(f"{value!r} has a NUL in it")
    return text


def counts(**values):
    """Whole numbers that C has room for."""
    for name, value in values.items():
        if not 0 <= operator.index(value) < 1 << (31 if name == "threads" else 63):
            raise UsageError(f"{name} {value} is no number of them")
    return values


def path(value, what):
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{what} are a path, not {type(value).__name__}")
    return value


def strings(values):
    """A NULL-terminated list; None stays None."""
    if values is None:
        return None
    values = [values] if isinstance(values, (str, os.PathLike)) else list(values)
    return (c_char_p * (len(values) + 1))(*map(encoded, values), None)


class Handle:
    """What the library gave, freed with the last reference to it."""

    def __init__(self, free):
        self.pointer, self.free = c_void_p(), getattr(LIBRARY, "fineprune_" + free)

    @property
    def out(self):
        return byref(self.pointer)

    def __del__(self):
        if self.pointer:
            self.free(self.pointer)
            self.pointer = c_void_p()
