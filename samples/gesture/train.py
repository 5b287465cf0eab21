#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the gesture network on everybody but one person and writes the files of this folder.

    python3 -m venv VENV && VENV/bin/pip install torch==2.13.0 numpy onnx seglearn==1.2.5
    VENV/bin/python train.py                  ten networks, each without one person; the demo is the person they find hardest
    VENV/bin/python train.py --person 3       the network without person 3 only
    VENV/bin/python train.py --all FOLDER     also keep all ten: FOLDER/personNN.onnx and .npz
"""
import argparse, concurrent.futures, functools, importlib.util, pathlib
import numpy as np, onnx, torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
NAMES = ["pendulum", "abduction", "forward elevation", "internal rotation", "external rotation", "trapezius extension",
         "upright row"]
WINDOW, HOP, TRAIN_HOP = 64, 24, 8      # samples of 1/25 s
EPOCHS, BATCH, SEED = 40, 64, 1


def recordings():
    """140 recordings as (person, class, signal [6, time]): acceleration and rotation, 25 Hz, steps of 1/256."""
    folder = pathlib.Path(importlib.util.find_spec("seglearn").origin).parent
    data = np.load(folder / "data" / "watch_dataset.npy", allow_pickle=True).item()
    for person, label, x in zip(data["subject"], data["y"], data["X"]):
        x = x[: len(x) // 2 * 2].reshape(-1, 2, 6).mean(1)
        yield int(person), int(label), (np.round(x * 256) / 256).astype(np.float32).T


def windows(signal, hop):
    return [signal[:, i:i + WINDOW] for i in range(0, signal.shape[1] - WINDOW + 1, hop)]


def split(signal):
    """First and second half of one recording, one window apart, so that nothing is in both."""
    middle = signal.shape[1] // 2
    return signal[:, :middle - WINDOW // 2], signal[:, middle + WINDOW // 2:]


def person_data(data, person):
    """{local, test: [n, 6, WINDOW], and the labels of both}."""
    parts = {"local": [], "test": [], "local_labels": [], "test_labels": []}
    for _, label, signal in (r for r in data if r[0] == person):
        for name, half in zip(("local", "test"), split(signal)):
            found = windows(half, HOP)
            parts[name] += found
            parts[name + "_labels"] += [label] * len(found)
    return {k: np.array(v, np.int64 if "labels" in k else np.float32) for k, v in parts.items()}


def network():
    def block(src, dst, kernel, stride):
        return [nn.Conv1d(src, dst, kernel, stride, kernel // 2), nn.BatchNorm1d(dst), nn.ReLU()]
    return nn.Sequential(nn.BatchNorm1d(6, affine=False), *block(6, 32, 7, 1), *block(32, 64, 5, 2), *block(64, 96, 5, 2),
                         *block(96, 96, 3, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(96, 7))


def augment(x, random):
    """Another wearer: the watch sits a little differently, moves faster or slower, stronger or weaker."""
    n = len(x)
    axis = random.normal(size=(n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = random.normal(0, 0.25, n)[:, None, None]
    k = np.zeros((n, 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    k -= k.transpose(0, 2, 1)
    turn = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    x = (turn[:, None] @ x.reshape(n, 2, 3, -1)).reshape(x.shape)
    x[:, 3:] *= random.uniform(0.8, 1.25, (n, 1, 1))
    return (x + random.normal(0, 0.03, x.shape)).astype(np.float32)


def stretch(signal, random):
    """A window of another speed, cut anywhere."""
    span = WINDOW * random.uniform(0.8, 1.25)
    at = random.uniform(0, max(signal.shape[1] - 1 - span, 0)) + np.arange(WINDOW) * span / WINDOW
    return np.stack([np.interp(at, np.arange(signal.shape[1]), s) for s in signal])


def train(data, person):
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)        # the same bits on any machine with the same processor features
    random = np.random.default_rng(SEED)
    mine = [(label, signal) for who, label, signal in data if who != person]
    owner = np.repeat(np.arange(len(mine)), [len(windows(s, TRAIN_HOP)) for _, s in mine])
    labels = np.array([mine[i][0] for i in owner])
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    steps = -(-len(owner) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, EPOCHS * steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for _ in range(EPOCHS):
        x = augment(np.stack([stretch(mine[i][1], random) for i in owner]), random)
        for batch in np.array_split(random.permutation(len(owner)), steps):
            optimizer.zero_grad()
            loss = loss_of(model(torch.from_numpy(x[batch])), torch.from_numpy(labels[batch]))
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def accuracy(model, x, labels):
    with torch.no_grad():
        return float((model(torch.from_numpy(x)).argmax(1).numpy() == labels).mean())


def readable(proto):
    """Conv2.weight in place of the exporter's onnx::Conv_56, so that reports can be read."""
    count, renamed = {}, {}
    for node in proto.graph.node:
        count[node.op_type] = count.get(node.op_type, 0) + 1
        node.name = f"{node.op_type}{count[node.op_type]}"
        parts = ["weight", "bias", "mean", "variance"]
        renamed |= {name: f"{node.name}.{part}" for name, part in zip(node.input[1:], parts)}
    for tensor in proto.graph.initializer:
        tensor.name = renamed[tensor.name]
    for node in proto.graph.node:
        node.input[1:] = [renamed[name] for name in node.input[1:]]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    onnx.checker.check_model(proto, full_check=True)
    return proto


def export(model, path):
    torch.onnx.export(model, (torch.zeros(1, 6, WINDOW),), path, dynamo=False, opset_version=17, input_names=["signal"],
                      output_names=["logits"], dynamic_axes={"signal": {0: "batch"}, "logits": {0: "batch"}})
    onnx.save(readable(onnx.load(path)), path)


def learn(data, person):
    model, part = train(data, person), person_data(data, person)
    return person, model, part, *(accuracy(model, part[k], part[k + "_labels"]) for k in ("local", "test"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--person", type=int, help="1 to 10; without it the person with the worst local half")
    parser.add_argument("--all", type=pathlib.Path, metavar="FOLDER", help="keep the networks and data of all ten")
    options = parser.parse_args()
    found = []
    with concurrent.futures.ProcessPoolExecutor() as pool:
        people = [options.person] if options.person else range(1, 11)
        for person, model, part, local, test in pool.map(functools.partial(learn, list(recordings())), people):
            counts = len(part["local"]), len(part["test"])
            print(f"person {person:2}: {counts[0]} local windows {local:.3f}, {counts[1]} test windows {test:.3f}", flush=True)
            found.append((local, person, model, part))
            if options.all:
                options.all.mkdir(parents=True, exist_ok=True)
                export(model, options.all / f"person{person:02}.onnx")
                np.savez_compressed(options.all / f"person{person:02}.npz",
                                    **{k: part[k] for k in ("local", "test", "test_labels")})
    _, person, model, part = min(found, key=lambda f: f[0])
    export(model, HERE / "gesture.onnx")
    np.savez_compressed(HERE / "local.npz", signal=part["local"])
    np.savez_compressed(HERE / "test.npz", signal=part["test"])
    np.save(HERE / "test_labels.npy", part["test_labels"])
    (HERE / "LABELS.txt").write_text("\n".join(NAMES) + "\n")
    print(f"wrote the demo of person {person}")


if __name__ == "__main__":
    main()
