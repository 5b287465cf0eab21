#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What must hold of the sources and of the built library, whatever they compute.
#
#   tests/checks.sh BUILD-FOLDER
set -u
cd "$(dirname "$0")/.."
build=$1
passed=0 failed=0

# check TEXT: fails when standard input has a line, and shows the lines.
check() {
    local lines
    lines=$(cat)
    if [ -z "$lines" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'checks: FAIL %s:\n%s\n' "$1" "$lines"
    fi
}

sources=$(git ls-files '*.c' '*.h' 2>/dev/null | grep . || find src passes include samples tests -name '*.[ch]')

nm -D --defined-only "$build/libfineprune.so" | awk '$2 ~ /[A-Z]/ && $3 !~ /^fineprune_/ {print $3}' |
    check "the library exports names without the prefix fineprune_"
nm "$build/libfineprune.so" | awk '$2 == "D" || $2 == "B" || $2 == "C" {print $3}' | check "the library exports writable data"
for file in $sources; do
    head -n 1 "$file" 2>/dev/null | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file"
done | check "sources without the SPDX line"
for file in passes/*.h; do
    [ -e "$file" ] && grep -ln "#include \"$(basename "$file")\"" src/*.c src/*.h src/ops/*.c
done | check "src/ includes from passes/"
grep -ln 'dnnl\.h\|dnnl_types\|dnnl_corner' passes/*.c passes/*.h 2>/dev/null | check "passes/ sees oneDNN"
grep -ln 'pb-c\.h' passes/*.c passes/*.h 2>/dev/null | check "passes/ sees protobuf-c"
echo "$sources" | xargs -n 1 basename 2>/dev/null | sort | uniq -d | check "file names that are not unique"
for standard in c99 c11 c17; do
    echo '#include <fineprune/fineprune.h>' | gcc -std=$standard -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only -x c - 2>&1
done | check "the public header does not compile alone in C"
if command -v g++ >/dev/null 2>&1; then
    echo '#include <fineprune/fineprune.h>' | g++ -std=c++11 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ - 2>&1 |
        check "the public header does not compile alone in C++"
fi
for file in src/*.h passes/*.h; do
    [ -e "$file" ] || continue
    echo "#include \"$(basename "$file")\"" | gcc -std=gnu11 -Iinclude -Isrc -Ipasses -I"$build/proto" -I.prefix/include \
        -fopenmp -fsyntax-only -x c - 2>&1 | head -n 3
done | check "internal headers that do not compile alone"

# The installed library serves a program that knows nothing but pkg-config.
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
{
    DESTDIR=$staged meson install -C "$build" --no-rebuild >"$staged/log" 2>&1 || tail -n 5 "$staged/log"
    pc=$(find "$staged" -name fineprune.pc | head -n 1)
    if [ -z "$pc" ]; then
        echo "no fineprune.pc"
    else
        export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$staged
        # shellcheck disable=SC2046
        gcc samples/minimal.c -o "$staged/minimal" $(pkg-config --cflags --libs fineprune) 2>&1 || echo "minimal.c does not link"
        library=$(dirname "$(find "$staged" -name 'libfineprune.so' | head -n 1)")
        LD_LIBRARY_PATH=$library "$staged/minimal" samples/gesture/gesture.onnx samples/gesture/local.npz "$staged/pruned.onnx" \
            >/dev/null 2>"$staged/log" || { echo "minimal.c does not run"; tail -n 3 "$staged/log"; }
        program=$(find "$staged" -path '*/bin/fineprune')
        LD_LIBRARY_PATH=$library "$program" --version >/dev/null 2>"$staged/log" || { echo "the installed program does not run"; cat "$staged/log"; }
    fi
} 2>&1 | check "meson install, pkg-config and samples/minimal.c"

printf 'checks: %d of %d good\n' $passed $((passed + failed))
[ -z "${FINEPRUNE_TALLY:-}" ] || echo "checks $passed $failed 0" >>"$FINEPRUNE_TALLY"
[ $failed = 0 ]
