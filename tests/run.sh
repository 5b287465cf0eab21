#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test: installs what is missing, builds with warnings as errors, runs all parts on that build, the same parts on a build with
# AddressSanitizer and UndefinedBehaviorSanitizer, and a few commands under valgrind. The last line counts everything.
#
#   tests/run.sh            all of it
#   tests/run.sh --quick    without sanitizers and valgrind
set -u
cd "$(dirname "$0")/.."
root=$PWD
quick=no
[ "${1:-}" = --quick ] && quick=yes

tally=$(mktemp)
trap 'rm -f "$tally"' EXIT
export FINEPRUNE_TALLY=$tally PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive
python=$root/.venv/bin/python

finish() {
    printf '\n'
    awk '{p += $(NF - 2); f += $(NF - 1); s += $NF} END {printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0}' "$tally"
    exit
}

# part NAME COMMAND...: a part appends "name passed failed skipped" to the tally (the counts are the last three words: a name may have
# several); one that ends badly without a word counts as failed.
part() {
    local name=$1 before after start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    before=$(awk '{f += $(NF - 1)} END {print f + 0, NR}' "$tally")
    if "$@"; then
        after=$(awk '{f += $(NF - 1)} END {print f + 0, NR}' "$tally")
        [ "${before#* }" != "${after#* }" ] || printf '%s 1 0 0\n' "$name" >>"$tally"
    else
        after=$(awk '{f += $(NF - 1)} END {print f + 0, NR}' "$tally")
        [ "${before% *}" != "${after% *}" ] || { printf '%s: FAIL\n' "$name"; printf '%s 0 1 0\n' "$name" >>"$tally"; }
    fi
    printf -- '-- %s: %d s\n' "$name" $((SECONDS - start))
}

# build FOLDER OPTION...: sets it up when needed, builds it, and shows the log only when that fails. TARGETS: only these.
build() {
    local folder=$1
    shift
    if [ ! -f "$folder/build.ninja" ] || ! meson introspect --buildoptions "$folder" >/dev/null 2>&1; then
        rm -rf "$folder"
        meson setup "$folder" --cmake-prefix-path="$root/.prefix" --werror -Dtests=enabled "$@" >"$folder.log" 2>&1 ||
            { cat "$folder.log"; return 1; }
        rm -f "$folder.log"
    fi
    # shellcheck disable=SC2086
    ninja -C "$folder" ${TARGETS:-} >"$folder/ninja.log" 2>&1 || { grep -v '^\[' "$folder/ninja.log" | head -60; return 1; }
}

unit() {
    meson test -C "$1" --no-rebuild --suite unit --print-errorlogs >"$1/unit.log" 2>&1
    "$python" tests/count_unit.py "$1/meson-logs/testlog.json" || { tail -n 60 "$1/unit.log"; return 1; }
}

parts() {
    local label=$1 folder=$2
    export FINEPRUNE=$root/$folder/fineprune
    part "$label: unit tests" unit "$folder"
    part "$label: command line" "$python" tests/cli/run_cli.py
    part "$label: bad input" "$python" tests/hostile/run_hostile.py
    part "$label: limits" "$python" tests/hostile/run_limits.py
    part "$label: names of outputs" "$python" tests/hostile/run_names.py
    part "$label: references" "$python" tests/reference/run_reference.py
    part "$label: pictures and sound" "$python" tests/reference/run_preparation.py
    part "$label: multiply-adds" "$python" tests/reference/run_macs.py
    part "$label: channels that leave" "$python" tests/reference/run_compact.py 300
    part "$label: targets" "$python" tests/reference/run_target.py
    part "$label: ONNX suites" "$python" tests/conformance/run_suites.py
}

part "set-up" ./setup.sh --tests --no-build
[ -x "$python" ] || finish
part "build, warnings as errors" build build-test
[ -x build-test/fineprune ] || finish
part "source and symbols" tests/checks.sh build-test
part "rows of operators" "$python" tests/signatures.py build-test/tests/list_rows
parts "release" build-test
part "release: biases and heads" "$python" tests/reference/run_biases.py
part "release: faults" env FINEPRUNE="$root/build-test/fineprune" "$python" tests/faults/run_faults.py
part "release: Python package" env FINEPRUNE="$root/build-test/fineprune" "$python" tests/python/run_python.py build-test/libfineprune.so
part "release: wheel" "$python" tests/python/run_wheel.py build-test
part "release: com.microsoft" env FINEPRUNE="$root/build-test/fineprune" "$python" tests/reference/run_microsoft.py
part "release: prunes at once" "$python" tests/threads/run_at_once.py "$root/build-test/tests/at_once"
part "what runtimes make of zeros" "$python" tests/reference/run_runtimes.py
part "release: what the pages tell" env FINEPRUNE="$root/build-test/fineprune" "$python" tests/docs/run_docs.py

if [ "$quick" = no ]; then
    # clang brings its own OpenMP (libomp-dev); without it there is nothing to build with.
    if command -v clang >/dev/null 2>&1 && echo '#include <omp.h>' | clang -fopenmp -fsyntax-only -x c - 2>/dev/null; then
        part "build with clang, without tests" env CC=clang bash -c "$(declare -f build); root=$root; build build-clang -Dtests=disabled"
    fi
    part "build with the thread sanitizer" env TARGETS=tests/at_once bash -c "$(declare -f build); root=$root; build build-tsan -Doptimization=1 -Ddebug=true -Db_sanitize=thread -Db_lundef=false"
    [ ! -x build-tsan/tests/at_once ] ||
        part "thread sanitizer: prunes at once" "$python" tests/threads/run_at_once.py "$root/build-tsan/tests/at_once"
    part "build with sanitizers" build build-asan -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
    if [ -x build-asan/fineprune ]; then
        export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1
        export LSAN_OPTIONS=suppressions=$root/tests/leaks.supp:print_suppressions=0
        export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
        export FINEPRUNE_SANITIZED=1
        parts "sanitizers" build-asan
        part "sanitizers: fuzz" env FINEPRUNE="$root/build-asan/fineprune" "$python" tests/fuzz/run_fuzz.py build-asan/tests/fuzz
        unset ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS FINEPRUNE_SANITIZED
    fi
    part "valgrind" "$python" tests/run_valgrind.py build-test/fineprune
fi
finish
