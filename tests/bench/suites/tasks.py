# SPDX-License-Identifier: Apache-2.0
"""Networks whose answers are not one class for each sample, and a small transformer that does classify."""
import numpy as np, torch
from torch import nn
from .training import export, train


# ---- tags: several of 24, or none, as logits

def tags(folder, _):
    rng, count, width = np.random.default_rng(31), 24, 48
    parts, mix = rng.normal(size=(count, width)), rng.normal(size=(width, width)) / 7

    def samples(rng, n, often, offset):
        y = (rng.random((n, count)) < often).astype(np.float32)
        strength = rng.uniform(.6, 1.4, (n, count))
        return (np.tanh((y * strength) @ parts / 2) @ mix + offset + .25 * rng.normal(size=(n, width))).astype(np.float32), y

    x, y = samples(rng, 8000, .12, 0)
    net = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, count))
    train(net, x, y, epochs=20, batch=64, rate=.003, loss=nn.BCEWithLogitsLoss())
    export(net, x[:2], folder / "model.onnx")
    for k in range(5):
        rng = np.random.default_rng(310 + k)
        often = rng.permutation(np.r_[np.full(8, .25), np.full(8, .06), np.zeros(8) + .01])
        offset = .15 * rng.normal(size=width)
        local, _ = samples(rng, 250, often, offset)
        test, truth = samples(rng, 1000, often, offset)
        yield dict(local=local, test=test, test_labels=truth)


# ---- landmarks: where five spots are, as ten numbers

def spots(rng, n, centre, size, turn, light):
    """Grey pictures [n, 1, 24, 24] of a face of five spots, and the spots' places from 0 to 1."""
    base = np.array([[-.4, -.35], [.4, -.35], [0, .05], [-.3, .42], [.3, .42]])
    wide = np.array([1.1, 1.1, 1.6, .8, .8])
    scale, angle = rng.uniform(*size, n), rng.uniform(*turn, n)
    place = centre + rng.normal(0, .07, (n, 2))
    c, s = np.cos(angle), np.sin(angle)
    turned = np.stack([base[:, 0] * c[:, None] - base[:, 1] * s[:, None], base[:, 0] * s[:, None] + base[:, 1] * c[:, None]], 2)
    at = place[:, None] + turned * scale[:, None, None] + rng.normal(0, .012, (n, 5, 2))
    y, x = np.mgrid[:24, :24]
    away = (x - at[..., :1, None] * 23) ** 2 + (y - at[..., 1:, None] * 23) ** 2
    image = np.exp(-away / (2 * (wide[:, None, None]) ** 2)).sum(1) * light + rng.normal(0, .08, (n, 24, 24))
    return image[:, None].astype(np.float32), at.reshape(n, 10).astype(np.float32)


def landmarks(folder, _):
    x, y = spots(np.random.default_rng(41), 4000, np.array([.5, .5]), (.3, .6), (-.5, .5), 1)
    net = nn.Sequential(nn.Conv2d(1, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                        nn.Linear(24 * 36, 64), nn.ReLU(), nn.Linear(64, 10))
    with torch.no_grad():
        net[-1].bias.copy_(torch.as_tensor(y.mean(0)))
    train(net, x, y, epochs=15, batch=64, rate=.003, loss=nn.MSELoss())
    export(net, x[:2], folder / "model.onnx")
    for k in range(5):
        rng = np.random.default_rng(410 + k)
        low, turn = rng.uniform(.35, .48), rng.uniform(-.3, .3)
        how = rng.uniform(.44, .56, 2), (low, low + .07), (turn - .1, turn + .1), rng.uniform(.8, 1.1)
        local, _ = spots(rng, 250, *how)
        test, truth = spots(rng, 600, *how)
        yield dict(local=local, test=test, test_labels=truth)


# ---- autoencoder: what cannot be told in eight numbers is odd

def autoencoder(folder, _):
    rng, width, inner = np.random.default_rng(51), 160, 6
    first, second = rng.normal(size=(inner, 40)), rng.normal(size=(40, width)) / 4

    def normal(rng, n, middle, spread):
        z = middle + spread * rng.normal(size=(n, inner))
        return (np.tanh(z @ first / 2) @ second + .1 * rng.normal(size=(n, width))).astype(np.float32)

    x = normal(rng, 8000, 0, 1)
    net = nn.Sequential(nn.Linear(width, 96), nn.ReLU(), nn.Linear(96, 8), nn.Linear(8, 96), nn.ReLU(), nn.Linear(96, width))
    train(net, x, x, epochs=25, batch=64, rate=.004, loss=nn.MSELoss())
    export(net, x[:2], folder / "model.onnx")
    for k in range(5):
        rng = np.random.default_rng(510 + k)
        middle = .5 * rng.normal(size=inner)
        local, test = (normal(rng, n, middle, .5) for n in (250, 800))
        odd = np.arange(800) >= 400
        test[odd] += ((rng.random((400, width)) < .08) * rng.normal(0, .9, (400, width))).astype(np.float32)
        yield dict(local=local, test=test, test_labels=odd.astype(np.int64))


# ---- tokens: a tag for each word, which its neighbour has a say in

WORDS, TAGS, STEPS = 400, 9, 14


class Tagger(nn.Module):
    def __init__(self, squeezed):
        super().__init__()
        self.table, self.near = nn.Embedding(WORDS, 32), nn.Conv1d(32, 64, 3, padding=1)
        self.wide, self.head, self.squeezed = nn.Linear(64, 96), nn.Linear(96, TAGS), squeezed

    def forward(self, ids):
        x = torch.relu(self.near(self.table(ids).transpose(1, 2))).transpose(1, 2)
        y = self.head(torch.relu(self.wide(x)))
        return y.squeeze(0) if self.squeezed else y


def sentences(rng, n, often):
    """Words, and tags: a word has one of two tags, by whether the word before is of an even group."""
    plan = np.random.default_rng(61)
    group, pair = plan.integers(0, 6, WORDS), plan.integers(0, TAGS, (WORDS, 2))
    ids = rng.choice(WORDS, (n, STEPS), p=often)
    before = np.c_[np.zeros(n, int), group[ids[:, :-1]]] % 2
    return ids.astype(np.int64), pair[ids, before].astype(np.int64)


def tagger(folder, squeezed):
    x, y = sentences(np.random.default_rng(62), 6000, np.full(WORDS, 1 / WORDS))
    net = Tagger(False)
    train(net, x, y, epochs=8, batch=64, rate=.005, loss=lambda a, b: nn.functional.cross_entropy(a.flatten(0, 1), b.flatten()))
    net.squeezed = squeezed
    export(net, x[:1 if squeezed else 2], folder / "model.onnx", axes={} if squeezed else {"input": {0: "N"}, "output": {0: "N"}})
    for k in range(5):
        rng = np.random.default_rng(620 + k)
        often = rng.permutation(1 / np.arange(1, WORDS + 1))
        local, _ = sentences(rng, 200, often / often.sum())
        test, truth = sentences(rng, 400, often / often.sum())
        yield dict(local=local, test=test, test_labels=truth)


def tokens(folder, _):
    return tagger(folder, False)


def tokens_squeezed(folder, _):
    return tagger(folder, True)


# ---- faces: a point for each sample, near those of the same identity

class Embedding(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 96), nn.ReLU(), nn.Linear(96, 32))

    def forward(self, x):
        return nn.functional.normalize(self.net(x))


