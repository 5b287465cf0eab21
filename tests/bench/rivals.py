#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole channels, removed to the same multiply-adds by fineprune and by others: who is more accurate, who is faster?

Needs a Python with numpy, onnx, onnxruntime, onnxsim 0.8.1, torch, torch-pruning, onnx2torch and onnxscript; a column whose package
is missing is left out with a word. The others get what favours them: the share of channels at which they meet the multiply-adds is
looked for and its seconds are not counted, and of torch-pruning's criteria that need no labels, the best of each user counts.
"""
import argparse, copy, functools, importlib.util, json, os, pathlib, statistics, subprocess, sys, tempfile, time, warnings
import numpy as np, onnx, onnxruntime as ort

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/reference"))
import count_macs  # noqa: E402
from suites.users import Missing, SUITES  # noqa: E402

CLOSE = .02     # a share of channels is near enough where the multiply-adds are so near below the target


def input_name(model):
    stored = {i.name for i in model.graph.initializer}
    return next(i.name for i in model.graph.input if i.name not in stored)


def macs(model, user):
    return count_macs.count(model, {input_name(model): user.local[:1]})[0]


def accuracy(model, user):
    session = ort.InferenceSession(model.SerializeToString())
    name = input_name(model)
    y = np.concatenate([session.run(None, {name: user.test[i:i + 1]})[0] for i in range(len(user.test))])
    return float((y.argmax(1) == user.labels).mean())


def searched(make, dense, user, target):
    """(model, seconds) of the least share of channels that meets the target; None where none does."""
    low, high, best = 0., 1., None
    for _ in range(12):
        share = (low + high) / 2
        start = time.perf_counter()
        try:
            model = make(share)
            seconds = time.perf_counter() - start
            left = macs(model, user) / dense
        except Exception:      # so much cannot be taken
            high = share
            continue
        if left > target:
            low = share
            continue
        high, best = share, (model, seconds)
        if left > target - CLOSE:
            break
    return best


# ---- fineprune

def ours(options, user, target, *more):
    with tempfile.TemporaryDirectory() as folder:
        data, out = pathlib.Path(folder, "local.npz"), pathlib.Path(folder, "out.onnx")
        np.savez(data, **{input_name(onnx.load(user.model)): user.local})
        start = time.perf_counter()
        done = subprocess.run([options.binary, "prune", user.model, "--data", data, "-o", out, "--target", f"macs={target}", *more],
                              capture_output=True, text=True)
        if done.returncode:
            print(done.stderr.strip(), file=sys.stderr)
            return None
        return onnx.load(out), time.perf_counter() - start


# ---- onnxsim

def onnxsim_column(name, **more):
    def column(options, user, target, dense):
        import onnxsim
        model = onnx.load(user.model)
        if name == "apply_structured_wanda_pruning":
            more["calibration_data"] = [{input_name(model): user.local[i:i + 1]} for i in range(len(user.local))]
        return searched(lambda share: getattr(onnxsim, name)(copy.deepcopy(model), sparsity=share, **more), dense, user, target)
    return column


# ---- torch-pruning

def pseudo_labelled(net, user):
    """Gradients of the loss against the model's own answers: no labels."""
    import torch
    for i in range(0, len(user.local), 32):
        y = net(torch.from_numpy(user.local[i:i + 32]))
        torch.nn.functional.cross_entropy(y, y.detach().argmax(1)).backward()


def exported(net, user):
    import torch
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "out.onnx")
        torch.onnx.export(net, (torch.from_numpy(user.local[:1]),), path, input_names=["x"], dynamo=False)
        return onnx.load(path)


def taken(user, importance, everywhere, learns, share):
    import onnx2torch, torch, torch.onnx.symbolic_helper, torch_pruning
    helper = torch.onnx.symbolic_helper
    if not hasattr(helper, "_export_onnx_opset_version"):     # onnx2torch asks for it, and newer torch has it no more
        helper._export_onnx_opset_version = 17
    net = onnx2torch.convert(str(user.model)).eval()
    for p in net.parameters():
        p.requires_grad_(True)
    last = [m for m in net.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.Conv1d))][-1]
    pruner = torch_pruning.pruner.BasePruner(net, torch.from_numpy(user.local[:1]), importance=importance, pruning_ratio=share,
                                            global_pruning=everywhere, ignored_layers=[last])
    if learns:
        pseudo_labelled(net, user)
    pruner.step()
    return exported(net, user)


