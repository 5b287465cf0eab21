# SPDX-License-Identifier: Apache-2.0
"""Other kinds of users, made of the labelled part of a suite's users: half of it becomes what they prune with.

c1, c2, c3...    the user has so many of the classes
hid1, hid2...    so many of the classes come only after pruning
n10, n20, n40... the user has so few samples
zipf             the user's k-th class is 1/k as frequent as the first
"""
import re
import numpy as np

PATTERN = re.compile(r"(c|hid|n)([1-9][0-9]*)|zipf")


def known(name):
    return name == "all" or PATTERN.fullmatch(name) is not None


def shares(kind, count, classes):
    """What part of a class's samples the user has, before pruning and after."""
    before = np.ones(classes)
    if kind == "zipf":
        before = 1 / np.arange(1, classes + 1)
    elif kind == "c":
        before[count:] = 0
    after = before.copy()
    if kind == "hid":
        before[max(classes - count, 0):] = 0
    return before, after


def drawn(half, labels, classes, part):
    """The first of each class's samples, as many as part says; at least one of a class that is there."""
    rows = []
    for c, share in zip(classes, part):
        own = half[labels[half] == c]
        rows.append(own[:max(1, round(len(own) * float(share)))] if share else own[:0])
    return np.concatenate(rows)


def applied(user, number, name):
    """The user in that scenario; None where the user has no classes, or too few of them."""
    labels = user.labels
    if name == "all":
        return user
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return None
    kind, count = (PATTERN.fullmatch(name)[k] for k in (1, 2)) if name != "zipf" else ("zipf", 0)
    rng = np.random.default_rng(1000 + number)
    order = rng.permutation(len(labels))
    early, late = order[:len(order) // 2], order[len(order) // 2:]
    classes = rng.permutation(np.unique(labels))
    if kind in ("c", "hid") and int(count) >= len(classes):
        return None
    before, after = shares(kind, int(count), len(classes))
    local = rng.permutation(drawn(early, labels, classes, before))
    later = drawn(late, labels, classes, after)
    if kind == "n":
        local = local[:int(count)]
    return user._replace(local=user.test[local], local_labels=labels[local], test=user.test[later], labels=labels[later])
