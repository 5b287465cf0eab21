# SPDX-License-Identifier: Apache-2.0
"""How good answers are, from 0 to 1: each suite's own measure, the more the better."""
import numpy as np


def accuracy(answers, user):
    return (answers.argmax(-1) == user.labels).mean()


def f1(answers, user):
    """Micro-averaged over all tags; a logit above 0 is a tag."""
    said, true = answers > 0, user.labels > 0
    return 2 * (said & true).sum() / max(said.sum() + true.sum(), 1)


def skill(answers, user):
    """1 - error / error of the mean place, that is: 0 where the answer says no more than a constant."""
    return 1 - abs(answers - user.labels).mean() / abs(user.labels - user.labels.mean(0)).mean()


def area(answers, user):
    """Area below the ROC curve of the reconstruction's error, by ranks: odd samples should have the larger ones."""
    error = ((answers - user.test) ** 2).reshape(len(answers), -1).mean(1)
    rank, odd = np.argsort(np.argsort(error)) + 1, user.labels > 0
    count = odd.sum()
    return (rank[odd].sum() - count * (count + 1) / 2) / (count * (len(odd) - count))


def recall(answers, user):
    """Share of samples whose nearest neighbour, by cosine, is of the same identity."""
    points = answers / np.maximum(np.linalg.norm(answers, axis=1, keepdims=True), 1e-12)
    near = points @ points.T
    np.fill_diagonal(near, -2)
    return (user.labels[near.argmax(1)] == user.labels).mean()


OF = {"tags": ("F1", f1), "landmarks": ("skill", skill), "autoencoder": ("AUC", area), "faces": ("recall@1", recall),
      "faces-raw": ("recall@1", recall)}


def of(suite):
    return OF.get(suite, ("accuracy", accuracy))


def own_classes(suite, answers, user):
    """Accuracy when only the user's own classes are asked: what the inner layers still tell apart; None without classes."""
    if of(suite)[0] != "accuracy" or answers.ndim != 2 or user.labels.ndim != 1:
        return None
    own = np.unique(user.labels)
    return float((own[answers[:, own].argmax(1)] == user.labels).mean())