def torch_column(options, user, target, dense):
    import torch_pruning
    of = torch_pruning.importance
    kinds = [("L1", of.GroupMagnitudeImportance(p=1), False), ("L2", of.GroupMagnitudeImportance(p=2), False),
             ("LAMP", of.LAMPImportance(p=2), False), ("Taylor", of.GroupTaylorImportance(), True)]
    best = None
    for name, importance, learns in kinds:
        for everywhere in (False, True):
            found = searched(functools.partial(taken, user, importance, everywhere, learns), dense, user, target)
            if not found:
                continue
            score = accuracy(found[0], user)
            print(f"  torch-pruning, {name}{', global' * everywhere}: {score:.3f}", file=sys.stderr)
            if best is None or score > best[2]:
                best = (*found, score)
    return best and best[:2]


COLUMNS = {
    "fineprune": (None, lambda o, user, target, dense: ours(o, user, target)),
    "fineprune, nothing learned": (None, lambda o, user, target, dense: ours(o, user, target, "--outputs", "keep", "--readout", "keep")),
    "onnxsim structured": ("onnxsim", onnxsim_column("apply_structured_pruning")),
    "onnxsim structured, global": ("onnxsim", onnxsim_column("apply_structured_pruning", global_sparsity=True)),
    "onnxsim structured wanda": ("onnxsim", onnxsim_column("apply_structured_wanda_pruning")),
    "onnxsim structured wanda, global": ("onnxsim", onnxsim_column("apply_structured_wanda_pruning", global_sparsity=True)),
    "torch-pruning": ("torch_pruning", torch_column),
}


def measure(options, suite, users):
    rows = []
    for user in users[:options.users]:
        user = user._replace(local=user.local.astype(np.float32, copy=False), test=user.test.astype(np.float32, copy=False))
        model = onnx.load(user.model)
        dense = macs(model, user)
        for name, (package, column) in COLUMNS.items():
            if package and not importlib.util.find_spec(package):
                print(f"{name}: left out, no package {package}", file=sys.stderr)
                continue
            row = dict(suite=suite, user=user.name, column=name, dense=accuracy(model, user))
            found = column(options, user, options.macs, dense)
            if found:
                row |= dict(score=accuracy(found[0], user), macs=macs(found[0], user) / dense, seconds=found[1])
            rows.append(row)
            print(f"{suite}: {user.name}: {name}: " + (f"{row['score']:.3f} with {row['macs']:.3f} of the multiply-adds, {row['seconds']:.1f} s"
                                                      if found else "the target is out of reach"), file=sys.stderr)
    return rows


def print_table(rows):
    print("| suite | users | column | dense | accuracy | multiply-adds | seconds |\n|---|---|---|---|---|---|---|")
    for suite, name in dict.fromkeys((r["suite"], r["column"]) for r in rows):
        group = [r for r in rows if (r["suite"], r["column"]) == (suite, name)]
        there = [r for r in group if "score" in r]
        mean = lambda key: statistics.mean(r[key] for r in there)
        tail = f"{mean('dense'):.3f} | {mean('score'):.3f} | {mean('macs'):.3f} | {mean('seconds'):.2f}" if there else "| out of reach | |"
        print(f"| {suite} | {len(there)} of {len(group)} | {name} | {tail} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", default=os.environ.get("FINEPRUNE", str(ROOT / "build/fineprune")))
    p.add_argument("--suite", default="gesture,digits,activity,images", help=f"which, with commas: {', '.join(SUITES)}")
    p.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared/bench", help="folder of digits, activity and images")
    p.add_argument("--work", type=pathlib.Path, default=ROOT / "build/bench")
    p.add_argument("--made", type=pathlib.Path, default=ROOT / "build/bench/made", help="folder of the suites that are made")
    p.add_argument("--torch", help="a Python that has torch, to make suites with")
    p.add_argument("--macs", type=float, default=.5, help="share of the multiply-adds that may stay (.5)")
    p.add_argument("--users", type=int, help="at most so many of each suite")
    p.add_argument("--json", type=pathlib.Path, help="every measurement")
    options, rows = p.parse_args(), []
    warnings.simplefilter("ignore")
    ort.set_default_logger_severity(3)
    for suite in options.suite.split(","):
        try:
            rows += measure(options, suite, SUITES[suite](options))
        except Missing as reason:
            print(f"{suite}: left out, {reason}", file=sys.stderr)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
