#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what fineprune needs and builds it in ./build. Safe to run again: with nothing missing it only builds.
#
#   ./setup.sh            packages, oneDNN, build
#   ./setup.sh --tests    also what tests/run.sh needs (.venv with ONNX's own tests and oracles, valgrind)
#   ./setup.sh --no-build only installs
#
# Debian 12 or newer (or another system with apt-get), as root or with sudo. Elsewhere it names what is missing. Nothing outside
# this folder is changed but the packages.
set -eu
cd "$(dirname "$0")"

tests=no build=yes
for argument; do
    case $argument in
    --tests) tests=yes ;;
    --no-build) build=no ;;
    *) sed -n 's/^# \{0,1\}//; 3,10p' "$0"; exit 2 ;;
    esac
done

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

# ---- distribution packages: package, how to see that it is there -----------------------------------------------------------------

needs() {
    cat <<'LIST'
gcc tool gcc --version
libc6-dev file /usr/include/stdio.h
pkg-config tool pkg-config --version
meson tool meson --version
ninja-build tool ninja --version
cmake tool cmake --version
protobuf-c-compiler tool protoc-c --version
libprotobuf-c-dev module libprotobuf-c
libjansson-dev module jansson
zlib1g-dev module zlib
libzip-dev module libzip
libpng-dev module libpng
libjpeg-dev module libjpeg
libwebp-dev module libwebp
libtiff-dev module libtiff-4
libgif-dev file /usr/include/gif_lib.h
libsndfile1-dev module sndfile
libsamplerate0-dev module samplerate
libkissfft-dev module kissfft-float
libopenblas-dev module openblas
liblapacke-dev module lapacke
nettle-dev module nettle
python3 tool python3 --version
python3-venv tool python3 -c "import venv, ensurepip"
LIST
    if [ "$tests" = yes ]; then
        cat <<'LIST'
libcmocka-dev module cmocka
valgrind tool valgrind --version
LIST
    fi
}

missing() {
    needs | while read -r package kind probe; do
        case $kind in
        tool) sh -c "$probe" >/dev/null 2>&1 </dev/null || printf '%s ' "$package" ;;
        module) pkg-config --exists "$probe" >/dev/null 2>&1 || printf '%s ' "$package" ;;
        file) ls "$probe" >/dev/null 2>&1 || ls /usr/include/*/"${probe##*/}" >/dev/null 2>&1 || printf '%s ' "$package" ;;
        esac
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        fail "not root and no sudo; as root, run: $*"
    fi
}

updated=no
apt_install() {
    command -v apt-get >/dev/null 2>&1 || fail "no apt-get here; install these (Debian's names) yourself: $*"
    say "installing packages: $*"
    if [ "$updated" = no ]; then
        as_root apt-get update -q >/dev/null || say "apt-get update failed; trying with the lists at hand"
        updated=yes
    fi
    # apt's own talk is shown only when it fails.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >.setup.log 2>&1 </dev/null || {
        tail -n 20 .setup.log >&2
        fail "apt-get install failed: $*"
    }
    rm -f .setup.log
}

packages=$(missing)
if [ -n "$packages" ]; then
    # shellcheck disable=SC2086
    apt_install $packages
    packages=$(missing)
    [ -z "$packages" ] || fail "still missing after the installation: $packages"
fi

# A second compiler and checkers of source: the tests use them where they are.
if [ "$tests" = yes ] && command -v apt-get >/dev/null 2>&1; then
    for package in clang libomp-dev clang-tidy cppcheck; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || (apt_install "$package") ||
            say "$package is not there; what needs it is left out"
    done
fi

# ---- oneDNN >= 3.1: the distribution's, else a wheel that holds the library, unpacked in .prefix ------------------------------

onednn_wheel=onednn-devel-cpu-gomp==2023.2.0
installed=$(dpkg-query -W -f='${Version}' libdnnl-dev 2>/dev/null || true)
if [ -f .prefix/lib/cmake/dnnl/dnnl-config.cmake ] && [ -f .prefix/lib/libdnnl.so.3 ]; then
    :
elif [ -n "$installed" ] && dpkg --compare-versions "$installed" ge 3.1; then
    :
else
    offered=$(apt-cache policy libdnnl-dev 2>/dev/null | sed -n 's/^ *Candidate: //p')
    if [ -n "$offered" ] && [ "$offered" != "(none)" ] && dpkg --compare-versions "$offered" ge 3.1; then
        apt_install libdnnl-dev
    else
        [ "$(uname -m)" = x86_64 ] || fail "oneDNN >= 3.1 is not packaged here and the wheel is for x86_64 only; install oneDNN yourself"
        say "installing oneDNN in .prefix: $onednn_wheel"
        rm -rf .prefix .prefix.new
        python3 -m venv .prefix.new
        .prefix.new/bin/pip install -q --disable-pip-version-check "$onednn_wheel" ||
            { rm -rf .prefix.new; fail "pip could not install $onednn_wheel"; }
        mv .prefix.new .prefix
    fi
fi

# ---- the oracles of the tests -----------------------------------------------------------------------------------------------------

if [ "$tests" = yes ] && ! cmp -s tests/requirements.txt .venv/installed.txt; then
    say "installing the tests' Python packages in .venv: $(grep -v '^#' tests/requirements.txt | tr '\n' ' ')"
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt || fail "pip could not install tests/requirements.txt"
    cp tests/requirements.txt .venv/installed.txt
fi

# ---- build ----------------------------------------------------------------------------------------------------------------------------

[ "$build" = yes ] || exit 0
# A build folder that was set up for another place, or only half, is no use.
if [ -d build ] && ! meson introspect --buildoptions build >/dev/null 2>&1; then
    rm -rf build
fi
if [ ! -f build/build.ninja ]; then
    say "setting up ./build"
    rm -rf build
    meson setup build --cmake-prefix-path="$PWD/.prefix" >build-setup.log 2>&1 || { cat build-setup.log >&2; fail "meson setup failed"; }
    rm -f build-setup.log
fi
ninja -C build >build/ninja.log 2>&1 || { tail -n 40 build/ninja.log >&2; fail "the build failed"; }
say "built $PWD/build/fineprune"
