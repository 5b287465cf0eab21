# SPDX-License-Identifier: Apache-2.0
"""What a model gets from pictures and sound, against Pillow and NumPy: every kind of file, and the configurations that people have beside
their models, each restated here as the published processors do it."""
import json
import struct
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

try:
    from PIL import Image, ImageOps
except ImportError:
    Image = None

TALLY = harness.Tally("preparation")
WIDTH, HEIGHT = 53, 37
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])


def identity(path, kind, dims):
    value = lambda name: helper.make_tensor_value_info(name, kind, dims)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value("x")], [value("y")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def given(folder, model, source, *options):
    ran = harness.run("run", folder / model, "--data", source, "-o", folder / "y.npz", "-f", "-q", *options)
    if ran.code:
        return None, ran.err.strip()
    return np.load(folder / "y.npz")["y"], ""


def picture(width=WIDTH, height=HEIGHT):
    random = np.random.default_rng(width)
    y, x = np.mgrid[:height, :width]
    planes = np.stack([4 * y + 2 * x, y + 255 - 4 * x, 255 - 5 * y + x], 2) + random.integers(-9, 9, (height, width, 3))
    return Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8))


# ---- files


def write_files(folder):
    image = picture()
    opacity = Image.fromarray(np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8))
    clear = image.convert("RGBA")
    clear.putalpha(opacity)
    for way in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = way
        image.save(folder / f"way{way}.jpg", exif=exif, quality=92)
        image.save(folder / f"way{way}.png", exif=exif)
        image.save(folder / f"way{way}.webp", exif=exif, lossless=True)
        image.save(folder / f"way{way}.tif", tiffinfo={0x112: way})
    for name, options in (("progressive.jpg", {"progressive": True}), ("lossy.webp", {"quality": 80})):
        image.save(folder / name, **options)
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        image.save(folder / f"{packing}.tif", compression=packing)
    for ending in ("png", "webp", "tif"):
        clear.save(folder / f"clear.{ending}", **({"lossless": True} if ending == "webp" else {}))
    for ending in ("png", "gif", "tif"):
        image.quantize(64).save(folder / f"palette.{ending}")
        image.convert("L").save(folder / f"grey.{ending}")
    image.quantize(64).save(folder / "interlaced.gif", interlace=1)
    image.quantize(16).save(folder / "holes.gif", transparency=3)
    image.quantize(16).save(folder / "holes.png", transparency=3)
    image.save(folder / "frames.gif", save_all=True, append_images=[ImageOps.invert(image)])
    image.convert("1").save(folder / "bits.tif")
    image.convert("LA").save(folder / "grey_clear.png")
    for ending in ("jpg", "tif"):
        image.convert("CMYK").save(folder / f"inks.{ending}")
    write_bmps(folder, image)


