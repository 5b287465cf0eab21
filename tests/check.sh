# SPDX-License-Identifier: Apache-2.0
# For scripts that count what holds: sourced.
passed=0 failed=0

# check TEXT: fails when standard input has a line, and shows the lines.
check() {
    local lines
    lines=$(cat)
    if [ -z "$lines" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s: FAIL %s:\n%s\n' "$(basename "$0" .sh)" "$1" "$lines"
    fi
}
