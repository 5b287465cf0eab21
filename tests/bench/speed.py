#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long fineprune takes, as ratios to ONNX Runtime, to itself and to cp: each side in turn in one run, medians.

The models are made here, with random weights. README.md beside this file says what the rows are.
"""
import argparse, importlib.util, json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]


# ---- models

class Net:
    """Collects nodes and weights; every call gives the name of its result."""

    def __init__(self):
        self.nodes, self.weights, self.rng = [], [], np.random.default_rng(1)

    def const(self, array):
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, *shape, fan):
        return self.const((self.rng.standard_normal(shape, np.float32) * (1.4 / fan ** .5)).astype(np.float32))

    def zeros(self, n):
        return self.const(np.zeros(n, np.float32))

    def op(self, kind, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, x, cin, cout, k, stride=1, group=1):
        w = self.weight(cout, cin // group, k, k, fan=cin // group * k * k)
        return self.op("Conv", x, w, self.zeros(cout), kernel_shape=[k, k], strides=[stride] * 2, pads=[k // 2] * 4, group=group)

    def dense(self, x, cin, cout):
        return self.op("Add", self.op("MatMul", x, self.weight(cin, cout, fan=cin)), self.zeros(cout))

    def model(self, name, kind, shape, output):
        x = helper.make_tensor_value_info("x", kind, ["n", *shape])
        graph = helper.make_graph(self.nodes, name, [x], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def classify(self, x, cin, classes):
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", x, self.weight(classes, cin, fan=cin), self.zeros(classes), transB=1)


def resnet50():
    n = Net()
    x = n.op("Relu", n.conv("x", 3, 64, 7, 2))
    x, cin = n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64
    for width, depth in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for i in range(depth):
            stride = 2 if i == 0 and width > 64 else 1
            short = n.conv(x, cin, 4 * width, 1, stride) if i == 0 else x
            y = n.op("Relu", n.conv(x, cin, width, 1))
            y = n.op("Relu", n.conv(y, width, width, 3, stride))
            x, cin = n.op("Relu", n.op("Add", n.conv(y, width, 4 * width, 1), short)), 4 * width
    return n.model("resnet50", TensorProto.FLOAT, [3, 224, 224], n.classify(x, cin, 1000))


def mobilenet():
    n = Net()
    low, high = n.const(np.float32(0)), n.const(np.float32(6))
    clip = lambda v: n.op("Clip", v, low, high)
    x, cin = clip(n.conv("x", 3, 32, 3, 2)), 32
    for t, cout, depth, first in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(depth):
            y = clip(n.conv(x, cin, t * cin, 1)) if t > 1 else x
            y = n.conv(clip(n.conv(y, t * cin, t * cin, 3, first if i == 0 else 1, t * cin)), t * cin, cout, 1)
            x, cin = (n.op("Add", x, y) if i else y), cout
    return n.model("mobilenet", TensorProto.FLOAT, [3, 224, 224], n.classify(clip(n.conv(x, cin, 1280, 1)), 1280, 1000))


def efficientnet():
    """EfficientNet-lite0: no squeeze and excite, Relu6."""
    n = Net()
    low, high = n.const(np.float32(0)), n.const(np.float32(6))
    clip = lambda v: n.op("Clip", v, low, high)
    x, cin = clip(n.conv("x", 3, 32, 3, 2)), 32
    for t, cout, depth, first, k in ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
                                     (6, 320, 1, 1, 3)):
        for i in range(depth):
            y = clip(n.conv(x, cin, t * cin, 1)) if t > 1 else x
            y = n.conv(clip(n.conv(y, t * cin, t * cin, k, first if i == 0 else 1, t * cin)), t * cin, cout, 1)
            x, cin = (n.op("Add", x, y) if i else y), cout
    return n.model("efficientnet", TensorProto.FLOAT, [3, 224, 224], n.classify(clip(n.conv(x, cin, 1280, 1)), 1280, 1000))


def vgg16():
    """As a detector of two classes over 150 x 150 pixels has it."""
    n, x, cin = Net(), "x", 3
    for cout, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            x, cin = n.op("Relu", n.conv(x, cin, cout, 3)), cout
        x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = n.op("Relu", n.op("Gemm", n.op("Flatten", x), n.weight(256, 8192, fan=8192), n.zeros(256), transB=1))
    return n.model("vgg16", TensorProto.FLOAT, [3, 150, 150], n.op("Gemm", x, n.weight(2, 256, fan=256), n.zeros(2), transB=1))


def whisper():
    """The encoder of Whisper tiny: 30 seconds of 80 mel bands."""
    n, width = Net(), 384
    half, root, one = (n.const(np.float32(v)) for v in (.5, 2 ** .5, 1))
    x = "x"
    for cin, stride in ((80, 1), (width, 2)):
        x = n.op("Conv", x, n.weight(width, cin, 3, fan=3 * cin), n.zeros(width), kernel_shape=[3], strides=[stride], pads=[1, 1])
        x = n.op("Mul", n.op("Mul", x, half), n.op("Add", n.op("Erf", n.op("Div", x, root)), one))
    x = n.op("Add", n.op("Transpose", x, perm=[0, 2, 1]), n.weight(1500, width, fan=width))
    return n.model("whisper", TensorProto.FLOAT, [80, 3000], transformer(n, x, width, 6, 4, True))


def transformer(n, x, width, heads, depth, before):
    """`before`: normalization in front of attention and MLP (ViT), else behind (BERT)."""
    norm = lambda v: n.op("LayerNormalization", v, n.const(np.ones(width, np.float32)), n.zeros(width), axis=-1)
    shape, back = n.const(np.array([0, 0, heads, width // heads])), n.const(np.array([0, 0, width]))
    scale, root, half, one = (n.const(np.float32(v)) for v in ((width // heads) ** -.5, 2 ** .5, .5, 1))
    split = lambda v, perm: n.op("Transpose", n.op("Reshape", n.dense(v, width, width), shape), perm=perm)

    def attention(v):
        q, k, value = split(v, [0, 2, 1, 3]), split(v, [0, 2, 3, 1]), split(v, [0, 2, 1, 3])
        a = n.op("Softmax", n.op("Mul", n.op("MatMul", q, k), scale), axis=-1)
        return n.dense(n.op("Reshape", n.op("Transpose", n.op("MatMul", a, value), perm=[0, 2, 1, 3]), back), width, width)

    def mlp(v):
        h = n.dense(v, width, 4 * width)
        h = n.op("Mul", n.op("Mul", h, half), n.op("Add", n.op("Erf", n.op("Div", h, root)), one))     # Gelu
        return n.dense(h, 4 * width, width)

    for _ in range(depth):
        for part in (attention, mlp):
            x = n.op("Add", x, part(norm(x))) if before else norm(n.op("Add", x, part(x)))
    return norm(x) if before else x


def vit():
    n, width = Net(), 384
    x = n.op("Conv", "x", n.weight(width, 3, 16, 16, fan=768), n.zeros(width), kernel_shape=[16, 16], strides=[16, 16])
    x = n.op("Transpose", n.op("Reshape", x, n.const(np.array([0, width, -1]))), perm=[0, 2, 1])
    x = transformer(n, n.op("Add", x, n.weight(196, width, fan=width)), width, 6, 12, True)
    return n.model("vit", TensorProto.FLOAT, [3, 224, 224], n.dense(n.op("ReduceMean", x, axes=[1], keepdims=0), width, 1000))


def bert():
    n, width = Net(), 768
    x = n.op("Add", n.op("Gather", n.weight(3000, width, fan=2), "x"), n.weight(128, width, fan=2))
    return n.model("bert", TensorProto.INT64, [128], transformer(n, x, width, 12, 12, False))


def small():
    n, x, cin = Net(), "x", 1
    for cout in (32, 64, 128):
        x, cin = n.op("MaxPool", n.op("Relu", n.conv(x, cin, cout, 3)), kernel_shape=[2, 2], strides=[2, 2]), cout
    return n.model("small", TensorProto.FLOAT, [1, 40, 64], n.classify(x, cin, 10))


def chain(nodes):
    n, x = Net(), "x"
    for _ in range(nodes // 2):
        x = n.op("Relu", n.op("MatMul", x, n.weight(8, 8, fan=8)))
    return n.model("chain", TensorProto.FLOAT, [8], x)


def flat(unread=0):
    """100 MB in 25 weights; so many units of each layer are read by none."""
    n, x = Net(), "x"
    for _ in range(25):
        x = n.op("Relu", n.op("MatMul", x, n.weight(1000, 1000, fan=1000)))
    for i, w in enumerate(n.weights[1:], 1):
        values = numpy_helper.to_array(w).copy()
        values[:unread] = 0
        n.weights[i] = numpy_helper.from_array(values, w.name)
    return n.model("flat", TensorProto.FLOAT, [1000], x)


def packaged(package, pattern):
    """A model inside an installed package, None when there is none."""
    found = importlib.util.find_spec(package)
    return next(iter(sorted(pathlib.Path(found.origin).parent.glob(pattern))), None) if found else None


# Inputs, and of how many of --limit samples: those that take long are measured with fewer.
SHAPES = {"resnet50": (resnet50, [3, 224, 224], 1), "vgg16": (vgg16, [3, 150, 150], 1), "mobilenet": (mobilenet, [3, 224, 224], 1),
          "efficientnet": (efficientnet, [3, 224, 224], 1), "vit": (vit, [3, 224, 224], 1), "bert": (bert, [128], 1),
          "whisper": (whisper, [80, 3000], 4), "small": (small, [1, 40, 64], 1)}


# ---- sides

def peak_memory():
    """This process's alone: ru_maxrss counts the one that started it too."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def ort_worker(model, data, batch, threads):
    """Runs in a process of its own, so that its memory is its own."""
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.graph_optimization_level = threads, ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with np.load(data) as z:
        x = dict(z)
    whole = x["input"].ndim > 2 if "input" in x else False    # one more axis: samples are whole inputs
    piece = lambda v, i: v if v.ndim == 0 else v[i] if whole else v[i:i + batch]
    start = time.perf_counter()
    for i in range(0, len(next(iter(x.values()))), batch):
        session.run(None, {name: piece(v, i) for name, v in x.items()})
    print(json.dumps({"seconds": time.perf_counter() - start, "rss": peak_memory()}))


