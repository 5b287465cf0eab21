#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One command from nothing to a personalised model: installs and builds what is missing (setup.sh), prunes the gesture model with one
# person's unlabelled recordings, and measures both models on that person's later, labelled recordings, which pruning never saw.
#
#   samples/demo.sh [SPARSITY]      70% when not given
set -eu
cd "$(dirname "$0")/.."
sparsity=${1:-70%}

./setup.sh

gesture=samples/gesture
pruned=build/demo/gesture-pruned.onnx
mkdir -p build/demo

show() { printf '\n$ %s\n' "$*"; "$@"; }

show build/fineprune prune $gesture/gesture.onnx --data $gesture/local.npz --sparsity "$sparsity" -o $pruned --force
show build/fineprune compare $gesture/gesture.onnx $pruned --data $gesture/test.npz --labels $gesture/test_labels.npy
printf '\nThe personalised model: %s\n' "$PWD/$pruned"
