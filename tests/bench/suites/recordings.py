# SPDX-License-Identifier: Apache-2.0
"""Other networks on the recordings of digits and activity: each is trained on some people and used by the others."""
import numpy as np, torch
from torch import nn
from .training import export, train


def people(folder):
    """{name: recordings}, in the order of names; the local part has no labels, so only the other one trains."""
    found = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as z:
            found[path.stem] = dict(local=z["local"].astype(np.float32), test=z["test"].astype(np.float32), test_labels=z["test_labels"])
    return found


def folds(folder, data, groups, build, **how):
    """A model for each group of people, trained on all others."""
    for k, group in enumerate(groups):
        rest = [user for name, user in data.items() if name not in group]
        x, y = (np.concatenate([user[key] for user in rest]) for key in ("test", "test_labels"))
        torch.manual_seed(20 + k)
        net = build(int(y.max()) + 1)
        train(net, x, y, **how)
        file = f"model{k + 1}.onnx"
        export(net, x[:2], folder / file)
        for name in group:
            yield dict(data[name], model=file)


def louder(x):
    """What training sees: a gain for each sample, and noise."""
    return x * (1 + .15 * torch.randn(len(x), *[1] * (x.dim() - 1))) + .05 * torch.randn_like(x)


class Last(nn.Module):
    """A recurrent network's last state, of steps that lie on the last axis."""
    def __init__(self, net, size, answers):
        super().__init__()
        self.net, self.head = net, nn.Linear(size, answers)

    def forward(self, x):
        return self.head(self.net(x.flatten(1, -2).permute(2, 0, 1))[0][-1])


def halves(options):
    data = people(options.shared / "activity")
    names = list(data)
    return data, (names[len(names) // 2:], names[:len(names) // 2])


def sensors(folder, options):
    net = lambda n: nn.Sequential(nn.AvgPool1d(4), nn.Flatten(), nn.Linear(192, 128), nn.ReLU(), nn.Dropout(.3), nn.Linear(128, 64),
                                  nn.ReLU(), nn.Linear(64, n))
    return folds(folder, *halves(options), net, epochs=40, batch=32, rate=.003, change=louder)


def sensors_lstm(folder, options):
    net = lambda n: Last(nn.LSTM(6, 48), 48, n)
    return folds(folder, *halves(options), net, epochs=20, batch=32, rate=.006, change=louder)


def words(folder, options):
    data = people(options.shared / "digits")
    names = list(data)
    net = lambda n: Last(nn.GRU(40, 96), 96, n)
    return folds(folder, data, (names[0:2], names[2:4], names[4:6]), net, epochs=25, batch=32, rate=.004, change=louder)