class Bench:
    def __init__(self, options, folder):
        self.o, self.folder, self.rows, self.ratios = options, folder, [], []

    def call(self, *arguments):
        start = time.perf_counter()
        done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{arguments[1]}: {done.stderr.strip()[-300:]}")
        return done.stdout, time.perf_counter() - start

    def ours(self, command, model, *arguments):
        return self.call(self.o.binary, command, model, *arguments, "-q", "-j", self.o.threads)

    def report(self, command, model, *arguments):
        return json.loads(self.ours(command, model, *arguments, "--json=-")[0])

    def run(self, model, data, batch):
        return self.report("run", model, "--data", data, "-o", self.folder / "out.npz", "-f", "--batch", batch)

    def forward(self, model, data, batch):
        """Without making primitives and packing weights, which the rival has done before its first run."""
        timing = self.run(model, data, batch)["timing"]
        return timing["forward"] - timing["prepare"]

    def statistics(self, model, data, batch, *how):
        """Nothing is kept in reserve and there is one round, so every sample is run once; what is not measured is left out."""
        timing = self.report("prune", model, "--data", data, *how, "--rounds", 1, "--reserve", "0%", "--outputs", "keep", "--readout", "keep",
                             "--channels", "none", "--swaps", "none", "--refit", "none", "--repair", "none", "--dry-run", "-o", self.folder / "none.onnx", "--batch", batch)["timing"]
        return timing["forward"] + timing["statistics"]

    def sums(self, model, data, batch):
        return self.statistics(model, data, batch, "--method", "wanda")

    def gram(self, model, data, batch):
        return self.statistics(model, data, batch, "--score", "obs")

    def ort(self, model, data, batch):
        return json.loads(self.call(sys.executable, __file__, "--worker", model, data, batch, self.o.threads)[0])

    def turns(self, *sides):
        """Medians of each side's numbers, measured in turn."""
        taken = [[side() for side in sides] for _ in range(self.o.repeat)]
        return [statistics.median(column) for column in zip(*taken)]

    def row(self, work, ours, other, limit, what="s"):
        value = ours / other if other is not None else ours
        shown = f"{ours:10.4f} {other:10.4f} {value:8.2f}x" if other is not None else f"{ours:10.4f} {'':10} {'':9}"
        print(f"{work:52} {shown}  <= {limit}{'' if other is not None else ' ' + what}", flush=True)
        self.rows.append(dict(work=work, ours=ours, other=other, ratio=value if other is not None else None, limit=limit))

    def save(self, model, name):
        path = self.folder / f"{name}.onnx"
        onnx.save(model, path)
        return path

    def data(self, name, shape, samples):
        x = np.random.default_rng(2)
        path = self.folder / f"{name}{samples}.npz"
        np.savez(path, x=x.integers(0, 3000, (samples, *shape)) if name == "bert" else x.standard_normal((samples, *shape), np.float32))
        return path


