#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a folder of files into the input of the magika 1.0.3 file type model (needs numpy only).

    files_to_npz.py FOLDER OUT [--package MAGIKA] [--local 300] [--test 600]

writes OUT/local.npz, unlabelled files to prune with, and OUT/test.npz, other files to compare with. With --package, the
installed magika package, and if most names tell the type, the test files are those and OUT/test_labels.npy says which it is.
The files are only read. Two files that look alike to the model count as one, so none is in both parts.
"""
import argparse, hashlib, json, os, pathlib, stat, sys
import numpy as np

# beg_size = end_size, block_size, padding_token and min_file_size_for_dl in the model's config.min.json
SIDE, BLOCK, PADDING, LEAST = 1024, 4096, 256, 8

SHARED = {".o", ".obj", ".l", ".P", ".pp", ".pro", ".pub", ".gpg"}  # extensions in wide use for other types as well


def tokens(stream):
    """The model's 2048 numbers: the first and the last 1024 bytes without the white space around; None: too short for it.

    magika reads at most BLOCK bytes from each end, strips the beginning on its left and the end on its right only, and pads
    the beginning behind it and the end in front of it.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    begin = stream.read(BLOCK).lstrip()[:SIDE]
    stream.seek(max(size - BLOCK, 0))
    end = stream.read(BLOCK).rstrip()[-SIDE:]
    if size < LEAST or len(begin) < LEAST:
        return None
    row = np.full(2 * SIDE, PADDING, np.int32)
    row[:len(begin)] = np.frombuffer(begin, np.uint8)
    row[2 * SIDE - len(end):] = np.frombuffer(end, np.uint8)
    return row


def files(folder):
    """Regular files beneath the folder; links are not followed."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = pathlib.Path(place, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def types(package):
    """{extension: index of the model's answer}, of the extensions that belong to one type only."""
    answers = json.loads((package / "models/standard_v3_3/config.min.json").read_text())["target_labels_space"]
    known = json.loads((package / "config/content_types_kb.min.json").read_text())
    claims = {}
    for i, answer in enumerate(answers):
        for extension in known[answer]["extensions"]:
            claims.setdefault("." + extension, []).append(i)
    return {extension: owners[0] for extension, owners in claims.items() if len(owners) == 1 and extension not in SHARED}


def read(folder, extensions):
    """{hash of the tokens: (tokens, label or -1)}"""
    found = {}
    for path in files(folder):
        try:
            with open(path, "rb") as stream:
                row = tokens(stream)
        except OSError as error:
            print(f"skipped: {error}", file=sys.stderr)
            continue
        if row is not None:
            found.setdefault(hashlib.sha256(row.tobytes()).hexdigest(), (row, extensions.get(path.suffix, -1)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--package", type=pathlib.Path, help="folder of the installed magika package")
    parser.add_argument("--local", type=int, default=300, help="at most so many files to prune with")
    parser.add_argument("--test", type=int, default=600, help="at most so many files to compare with")
    options = parser.parse_args()
    if not options.folder.is_dir():
        sys.exit(f"{options.folder}: no such folder")
    found = read(options.folder, types(options.package) if options.package else {})
    ordered = [found[key] for key in sorted(found)]     # the order of the hashes is as good as a shuffled one
    held, local = ordered[:len(ordered) // 2], ordered[len(ordered) // 2:][:options.local]
    labelled = [pair for pair in held if pair[1] >= 0]
    known = len(labelled) > len(held) / 2
    test = (labelled if known else held)[:options.test]
    if not test or not local:
        sys.exit(f"{options.folder}: {len(found)} different files of {LEAST} bytes or more; needs at least 2, better 300")
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out / "local.npz", bytes=np.stack([row for row, _ in local]))
    np.savez_compressed(options.out / "test.npz", bytes=np.stack([row for row, _ in test]))
    labels = options.out / "test_labels.npy"
    labels.unlink(missing_ok=True)
    if known:
        np.save(labels, np.array([label for _, label in test], np.int64))
    print(f"{len(local)} files to prune with, {len(test)} others to compare with" +
          (f" ({len({label for _, label in test})} types by their names)" if known else ""))


if __name__ == "__main__":
    main()
