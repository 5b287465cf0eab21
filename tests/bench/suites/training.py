# SPDX-License-Identifier: Apache-2.0
"""Training and export that all suites share."""
import sys, warnings
import torch


def train(net, x, y, epochs, batch, rate, loss=None, change=lambda b: b):
    """AdamW with one cycle of the rate; the order and the weights are the seed's."""
    loss = loss or torch.nn.CrossEntropyLoss()
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    net.train()
    for epoch in range(epochs):
        order, total = torch.randperm(len(x)), 0
        for k in range(len(x) // batch):
            pick = order[k * batch:(k + 1) * batch]
            cost = loss(net(change(x[pick])), y[pick])
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()
            plan.step()
            total += float(cost.detach())
        print(f"epoch {epoch + 1}: loss {total / (len(x) // batch):.3f}", file=sys.stderr)
    net.eval()


def export(net, example, path, names=("input", "output"), axes=None, dynamo=False):
    """An ONNX file whose axis 0 is open; axes: the open ones, when they are others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more = dict(dynamic_shapes=({0: torch.export.Dim("N")},)) if dynamo else dict(
            dynamic_axes={n: {0: "N"} for n in names} if axes is None else axes)
        program = torch.onnx.export(net, (torch.as_tensor(example),), None if dynamo else str(path), input_names=[names[0]],
                                    output_names=[names[1]], dynamo=dynamo, **more)
        if dynamo:
            program.save(str(path))
