#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What must hold of the sources and of the built library, whatever they compute.
#
#   tests/checks.sh BUILD-FOLDER
set -u
cd "$(dirname "$0")/.."
build=$1
. tests/check.sh

sources=$(git ls-files '*.c' '*.h' 2>/dev/null | grep . || find src passes commands cli include samples tests -name '*.[ch]')

exported() { nm -D --defined-only "$build/libfineprune.so" | awk '$2 ~ /[A-Z]/ {print $2, $3}'; }
check "the library exports names without the prefix fineprune_" < <(exported | grep -v ' fineprune_')
check "the library exports data" < <(exported | grep -v '^T ')
check "sources without the SPDX line" < <(
    for file in $sources; do
        head -n 1 "$file" 2>/dev/null | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file"
    done)
check "src/ includes from passes/" < <(cd passes && for file in $(git ls-files '*.h' 2>/dev/null || find . -name '*.h'); do
    grep -rln "#include \"${file#./}\"" ../src --include='*.[ch]'; done)
check "passes/ sees oneDNN" < <(grep -rln 'dnnl\.h\|dnnl_types\|kernel/dnnl' passes --include='*.[ch]')
check "passes/ sees protobuf-c" < <(grep -rln 'pb-c\.h' passes --include='*.[ch]')
# A report is typed: JSON is what one file writes of it, and nothing reads it back. Four files read what users write.
json_but() { grep -rlE "$1" src passes commands cli --include='*.[ch]' | grep -vxE "$2"; }
readers='src/task/task_labels.c|src/task/task_names.c|src/data/preprocess.c|cli/options.c'
check "JSON is read, but not from a user's file" < <(
    json_but '\bjson_(load|is_|(object|array)_(get|size|foreach)|[a-z]+_value|unpack)' "$readers")
check "JSON in other files than its writers and readers" < <(
    json_but 'json_|jansson' "$readers|src/report/report_json.c|src/report/report_schema.c|cli/option_texts.c")
check "names of operators outside their rows" < <(python3 tests/operator_names.py 1)
check "lines over 120 columns" < <(echo "$sources" | xargs awk 'length > 120 {print FILENAME ": " FNR}')
if [ -x .venv/bin/clang-format ]; then
    check "sources that clang-format would write otherwise" < <(
        echo "$sources" | xargs .venv/bin/clang-format --dry-run 2>&1 | grep -o '^[^ ]*: warning' | head -n 5)
fi
check "calls upward, or circles of files" < <(python3 tests/layers.py "$build")
check "programs see more than the public header" < <(grep -n '#include "' samples/*.c)
check "links of the pages that lead nowhere" < <(python3 tests/doc_links.py)
check "file names that are not unique" < <(echo "$sources" | xargs -n 1 basename | sort | uniq -d)
check "the public header does not compile alone in C" < <(
    for standard in c99 c11 c17; do
        echo '#include <fineprune/fineprune.h>' | gcc -std=$standard -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only -x c - 2>&1
    done)
if command -v g++ >/dev/null 2>&1; then
    check "the public header does not compile in C++, or its initialisers do not" < <(
        for standard in c++11 c++17 c++20; do
            g++ -std=$standard -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -x c++ - 2>&1 <<'END'
#include <fineprune/fineprune.h>
fineprune_save_options save = FINEPRUNE_SAVE_OPTIONS_INIT;
fineprune_data_options data = FINEPRUNE_DATA_OPTIONS_INIT;
int main() {
    const fineprune_prune_options prune = FINEPRUNE_PRUNE_OPTIONS_INIT;
    return prune.size == sizeof(prune) && save.size && data.size ? FINEPRUNE_OK : FINEPRUNE_USAGE;
}
END
        done)
fi
check "internal headers that do not compile alone" < <(
    for file in $(find src passes commands cli -name '*.h'); do
        echo "#include \"$file\"" | gcc -std=gnu11 -I. -Iinclude -Isrc -Ipasses -I"$build/proto" -I.prefix/include \
            -fopenmp -fsyntax-only -x c - 2>&1 | head -n 3
    done)

# The installed library serves a program that knows nothing but pkg-config.
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
installed() {
    DESTDIR=$staged meson install -C "$build" --no-rebuild >"$staged/log" 2>&1 || { tail -n 5 "$staged/log"; return; }
    local pc program
    pc=$(find "$staged" -name fineprune.pc | head -n 1)
    [ -n "$pc" ] || { echo "no fineprune.pc"; return; }
    export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$staged
    LD_LIBRARY_PATH=$(dirname "$(find "$staged" -name 'libfineprune.so' | head -n 1)")
    export LD_LIBRARY_PATH
    # shellcheck disable=SC2046
    gcc samples/minimal.c -o "$staged/minimal" $(pkg-config --cflags --libs fineprune) 2>&1 || { echo "minimal.c does not link"; return; }
    "$staged/minimal" samples/gesture/gesture.onnx samples/gesture/local.npz "$staged/pruned.onnx" >"$staged/log" 2>&1 ||
        { echo "minimal.c does not run"; tail -n 3 "$staged/log"; }
    program=$(find "$staged" -path '*/bin/fineprune')
    "$program" --version >"$staged/log" 2>&1 || { echo "the installed program does not run"; cat "$staged/log"; }
}
check "meson install, pkg-config and samples/minimal.c" < <(installed)

printf 'checks: %d of %d good\n' $passed $((passed + failed))
[ -z "${FINEPRUNE_TALLY:-}" ] || echo "checks $passed $failed 0" >>"$FINEPRUNE_TALLY"
[ $failed = 0 ]