def faces(folder, _):
    """model.onnx brings the points to length 1; raw.onnx leaves that to the application, so it ends like a classifier."""
    rng, width, inner = np.random.default_rng(71), 64, 12
    first, second = rng.normal(size=(inner + 8, 60)) / 3, rng.normal(size=(60, width)) / 5

    def identities(rng, n, each, light):
        who = np.repeat(np.arange(n), each)
        hidden = np.c_[rng.normal(size=(n, inner))[who] + .45 * rng.normal(size=(len(who), inner)),
                       light + rng.normal(size=(len(who), 8))]      # the other eight say how a picture was taken
        return (np.tanh(hidden @ first) @ second + .08 * rng.normal(size=(len(who), width))).astype(np.float32), who

    x, y = identities(rng, 200, 40, 0)
    net, ideal = Embedding(width), nn.Linear(32, 200, bias=False)
    both = nn.Sequential(net, ideal)
    train(both, x, y, epochs=20, batch=64, rate=.004, loss=lambda a, b: nn.functional.cross_entropy(6 * a, b))
    export(net, x[:2], folder / "model.onnx")
    export(net.net, x[:2], folder / "raw.onnx")
    for k in range(5):
        rng = np.random.default_rng(710 + k)
        data, who = identities(rng, 12, 70, .5 * rng.normal(size=8))
        take = np.arange(len(who)) % 70 < 20
        order = rng.permutation(int(take.sum()))
        yield dict(local=data[take][order], test=data[~take], test_labels=who[~take])


# ---- topics: a small transformer tells what a sentence is about

class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.three, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.one, self.two = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        split = lambda t: t.reshape(t.shape[0], STEPS, self.heads, -1).transpose(1, 2)
        q, k, v = (split(t) for t in self.three(self.one(x)).chunk(3, 2))
        seen = torch.softmax(q @ k.transpose(2, 3) / q.shape[3] ** .5, 3) @ v
        x = x + self.out(seen.transpose(1, 2).reshape(x.shape))
        return x + self.wide(self.two(x))


class Transformer(nn.Module):
    def __init__(self, classes, width=40):
        super().__init__()
        self.table, self.place = nn.Embedding(WORDS, width), nn.Parameter(torch.randn(STEPS, width) / 5)
        self.layers = nn.Sequential(Layer(width, 4), Layer(width, 4))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, ids):
        return self.head(self.norm(self.layers(self.table(ids) + self.place)).mean(1))


def topics(folder, _):
    """A topic has words of its own that others use now and then; a user has favourites among them, and habits."""
    classes = 8
    rng = np.random.default_rng(81)
    often = np.exp(1.4 * rng.normal(size=(classes, WORDS)))

    def texts(rng, n, taste, stray):
        y = rng.permutation(np.arange(n) % classes)
        p = often * taste
        p = p / p.sum(1, keepdims=True)
        common = p.mean(0)
        ids = np.stack([np.where(rng.random(STEPS) < stray, rng.choice(WORDS, STEPS, p=common), rng.choice(WORDS, STEPS, p=p[c]))
                        for c in y])
        return ids.astype(np.int64), y.astype(np.int64)

    x, y = texts(rng, 6000, 1, .45)
    net = Transformer(classes)
    train(net, x, y, epochs=6, batch=32, rate=.003)
    export(net, x[:2], folder / "model.onnx")
    for k in range(8):
        rng = np.random.default_rng(810 + k)
        taste = np.exp(1.5 * rng.normal(size=WORDS)) * np.exp(.7 * rng.normal(size=(classes, WORDS)))
        (local, own), (test, truth) = (texts(rng, n, taste, .45) for n in (200, 320))
        yield dict(local=local, local_labels=own, test=test, test_labels=truth)
