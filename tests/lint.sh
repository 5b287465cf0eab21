#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy and cppcheck over the sources, where they are installed; the compilers' own warnings are the build's (-Wconversion and all).
#
#   tests/lint.sh BUILD-FOLDER [--deep]     --deep: clang's analyzer too, over what reads strangers' files; minutes
set -u
cd "$(dirname "$0")/.."
build=$1
. tests/check.sh
skipped=0

# What a check must be worth: it has found, or could find, a fault here, and what it says of sound code is seldom. Left out:
#   easily-swappable-parameters, branch-clone, implicit-widening, macro-parentheses   say something of most files, never yet a fault
#   suspicious-string-compare, sizeof-expression     strcmp as a truth, arrays of pointers: both wanted
#   not-null-terminated-result, reserved-identifier   bytes that are no text; names that libraries ask for
#   narrowing-conversions                             -Wconversion has it
#   integer-division                                  whole numbers of positions, then made floats
#   cert-err34-c   sscanf for numbers: it has found patterns that were taken modulo 2^32, and cannot see that widths bound them now
tidy='-*,bugprone-*,misc-redundant-expression,misc-misplaced-const,cert-env33-c,cert-msc30-c
-bugprone-easily-swappable-parameters,-bugprone-branch-clone,-bugprone-implicit-widening-of-multiplication-result
-bugprone-macro-parentheses,-bugprone-suspicious-string-compare,-bugprone-sizeof-expression,-bugprone-not-null-terminated-result
-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-bugprone-integer-division'
deep='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*'

run_tidy() { # CHECKS FILE...
    local checks
    checks=$(tr '\n' ',' <<<"$1")
    shift
    printf '%s\n' "$@" | xargs -P 2 -n 4 clang-tidy -p "$build" --quiet --checks="${checks%,}" 2>/dev/null | grep -E '(warning|error):' | sort -u
}

run_cppcheck() {
    cppcheck -q -j 2 --enable=warning,portability,performance --inline-suppr --std=c11 --max-configs=1 --suppress=missingInclude \
        --suppress=unmatchedSuppression -D__x86_64__ -D__GNUC__=12 '-DFP_VERSION="0"' -Iinclude -Isrc -Ipasses -Icli \
        --template='{file}:{line}: {severity} {id}: {message}' src passes commands cli 2>&1 | sort -u
}

mapfile -t sources < <(git ls-files 'src/*.c' 'passes/*.c' 'commands/*.c' 'cli/*.c' 2>/dev/null | grep . || find src passes commands cli -name '*.c')
if command -v clang-tidy >/dev/null 2>&1; then
    check "clang-tidy" < <(run_tidy "$tidy" "${sources[@]}")
    if [ "${2:-}" = --deep ]; then
        check "clang's analyzer" < <(run_tidy "$deep" "$(printf '%s\n' "${sources[@]}" | grep -E '^(src/(onnx|tensor|base|data)|cli)/')")
    fi
else
    skipped=$((skipped + 1))
fi
if command -v cppcheck >/dev/null 2>&1; then check "cppcheck" < <(run_cppcheck); else skipped=$((skipped + 1)); fi

printf 'lint: %d of %d good, %d skipped\n' $passed $((passed + failed)) $skipped
[ -z "${FINEPRUNE_TALLY:-}" ] || echo "lint $passed $failed $skipped" >>"$FINEPRUNE_TALLY"
[ $failed = 0 ]
