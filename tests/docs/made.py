# SPDX-License-Identifier: Apache-2.0
"""What the guide and the recipes speak of, small: a trained network of photos (the same numbers for ONNX and for PyTorch), the photos of a user who has
four of its six kinds and another camera, and the same again, day by day."""
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from PIL import Image

KINDS = ["beach", "dog", "forest", "mug", "street", "sunset"]
USERS = [0, 1, 3, 5]  # the kinds that the user has
SIDE, CHANNELS = 32, 96
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

MYNET = '''import numpy as np
import torch
from torch import nn

net = nn.Sequential(nn.Conv2d(3, 96, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(96, 96, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                    nn.Conv2d(96, 96, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 6))
with torch.no_grad():
    for parameter, array in zip(net.parameters(), np.load("mynet.npz").values()):
        parameter.copy_(torch.from_numpy(array))
'''


def photos(random, kinds, warmth=0.0):
    """Smooth colour pictures, 0 to 255: kinds differ in colour and in the direction of their stripes; a warm camera has more red and less blue."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    made = np.empty((len(kinds), 3, SIDE, SIDE))
    for i, kind in enumerate(kinds):
        angle = np.pi * kind / len(KINDS) + 0.15 * random.standard_normal()
        wave = np.sin(2 * np.pi * (3 + 0.4 * random.standard_normal()) * (x * np.cos(angle) + y * np.sin(angle)) + 6 * random.random())
        tint = np.array([np.cos(kind), np.sin(2 * kind), np.cos(3 * kind + 1)]) * 0.4 + np.array([warmth, 0, -warmth]) + 0.3 * random.standard_normal(3)
        made[i] = 120 + 35 * tint[:, None, None] + 30 * wave * (1 + 0.3 * random.standard_normal()) + 12 * random.standard_normal((3, SIDE, SIDE))
    return np.round(np.clip(made, 0, 255)).astype(np.uint8)


def prepared(pictures):
    return ((pictures / 255 - MEAN[:, None, None]) / DEVIATION[:, None, None]).astype(np.float32)


def graph(weights, outputs):
    node = helper.make_node
    layer = lambda kind, given, made, at, **attributes: node(kind, [given, f"{at}.weight", f"{at}.bias"], [made], **attributes)
    nodes = [layer("Conv", "image", "a", 0, pads=[1] * 4), node("Relu", ["a"], ["b"]), node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
             layer("Conv", "c", "d", 3, pads=[1] * 4), node("Relu", ["d"], ["e"]), node("MaxPool", ["e"], ["f"], kernel_shape=[2, 2], strides=[2, 2]),
             layer("Conv", "f", "g", 6, pads=[1] * 4), node("Relu", ["g"], ["h"]), node("GlobalAveragePool", ["h"], ["i"]), node("Flatten", ["i"], ["j"])]
    if "10.weight" in weights:
        nodes.append(layer("Gemm", "j", "scores", 10, transB=1))
    value = lambda name, dims: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *dims])
    made = helper.make_graph(nodes, "mynet", [value("image", [3, SIDE, SIDE])], [value(name, dims) for name, dims in outputs],
                             [numpy_helper.from_array(array, name) for name, array in weights.items()])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def trained(random):
    """Random features, each layer with outputs of deviation 1, and a last layer fitted to photos of all kinds."""
    kinds = random.integers(0, len(KINDS), 900)
    x, weights = prepared(photos(random, kinds)), {}
    for at, inputs in ((0, 3), (3, CHANNELS), (6, CHANNELS)):
        weights[f"{at}.weight"] = (random.standard_normal((CHANNELS, inputs, 3, 3)) * (2 / (9 * inputs)) ** 0.5).astype(np.float32)
        weights[f"{at}.bias"] = (0.1 * random.standard_normal(CHANNELS)).astype(np.float32)
    session = ort.InferenceSession(graph(weights, [("j", [CHANNELS])]).SerializeToString())
    features = session.run(None, {"image": x})[0]
    mean = features.mean(0)
    centred, wanted = features - mean, 10 * np.eye(len(KINDS))[kinds] - 10 / len(KINDS)
    last = np.linalg.solve(centred.T @ centred + 0.02 * len(x) * centred.var(0).mean() * np.eye(CHANNELS), centred.T @ wanted)
    weights["10.weight"], weights["10.bias"] = last.T.astype(np.float32), (-mean @ last).astype(np.float32)
    return weights


def store_photos(folder, pictures, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{first + i:04}.png")


def make(folder):
    """model.onnx, mynet.py and its numbers, photos/ (no labels), the same as an array and day by day in inbox/, two users, and test/ (one folder for each kind)."""
    random = np.random.default_rng(7)
    weights = trained(random)
    np.savez(folder / "mynet.npz", **weights)
    (folder / "mynet.py").write_text(MYNET)
    onnx.save(graph(weights, [("scores", [len(KINDS)])]), folder / "model.onnx")
    kinds = random.choice(USERS, 200)
    pictures = photos(random, kinds, warmth=0.5)
    store_photos(folder / "photos", pictures)
    np.save(folder / "photos.npy", prepared(pictures))
    for kind in USERS:
        store_photos(folder / "test" / KINDS[kind], photos(random, np.full(30, kind), warmth=0.5))
    for day, part in zip(("monday", "tuesday", "wednesday"), np.array_split(pictures, 3)):
        store_photos(folder / "inbox" / day, part)
    for user, part in zip(("anna", "ben"), np.array_split(pictures, 2)):
        store_photos(folder / "users" / user, part)


def describe(folder):
    """preprocess.json and labels.txt, which the guide and the recipes have their readers write."""
    (folder / "preprocess.json").write_text(json.dumps({"resize": SIDE, "crop": SIDE, "mean": list(MEAN), "std": list(DEVIATION)}))
    (folder / "labels.txt").write_text("".join(f"{kind}\n" for kind in KINDS))


if __name__ == "__main__":
    import sys
    make(Path(sys.argv[1]))
