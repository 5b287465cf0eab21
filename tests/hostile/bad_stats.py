# SPDX-License-Identifier: Apache-2.0
"""Statistics files that are damaged or malicious. Each function changes the arrays of a good one, of the model x[N,4] -> MatMul w[4,3] -> y, six
samples; `STATS` lists them with what the message must name."""
import numpy as np

STATS = []


def bad_stats(name, pattern):
    def register(function):
        STATS.append((name, function, pattern))
        return function

    return register


def wider(arrays, cols=4, classes=3, features=4, groups=1, sampled=6):
    """All arrays as if the layer were of other sizes."""
    n = groups * cols
    arrays["0/counts"] = np.array([groups, cols, 6, sampled], np.float64)
    for key in ("0/sum", "0/square", "0/absolute", "0/sampled_sum"):
        arrays[key] = np.ones((groups, cols))
    if "0/gram" in arrays:
        arrays["0/gram"] = np.ones((groups, cols * (cols + 1) // 2))
    if "0/kept" in arrays:
        arrays["0/kept"] = np.ones((sampled, n), np.float32)
    arrays["features"], arrays["logits"] = np.ones((6, features), np.float32), np.ones((6, classes), np.float32)


for name, pattern, sizes in (("statistics of fewer columns", "'w'", dict(cols=2)), ("statistics of more columns", "'w'", dict(cols=400)),
                             ("statistics of more groups", "'w'", dict(groups=5)), ("answers of more classes", "classes", dict(classes=5000)),
                             ("answers of fewer classes", "classes", dict(classes=1)), ("answers from more features", "features", dict(features=3000))):
    STATS.append((name, lambda arrays, sizes=sizes: wider(arrays, **sizes), pattern))


@bad_stats("features of three axes", "features")
def _(arrays):
    arrays["features"] = np.ones((6, 4, 0), np.float32)


@bad_stats("features and logits of different lengths", "features")
def _(arrays):
    arrays["features"] = np.ones((5, 4), np.float32)


@bad_stats("rows and columns whose product is no number", "not enough memory|counts")
def _(arrays):
    arrays["0/counts"] = np.array([1, 2.0 ** 39, 6, 2.0 ** 39])
    arrays["0/kept"] = np.zeros((0, 4), np.float32)
    arrays.pop("0/gram", None)


@bad_stats("counts that are not numbers", "counts")
def _(arrays):
    arrays["0/counts"] = np.array([1, 4, np.nan, np.nan])


@bad_stats("negative counts", "counts")
def _(arrays):
    arrays["0/counts"] = np.array([-1, -4, 6, 6.0])


@bad_stats("sums that are not numbers", "0/square")
def _(arrays):
    arrays["0/square"] = np.full((1, 4), np.nan)


@bad_stats("logits that are infinite", "logits")
def _(arrays):
    arrays["logits"] = np.full((6, 3), np.inf, np.float32)


@bad_stats("sums of another type", "0/sum")
def _(arrays):
    arrays["0/sum"] = np.ones((1, 4), np.float32)


@bad_stats("a weight without sums", "0/sum")
def _(arrays):
    del arrays["0/sum"]


@bad_stats("statistics of no weight", "'w'")
def _(arrays):
    for key in [key for key in arrays if key.startswith("0/")]:
        del arrays[key]


@bad_stats("statistics of another weight", "'w'")
def _(arrays):
    arrays["0/name"] = np.frombuffer(b"other", np.uint8)


@bad_stats("statistics of another model", "another model")
def _(arrays):
    arrays["model"] = np.full(64, ord("0"), np.uint8)