def bmp(path, array, bits, *, down=False, palette=None, head=40, packing=0, masks=b"", used=None):
    """What Pillow does not write: rows from the top, short palettes, OS/2's header, masks. array: indices, or blue, green, red (and a byte)."""
    height, width = array.shape[:2]
    rows = b""
    for line in array if down else array[::-1]:
        packed = line.astype(np.uint8)
        if bits < 8:
            packed = np.packbits(np.unpackbits(packed[:, np.newaxis], axis=1)[:, 8 - bits:].ravel())
        row = packed.tobytes()
        rows += row + bytes(-len(row) % 4)
    entry = 3 if head == 12 else 4
    colours = b"".join(bytes(c) + bytes(entry - 3) for c in (palette if palette is not None else []))
    if head == 12:
        start = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        start = struct.pack("<IiiHHIIiiII", head, width, -height if down else height, 1, bits, packing, len(rows), 2835, 2835,
                            len(colours) // 4 if used is None else used, 0)
        start += masks + bytes(head - 40 - len(masks) if head > 40 else 0)
    at = 14 + len(start) + len(colours)
    path.write_bytes(b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + start + colours + rows)


def write_bmps(folder, image):
    random = np.random.default_rng(4)
    bgr = np.asarray(image)[:, :, ::-1]
    clear = np.concatenate([bgr, random.integers(0, 256, (HEIGHT, WIDTH, 1))], 2)
    usual = struct.pack("<III", 0xff0000, 0xff00, 0xff)
    for name, kind in (("one", image.convert("1")), ("grey", image.convert("L")), ("palette", image.quantize(200)), ("colour", image),
                       ("clear", Image.fromarray(clear.astype(np.uint8)))):
        kind.save(folder / f"{name}.bmp")
    for bits in (1, 4, 8):
        for down in (False, True):
            for colours in {2 ** bits, max(2, 2 ** bits - 3)}:
                indices, palette = random.integers(0, colours, (HEIGHT, WIDTH)), random.integers(0, 256, (colours, 3)).tolist()
                bmp(folder / f"bits{bits}_{colours}_{down}.bmp", indices, bits, down=down, palette=palette)
    indices, palette = random.integers(0, 16, (HEIGHT, WIDTH)), random.integers(0, 256, (16, 3)).tolist()
    bmp(folder / "all_colours.bmp", indices, 4, palette=palette, used=0)
    bmp(folder / "os2_4.bmp", indices, 4, palette=palette, head=12)
    bmp(folder / "os2_24.bmp", bgr, 24, head=12)
    for head in (40, 52, 56, 108, 124):
        bmp(folder / f"bits24_{head}.bmp", bgr, 24, head=head, down=True)
        bmp(folder / f"bits32_{head}.bmp", clear, 32, head=head)
        bmp(folder / f"masks_{head}.bmp", clear, 32, head=head, packing=3, masks=usual)


def check_refused(folder):
    """BMPs that are packed, each by its name."""
    bgr = np.asarray(picture())[:, :, ::-1]
    clear = np.concatenate([bgr, bgr[:, :, :1]], 2)
    other = struct.pack("<III", 0xff, 0xff00, 0xff0000)
    path = folder / "refused.bmp"
    palette = [[1, 2, 3], [4, 5, 6]]
    cases = (("(RLE8)", dict(array=bgr[:, :, 0], bits=8, packing=1, palette=palette)), ("(RLE4)", dict(array=bgr[:, :, 0], bits=4, packing=2)),
             ("with a JPEG in it", dict(array=bgr, bits=24, packing=4)), ("with a PNG in it", dict(array=bgr, bits=24, packing=5)),
             ("of 16 bits a pixel", dict(array=bgr, bits=16)), ("with masks of other bits", dict(array=clear, bits=32, packing=3, masks=other)),
             ("with masks of other bits", dict(array=bgr, bits=16, packing=3, masks=other)),
             ("than 1, 4, 8, 24 and 32", dict(array=bgr, bits=2)), ("a packing of OS/2", dict(array=bgr, bits=24, packing=4, head=64)),
             ("a packing that is not known", dict(array=bgr, bits=24, packing=6)), ("a header of an unknown size", dict(array=bgr, bits=24, head=44)),
             ("a colour it has not", dict(array=bgr[:, :, 0] * 0 + 2, bits=8, palette=palette)),
             ("more colours than its bits tell apart", dict(array=bgr[:, :, 0] * 0, bits=1, palette=palette * 2)))
    for words, arguments in cases:
        bmp(path, **arguments)
        got, why = given(folder, "bytes.onnx", path)
        TALLY.check(f"BMP {words}", got is None and words in why, why)
    bmp(path, bgr, 24)
    path.write_bytes(path.read_bytes()[:-1])
    got, why = given(folder, "bytes.onnx", path)
    TALLY.check("BMP that is cut short", got is None and "cut short" in why, why)


def check_files(folder):
    files = folder / "files"
    files.mkdir()
    write_files(files)
    identity(folder / "bytes.onnx", TensorProto.UINT8, ["n", 3, "h", "w"])
    for path in sorted(files.iterdir()):
        got, why = given(folder, "bytes.onnx", path)
        want = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")).astype(int)
        if got is not None:
            got = got[0].transpose(1, 2, 0).astype(int)
            why = f"shape {got.shape}, not {want.shape}" if got.shape != want.shape else f"{np.abs(got - want).max()} levels off"
        off = 0 if path.suffix == ".bmp" else 1
        TALLY.check(path.name, got is not None and got.shape == want.shape and np.abs(got - want).max() <= off, why)


# ---- configurations: (name, file, size of the model's input, what it does to a picture)


def shorter(image, side, resample):
    width, height = image.size
    if width < height:
        return image.resize((side, int(side * height / width)), resample)
    return image.resize((int(side * width / height), side), resample)


def centre(image, side, rounds=False):
    rest = [(edge - side) / 2 for edge in image.size]
    left, top = [round(r) for r in rest] if rounds else [int(r) for r in rest]
    return image.crop((left, top, left + side, top + side))


def normalized(image, mean, std, scale=1 / 255, offset=0, flip=False):
    pixels = np.asarray(image).astype(np.float64) * scale + offset
    if flip:
        pixels = pixels[:, :, ::-1]
    return ((pixels - np.array(mean)) / np.array(std)).transpose(2, 0, 1)


def configurations():
    bilinear, bicubic, lanczos, nearest = 2, 3, 1, 0
    hf = lambda mean_std, **more: {"do_normalize": True, "image_mean": mean_std[0], "image_std": mean_std[1], "do_rescale": True,
                                   "rescale_factor": 1 / 255, "do_resize": True, **more}
    for resample in (nearest, lanczos, bilinear, bicubic):
        yield (f"ViT {resample}", hf(HALF, size={"height": 32, "width": 32}, resample=resample), 32,
               lambda i, r=resample: normalized(i.resize((32, 32), r), *HALF))
    yield "ViT before", {"do_normalize": True, "do_resize": True, "image_mean": HALF[0], "image_std": HALF[1], "resample": 2, "size": 32}, 32, \
        lambda i: normalized(i.resize((32, 32), bilinear), *HALF)
    for size in (32, 31, 24):
        yield (f"CLIP {size}", hf(CLIP, size={"shortest_edge": size + 3}, resample=3, do_center_crop=True, do_convert_rgb=True,
                                  crop_size={"height": size, "width": size}), size,
               lambda i, s=size: normalized(centre(shorter(i, s + 3, bicubic), s), *CLIP))
    yield "CLIP before", hf(CLIP, size=32, resample=3, do_center_crop=True, crop_size=32), 32, \
        lambda i: normalized(centre(shorter(i, 32, bicubic), 32), *CLIP)
    yield "ConvNeXt 32", hf(IMAGENET, size={"shortest_edge": 32}, crop_pct=0.875, resample=3), 32, \
        lambda i: normalized(centre(shorter(i, int(32 / 0.875), bicubic), 32), *IMAGENET)
    yield "ConvNeXt 384", hf(IMAGENET, size={"shortest_edge": 384}, crop_pct=0.875, resample=3), 384, \
        lambda i: normalized(i.resize((384, 384), bicubic), *IMAGENET)
    yield "LeViT", hf(IMAGENET, image_processor_type="LevitImageProcessor", size={"shortest_edge": 28}, resample=3, do_center_crop=True,
                      crop_size={"height": 28, "width": 28}), 28, lambda i: normalized(centre(shorter(i, 32, bicubic), 28), *IMAGENET)
    yield "MobileViT", {"do_resize": True, "size": {"shortest_edge": 36}, "resample": 2, "do_center_crop": True, "do_rescale": True,
                        "crop_size": {"height": 32, "width": 32}, "do_flip_channel_order": True, "rescale_factor": 1 / 255}, 32, \
        lambda i: normalized(centre(shorter(i, 36, bilinear), 32), 0, 1, flip=True)
    yield "EfficientNet", hf(IMAGENET, size={"height": 32, "width": 32}, resample=0, rescale_offset=True, include_top=False) | {"rescale_factor": 1 / 127.5}, \
        32, lambda i: normalized(i.resize((32, 32), nearest), *IMAGENET, scale=1 / 127.5, offset=-1)
    yield "no rescale", hf(([120, 110, 100], [60, 61, 62])) | {"do_rescale": False, "size": {"height": 32, "width": 32}}, 32, \
        lambda i: normalized(i.resize((32, 32), bilinear), [120, 110, 100], [60, 61, 62], scale=1)
    for mode in ("bilinear", "bicubic"):
        for part, size in ((0.875, 32), (0.95, 32), (0.9, 33), (1.0, 31)):
            yield (f"timm {mode} {part} {size}", {"architecture": "a", "pretrained_cfg": {
                "input_size": [3, size, size], "interpolation": mode, "crop_pct": part, "crop_mode": "center", "mean": IMAGENET[0], "std": IMAGENET[1]}},
                size, lambda i, p=part, s=size, m=mode: normalized(
                    centre(shorter(i, int(np.floor(s / p)), bicubic if m == "bicubic" else bilinear), s, rounds=True), *IMAGENET))
    yield "timm squash", {"pretrained_cfg": {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "squash",
                                             "mean": HALF[0], "std": HALF[1]}}, 32, \
        lambda i: normalized(centre(i.resize((35, 35), bicubic), 32, rounds=True), *HALF)
    wide = [[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]]
    yield "ours, 0..255", {"resize": [32, 32], "mean": wide[0], "std": wide[1], "_from": "a remark"}, 32, \
        lambda i: normalized(i.resize((32, 32), bilinear), *wide, scale=1)
    yield "ours, Caffe", {"resize": [32, 32], "mean": [104, 117, 123], "std": 1, "color": "bgr"}, 32, \
        lambda i: normalized(i.resize((32, 32), bilinear), [104, 117, 123], 1, scale=1, flip=True)


def check_configurations(folder):
    for width, height in ((WIDTH, HEIGHT), (60, 91)):
        image = picture(width, height)
        image.save(folder / "photo.png")
        for name, config, size, prepare in configurations():
            (folder / "config.json").write_text(json.dumps(config))
            identity(folder / "image.onnx", TensorProto.FLOAT, ["n", 3, size, size])
            got, why = given(folder, "image.onnx", folder / "photo.png", "--preprocess", folder / "config.json")
            want = prepare(image)
            if got is not None:
                # a level of a channel, as it comes out of the normalization
                level = (prepare(Image.new("RGB", image.size, (1, 1, 1))) - prepare(Image.new("RGB", image.size, (0, 0, 0))))
                worst = float(np.max(np.abs(got[0] - want) / np.abs(level))) if got[0].shape == want.shape else np.inf
                why = f"{worst:.2f} levels off"
            TALLY.check(f"{name}, {width} x {height}", got is not None and worst <= 1.01, why)


# ---- sound: cut or filled up first, then normalized


def check_sound(folder):
    random = np.random.default_rng(3)
    for length in (700, 1000, 1500):
        pcm = np.clip(3000 + 5000 * random.standard_normal(length), -32768, 32767).astype(np.int16)
        with wave.open(str(folder / "a.wav"), "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
            file.writeframes(pcm.tobytes())
        for fixed in (1000, None):
            identity(folder / "sound.onnx", TensorProto.FLOAT, ["n", fixed or "t"])
            for mask in (True, False):
                (folder / "w.json").write_text(json.dumps({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "do_normalize": True,
                                                           "padding_value": 0.0, "return_attention_mask": mask, "sampling_rate": 16000}))
                got, why = given(folder, "sound.onnx", folder / "a.wav", "--preprocess", folder / "w.json")
                sound = pcm.astype(np.float64)[:fixed] / 32768
                whole = np.zeros(fixed or length)
                whole[:len(sound)] = sound
                part = sound if mask else whole
                want = (whole - part.mean()) / np.sqrt(part.var() + 1e-7)
                want[len(part):] = 0
                worst = float(np.abs(got[0] - want).max()) if got is not None and got[0].shape == want.shape else np.inf
                TALLY.check(f"wav2vec, {length} of {fixed}, mask {mask}", worst <= 1e-3, why or f"{worst} off")


# ---- mel spectrograms, by the published formulas in double


def record(path, length, rate=16000, pauses=True):
    random = np.random.default_rng(length)
    t = np.arange(length) / rate
    wave_form = .3 * np.sin(2 * np.pi * (300 * t + 700 * t * t)) + .05 * random.standard_normal(length) * (np.sin(3 * t) > 0 if pauses else 1)
    pcm = np.clip(20000 * wave_form, -32768, 32767).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return pcm.astype(np.float64) / 32768


def filters(fft, bands, rate, low, high, norm):
    if norm == "slaney":
        mel = lambda f: np.where(f < 1000, 3 * f / 200, 15 + np.log(np.maximum(f, 1000) / 1000) * 27 / np.log(6.4))
        hertz = lambda m: np.where(m < 15, 200 * m / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    else:
        mel = lambda f: 2595 * np.log10(1 + f / 700)
        hertz = lambda m: 700 * (10 ** (m / 2595) - 1)
    corners = hertz(np.linspace(mel(np.array(low)), mel(np.array(high)), bands + 2))
    slopes = corners[np.newaxis] - np.linspace(0, rate // 2, 1 + fft // 2)[:, np.newaxis]
    steps = np.diff(corners)
    weights = np.maximum(0, np.minimum(-slopes[:, :-2] / steps[:-1], slopes[:, 2:] / steps[1:]))
    return weights * (2 / (corners[2:] - corners[:-2]) if norm == "slaney" else 1)


def powers(sound, fft, hop, weights):
    padded = np.pad(sound, fft // 2, mode="reflect")
    window = np.hanning(fft + 1)[:-1]
    frames = np.stack([padded[i:i + fft] * window for i in range(0, len(padded) - fft + 1, hop)])
    return np.maximum((np.abs(np.fft.rfft(frames)) ** 2 @ weights).T, 1e-10)


def whisper(sound, bands, samples=480000):
    whole = np.zeros(samples)
    whole[:min(len(sound), samples)] = sound[:samples]
    values = np.log10(powers(whole, 400, 160, filters(400, bands, 16000, 0, 8000, "slaney")))[:, :-1]
    return (np.maximum(values, values.max() - 8) + 4) / 4


def check_one_mel(folder, name, dims, config, want, file="a.wav", most=1e-3):
    identity(folder / "mel.onnx", TensorProto.FLOAT, dims)
    (folder / "m.json").write_text(json.dumps(config))
    got, why = given(folder, "mel.onnx", folder / file, "--preprocess", folder / "m.json")
    if got is not None:
        same = got.shape == want.shape
        worst = np.abs(got - want).max() if same else np.inf
        why = f"{worst} off" if same else f"{got.shape}, not {want.shape}"
    TALLY.check(name, got is not None and same and worst <= most, why)


def check_mel(folder):
    config = {"feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 30, "feature_size": 80, "hop_length": 160, "n_fft": 400,
              "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right", "padding_value": 0.0, "processor_class": "WhisperProcessor",
              "return_attention_mask": False, "sampling_rate": 16000}
    for length in (1, 37, 5000, 32000, 480000, 500123):
        sound = record(folder / "a.wav", length)
        for bands in (80, 128) if length in (32000, 500123) else (80,):
            fixed = 3000 if length != 32000 else "frames"
            check_one_mel(folder, f"Whisper, {length} samples, {bands} bands", ["n", bands, fixed], {**config, "feature_size": bands},
                          whisper(sound, bands)[np.newaxis])
    check_one_mel(folder, "Whisper, five seconds", ["n", 80, 500], {**config, "chunk_length": 5}, whisper(sound, 80, 80000)[np.newaxis])
    check_one_mel(folder, "Whisper, bare", ["n", "bands", "frames"], {"feature_extractor_type": "WhisperFeatureExtractor"},
                  whisper(sound, 80)[np.newaxis])
    identity(folder / "mel.onnx", TensorProto.FLOAT, ["n", 80, 1000])
    for more, words in (({}, "becomes 3000 frames"), ({"feature_size": 64}, "of 64 bands"), ({"dither": 0.1}, "'dither'"),
                        ({"padding_value": 1.0}, "'padding_value'"), ({"padding_side": "left"}, "'padding_side'"),
                        ({"sampling_rate": 8000, "chunk_length": 20}, "bands up to 8000 Hz are not in sound of 8000 Hz")):
        (folder / "m.json").write_text(json.dumps({**config, **more}))
        got, why = given(folder, "mel.onnx", folder / "a.wav", "--preprocess", folder / "m.json")
        TALLY.check(f"Whisper, {words}", got is None and words in why, why)
    check_ours(folder)


def check_ours(folder):
    logs = {"none": lambda p: p, "ln": np.log, "log10": np.log10, "db": lambda p: 10 * np.log10(p)}
    rate = 22050
    sound = record(folder / "a.wav", 30001, rate, pauses=False)  # what lies 120 dB below a tone, float32 does not hold
    for fft, hop, bands, span, norm in ((1024, 256, 40, [0, 11025], "slaney"), (512, 200, 26, [100, 6000], "htk"), (2048, 512, 64, [20, 9000], "htk")):
        power = powers(sound, fft, hop, filters(fft, bands, rate, *span, norm))
        for log, function in logs.items():
            config = {"feature": "mel", "rate": rate, "fft": fft, "hop": hop, "mels": bands, "range": span, "norm": norm, "log": log}
            most = 1e-3 * (10 if log == "db" else max(1, power.max()) if log == "none" else 1)
            want = function(power)
            check_one_mel(folder, f"ours, {fft} {norm} {log}", ["n", bands, "t"], config, want[np.newaxis], most=most)
            if log != "ln":
                continue
            check_one_mel(folder, f"ours, {fft}, bands last", ["n", "t", bands], config, want.T[np.newaxis])
            check_one_mel(folder, f"ours, {fft}, a channel", ["n", 1, bands, "t"], config, want[np.newaxis, np.newaxis])
            check_one_mel(folder, f"ours, {fft}, no batch", [bands, "t"], config, want[np.newaxis])
            for frames in (20, 200):
                whole = np.zeros(frames * hop)
                whole[:min(len(sound), len(whole))] = sound[:len(whole)]
                part = np.log(powers(whole, fft, hop, filters(fft, bands, rate, *span, norm)))[:, :frames]
                check_one_mel(folder, f"ours, {fft}, {frames} frames", ["n", bands, frames], config, part[np.newaxis])


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if Image:
            check_files(folder)
            check_refused(folder)
            check_configurations(folder)
        else:
            TALLY.skip("pictures", "Pillow is not installed")
        check_sound(folder)
        check_mel(folder)
    TALLY.finish()


if __name__ == "__main__":
    main()