# ---- rows

def forward(b):
    """Forward only against ONNX Runtime; sums and Gram matrices against our forward."""
    for name in b.o.models:
        make, shape, share = SHAPES[name]
        model = b.save(make(), name)
        for batch in b.o.batch:
            data = b.data(name, shape, max(b.o.limit // share, batch))
            ours, other = b.turns(lambda: b.forward(model, data, batch), lambda: b.ort(model, data, batch)["seconds"])
            b.row(f"forward {name}, batch {batch}", ours, other, 1.3)
            b.ratios.append(ours / other)
        plain, sums, gram = b.turns(lambda: b.run(model, data, batch)["timing"]["forward"], lambda: b.sums(model, data, batch),
                                    lambda: b.gram(model, data, batch))
        b.row(f"forward + sums {name}, batch {batch}", sums, plain, 1.10)
        b.row(f"forward + Gram {name}, batch {batch}", gram, plain, 1.6)


def packages(b):
    magika = packaged("magika", "models/standard_v3_3/model.onnx")
    silero = packaged("silero_vad", "data/silero_vad.onnx")
    rng = np.random.default_rng(3)
    inputs = {"magika": (magika, {"bytes": rng.integers(0, 256, (b.o.limit, 2048)).astype(np.int32)}),
              "silero": (silero, {"input": rng.standard_normal((8 * b.o.limit, 1, 512), np.float32),
                                  "state": np.zeros((8 * b.o.limit, 2, 1, 128), np.float32), "sr": np.array(16000)})}
    for name, (model, data) in inputs.items():
        if not model:
            print(f"forward {name}: skipped, its package is not installed", file=sys.stderr)
            continue
        path, batch = b.folder / f"{name}.npz", 1 if name == "silero" else 8
        np.savez(path, **data)
        ours, other = b.turns(lambda: b.forward(model, path, batch), lambda: b.ort(model, path, batch)["seconds"])
        b.ratios.append(ours / other)
        b.row(f"forward {name}, batch {batch}", ours, other, 1.3)


def whole(b):
    """Pruning ResNet-50, its memory, and the repair."""
    model, data, out = b.save(resnet50(), "resnet50"), b.data("resnet50", [3, 224, 224], b.o.limit), b.folder / "pruned.onnx"
    prune = lambda *more: b.report("prune", model, "--data", data, "-o", out, "-f", "--batch", 8, *more)
    taken = [(prune("--method", "wanda"), b.ort(model, data, 8)) for _ in range(b.o.repeat)]
    middle = lambda values: statistics.median(list(values))
    b.row(f"prune --method wanda resnet50, {b.o.limit} images", middle(p["timing"]["seconds"] for p, _ in taken),
          middle(r["seconds"] for _, r in taken), 1.15)
    b.row("  peak memory, GB", middle(p["peak_rss_bytes"] for p, _ in taken) / 1e9, middle(r["rss"] for _, r in taken) / 1e9, 1.0)
    b.row("masks of 25 M weights, lamp", b.turns(lambda: prune("--method", "wanda", "--allocation", "lamp")["timing"]["solve"])[0], None, 1.0)
    if b.o.repair:
        b.row("least-squares repair of resnet50, one round", b.turns(lambda: prune("--rounds", 1)["timing"]["solve"])[0], None, 40)


def copy(src, dst):
    start = time.perf_counter()
    shutil.copyfile(src, dst)
    with open(dst, "rb") as stream:
        os.fsync(stream.fileno())
    return time.perf_counter() - start


def files(b):
    model, data = b.save(flat(), "flat"), b.data("flat", [1000], 16)
    prune = lambda: b.report("prune", model, "--data", data, "-o", b.folder / "flat-out.onnx", "-f", "--method", "magnitude")
    b.row("write a 100 MB model", *b.turns(lambda: prune()["timing"]["write"], lambda: copy(model, b.folder / "copy.onnx")), 2)
    b.row("inspect a 100 MB model", b.turns(lambda: b.call(b.o.binary, "inspect", model)[1])[0], None, .05)
    model = b.save(flat(250), "unread")

    def compact():
        timing = b.report("compact", model, "-o", b.folder / "compact.onnx", "-f")["timing"]
        return timing["seconds"] - timing["load"] - timing["write"]

    b.row("compact a 100 MB model, beyond reading and writing", b.turns(compact)[0], None, 1.0)
    for nodes in (2000, 20000):
        model = b.save(chain(nodes), f"chain{nodes}")
        b.row(f"inspect a chain of {nodes} nodes", b.turns(lambda: b.call(b.o.binary, "inspect", model)[1])[0], None, 1.0)


PARTS = {"forward": forward, "packages": packages, "whole": whole, "files": files}


def main():
    if sys.argv[1:2] == ["--worker"]:
        return ort_worker(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", default=os.environ.get("FINEPRUNE", str(ROOT / "build/fineprune")))
    p.add_argument("--part", default=",".join(PARTS), help="which, with commas")
    p.add_argument("--models", default=",".join(SHAPES), help="which of the made ones, with commas")
    p.add_argument("--batch", default="1,8,32")
    p.add_argument("--limit", type=int, default=128, help="samples")
    p.add_argument("--repeat", type=int, default=5, help="times each side is measured; the median counts")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repair", action="store_true", help="the least-squares repair of ResNet-50 too: minutes")
    p.add_argument("--json", type=pathlib.Path)
    options = p.parse_args()
    options.models, options.batch = options.models.split(","), [int(n) for n in options.batch.split(",")]
    if hasattr(os, "sched_setaffinity"):    # both sides inherit the same cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.threads])
    print(f"{'work':52} {'ours':>10} {'other':>10} {'ratio':>9}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, pathlib.Path(folder))
        for part in options.part.split(","):
            PARTS[part](bench)
        if bench.ratios:
            bench.row("forward, geometric mean", float(np.exp(np.mean(np.log(bench.ratios)))), 1.0, 1.0)
    if options.json:
        options.json.write_text(json.dumps(bench.rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
