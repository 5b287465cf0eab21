# SPDX-License-Identifier: Apache-2.0
"""A small residual network on small colour pictures of ten kinds of shapes; users differ in their camera."""
import numpy as np, torch
from torch import nn
from .training import export, train

# ---- small colour pictures

SIDE, KINDS, TRAIN = 32, 10, 6000


def shape_of(kind, u, v):
    """Above 0 inside the shape, about the distance from its edge; u and v run from -1 to 1 across it."""
    r, angle = np.hypot(u, v), np.arctan2(v, u)
    return [lambda: 1 - r,                                                             # disc
            lambda: 1 - np.hypot(u, v * 1.8),                                          # ellipse
            lambda: .85 - np.maximum(abs(u), abs(v)),                                  # square
            lambda: np.minimum(.6 + v, .75 - .87 * abs(u) - .5 * v),                   # triangle
            lambda: .7 + .3 * np.cos(5 * angle) - r,                                   # star
            lambda: .25 - abs(r - .75),                                                # ring
            lambda: np.maximum(np.minimum(.3 - abs(u), 1 - abs(v)), np.minimum(.3 - abs(v), 1 - abs(u))),      # cross
            lambda: np.minimum(1 - r, np.hypot(u - .5, v) - .75),                      # crescent
            lambda: .9 - np.maximum(abs(v), .87 * abs(u) + .5 * abs(v)),               # hexagon
            lambda: np.minimum(abs(u) - .2, .85 - np.maximum(abs(u), abs(v)))][kind]() # two bars


def smooth(rng, n, channels, knots):
    """Random fields [n, channels, SIDE, SIDE] that vary over SIDE / knots pixels, from -1 to 1."""
    grid = rng.uniform(-1, 1, (n, channels, knots + 1, knots + 1))
    at = np.linspace(0, knots - 1e-6, SIDE)
    k, f = at.astype(int), at % 1
    rows = grid[:, :, k] * (1 - f)[:, None] + grid[:, :, k + 1] * f[:, None]
    return rows[..., k] * (1 - f) + rows[..., k + 1] * f


def coloured(hue, saturation, value):
    """HSV to RGB, [n] each to [n, 3]."""
    k = (np.array([5, 3, 1]) + hue[:, None] * 6) % 6
    return value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))


def placed(rng, kinds, small):
    """Masks [n, SIDE, SIDE] of shapes somewhere, of some size and skew."""
    n = len(kinds)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    size = rng.uniform(3, 5, n) if small else rng.uniform(6, 11, n)
    reach = 12 if small else 5
    cx, cy = rng.uniform(-reach, reach, (2, n))
    turn, skew, long = rng.uniform(-.6, .6, n), rng.uniform(-.3, .3, n), np.exp(rng.uniform(-.25, .25, n))
    at = lambda a: a[:, None, None]
    dx, dy = (x - at(cx)) / at(size * long), (y - at(cy)) / at(size / long)
    u = np.cos(at(turn)) * dx + np.sin(at(turn)) * dy
    v = np.cos(at(turn)) * dy - np.sin(at(turn)) * dx + at(skew) * u
    mask = np.empty((n, SIDE, SIDE))
    for kind in range(KINDS):
        mask[kinds == kind] = shape_of(kind, u[kinds == kind], v[kinds == kind])
    return np.clip(mask * at(size) + .5, 0, 1)


