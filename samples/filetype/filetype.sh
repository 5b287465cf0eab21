#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prunes magika, a pretrained model that tells 214 file types apart, for the files of one folder.
#   samples/filetype/filetype.sh FOLDER [OUT-FOLDER]      environment: FINEPRUNE=build/fineprune SPARSITY=70%
set -euo pipefail

if (($# < 1 || $# > 2)); then
    echo "usage: filetype.sh FOLDER [OUT-FOLDER]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
files=$1
out=${2:-$root/build/filetype}
fineprune=${FINEPRUNE:-$root/build/fineprune}
sparsity=${SPARSITY:-70%}
venv=$out/venv

if [[ ! -x $fineprune ]]; then
    echo "filetype.sh: $fineprune is missing: build it first (see README.md) or set FINEPRUNE" >&2
    exit 1
fi

mkdir -p "$out"
if [[ ! -e $venv/installed ]]; then
    echo "installing magika 1.0.3 (the model) and numpy into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps magika==1.0.3 numpy
    touch "$venv/installed"
fi
package=$(echo "$venv"/lib/python3*/site-packages/magika)
model=$package/models/standard_v3_3/model.onnx

"$venv/bin/python" "$here/files_to_npz.py" "$files" "$out" --package "$package"

labels=()
if [[ -e $out/test_labels.npy ]]; then
    labels=(--labels "$out/test_labels.npy")
fi
echo "+ fineprune prune model.onnx --data local.npz -o pruned.onnx -s $sparsity"
"$fineprune" prune "$model" --data "$out/local.npz" -o "$out/pruned.onnx" -f -s "$sparsity"
echo "+ fineprune compare model.onnx pruned.onnx --data test.npz ${labels[*]:+--labels test_labels.npy}"
"$fineprune" compare "$model" "$out/pruned.onnx" --data "$out/test.npz" "${labels[@]}"