def pictures(rng, kinds):
    """Shapes with a texture before a background with small shapes in it, [n, 3, SIDE, SIDE] from 0 to 1. A kind has a
    colour and a texture that it has more often than others have."""
    n = len(kinds)
    at = lambda a: a[..., None, None]
    own = rng.random(n) < .6
    hue = np.where(own, kinds / KINDS + rng.normal(0, .05, n), rng.random(n)) % 1
    image = at(coloured(rng.random(n), rng.uniform(.1, .7, n), rng.uniform(.25, .85, n))) + .15 * smooth(rng, n, 3, 3)
    image += at(rng.uniform(0, .25, (n, 1))) * smooth(rng, n, 1, 12)
    for _ in range(1):
        other = placed(rng, rng.integers(0, KINDS, n), True)[:, None]
        image = image * (1 - other) + other * at(coloured(rng.random(n), rng.uniform(.2, .9, n), rng.uniform(.3, 1, n)))
    y, x = np.mgrid[:SIDE, :SIDE]
    slope = np.where(own, kinds * np.pi / KINDS, rng.uniform(0, np.pi, n))
    wave = np.sin(at(rng.uniform(.7, 1.8, n)) * (x * np.cos(at(slope)) + y * np.sin(at(slope))))[:, None]
    front = at(coloured(hue, rng.uniform(.3, .9, n), rng.uniform(.3, 1, n))) * (1 + at(rng.uniform(0, .4, (n, 1))) * wave)
    mask = placed(rng, kinds, False)[:, None] * at(rng.uniform(.75, 1, (n, 1)))
    image = image * (1 - mask) + mask * front
    return np.clip(image + rng.normal(0, .04, image.shape), 0, 1)


def blurred(image, width):
    at = np.arange(-4, 5)
    weight = np.exp(-at ** 2 / (2 * width ** 2))
    for axis in (2, 3):
        padded = np.pad(image, [(4, 4) if a == axis else (0, 0) for a in range(4)], "edge")
        image = sum(w * padded.take(range(k, k + SIDE), axis) for k, w in enumerate(weight / weight.sum()))
    return image


def turned_hue(image, angle):
    """Colours turned about the grey axis (the rotation of YIQ's colour plane)."""
    yiq = np.array([[.299, .587, .114], [.596, -.274, -.322], [.211, -.523, .312]])
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.einsum("ij,njyx->niyx", np.linalg.inv(yiq) @ turn @ yiq, image)


CAMERAS = {     # what a user's camera makes of a picture
    "blur": lambda rng, image, s: blurred(image, s),
    "dark": lambda rng, image, s: image ** 1.3 * s,
    "pale": lambda rng, image, s: .55 + (image - .5) * s,
    "noise": lambda rng, image, s: image + rng.normal(0, s, image.shape),
    "hue": lambda rng, image, s: turned_hue(image, s),
}
SHIFTS = [("blur", .6), ("dark", .6), ("pale", .7), ("noise", .03), ("hue", .3),
          ("blur", .8), ("dark", .5), ("pale", .6), ("noise", .045), ("hue", -.5)]


def residual_users():
    for k, (camera, strength) in enumerate(SHIFTS):
        rng = np.random.default_rng(100 + k)
        parts = []
        for n in (200, 300):
            kinds = rng.permutation(np.arange(n) % KINDS)
            image = CAMERAS[camera](rng, pictures(rng, kinds), strength)
            parts.append((prepared(np.clip(image, 0, 1)), kinds))
        yield dict(local=parts[0][0], local_labels=parts[0][1], test=parts[1][0], test_labels=parts[1][1])


def prepared(image):
    return ((np.round(image * 255) / 255 - .5) / .25).astype(np.float32)


def residual_net():
    class Block(nn.Module):
        def __init__(self, a, b, stride):
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
                                       nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b))
            self.past = nn.Identity() if a == b else nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

        def forward(self, x):
            return torch.relu(self.first(x) + self.past(x))

    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Block(16, 24, 2),
                         Block(24, 48, 2), Block(48, 96, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, KINDS))


def residual(folder, _):
    """model.onnx and dynamo.onnx: the two exporters fold and pool in ways of their own."""
    rng = np.random.default_rng(1)
    kinds = rng.permutation(np.arange(TRAIN) % KINDS)
    x = torch.as_tensor(prepared(pictures(rng, kinds))).contiguous(memory_format=torch.channels_last)      # trains faster
    net = residual_net().to(memory_format=torch.channels_last)
    train(net, x, kinds, epochs=9, batch=32, rate=.004, change=lambda b: b.flip(3) if torch.rand(1) < .5 else b)
    net, example = net.to(memory_format=torch.contiguous_format), x[:2].contiguous()
    export(net, example, folder / "model.onnx")
    export(net, example, folder / "dynamo.onnx", dynamo=True)
    return residual_users()
