#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what fineprune needs and builds it in ./build. Safe to run again: with nothing missing it only builds.
#
#   ./setup.sh            packages, oneDNN, build
#   ./setup.sh --tests    also what tests/run.sh needs (.venv with ONNX's own tests and oracles, valgrind)
#   ./setup.sh --no-build only installs
#
# Debian 12 or newer (or another system with apt-get). As root or with sudo it installs packages; otherwise it prints the one line
# that somebody who may has to run, and works with what is there. Nothing outside this folder is changed but the packages.
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

# ---- who may install: asked once ----------------------------------------------------------------------------------------------------

root=no # or "yes", or "sudo"
may_install() {
    if ! command -v apt-get >/dev/null 2>&1; then
        return
    elif [ "$(id -u)" = 0 ]; then
        root=yes
    elif ! command -v sudo >/dev/null 2>&1; then
        return
    elif sudo -n true 2>/dev/null; then
        root=sudo
    elif [ -t 0 ] && [ -t 2 ]; then
        say "packages are missing ($*); sudo may ask for your password, once"
        ! sudo -v || root=sudo
    fi
}

as_root() {
    if [ "$root" = sudo ]; then sudo "$@"; else "$@"; fi
}

# The one line for somebody who may.
tell() {
    if command -v apt-get >/dev/null 2>&1; then
        say "packages are missing, and this user may not install them. As root, run:"
        printf '    apt-get update && apt-get install -y --no-install-recommends %s\n' "$*"
    else
        say "packages are missing, and there is no apt-get here. Install these (Debian's names): $*"
    fi
    say "going on with what is there"
}

updated=no
apt_install() {
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

# Packages that are welcome: a second compiler and checkers of source, which the tests use where they are.
welcome() {
    if [ "$tests" = yes ] && command -v apt-get >/dev/null 2>&1; then
        for package in clang libomp-dev clang-tidy cppcheck; do
            dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
        done
    fi
}

packages=$(missing) more=$(welcome)
# shellcheck disable=SC2086
[ -z "$packages$more" ] || may_install $packages$more
# shellcheck disable=SC2086
if [ -n "$packages" ] && [ "$root" != no ]; then
    apt_install $packages
    packages=$(missing)
    [ -z "$packages" ] || fail "still missing after the installation: ${packages% }"
elif [ -n "$packages$more" ] && [ "$root" = no ]; then
    tell $packages$more
fi
for package in $more; do
    [ "$root" = no ] || (apt_install "$package") || say "$package is not there; what needs it is left out"
done

# ---- oneDNN >= 3.1: the distribution's, else a wheel that holds the library, unpacked in .prefix ------------------------------

onednn_wheel=onednn-devel-cpu-gomp==2023.2.0

# enough VERSION: is that of a package?
enough() { [ -n "$1" ] && [ "$1" != "(none)" ] && dpkg --compare-versions "$1" ge 3.1; }
packaged() { enough "$(dpkg-query -W -f='${Version}' libdnnl-dev 2>/dev/null || true)"; }
offered() { enough "$(apt-cache policy libdnnl-dev 2>/dev/null | sed -n 's/^ *Candidate: //p')"; }

unpack_wheel() {
    say "installing oneDNN in .prefix: $onednn_wheel"
    rm -rf .prefix .prefix.new
    if ! python3 -m venv .prefix.new >/dev/null 2>&1; then
        say "no virtual environment can be made here, so no oneDNN was installed"
    elif ! .prefix.new/bin/pip install -q --disable-pip-version-check "$onednn_wheel"; then
        say "pip could not install $onednn_wheel"
    else
        mv .prefix.new .prefix
    fi
    rm -rf .prefix.new
}

if [ -f .prefix/lib/cmake/dnnl/dnnl-config.cmake ] && [ -f .prefix/lib/libdnnl.so.3 ] || packaged; then
    :
else
    if offered && [ "$root" = no ] && [ -z "$packages$more" ]; then may_install libdnnl-dev; fi
    if offered && [ "$root" != no ]; then
        apt_install libdnnl-dev
    elif [ "$(uname -m)" = x86_64 ]; then
        unpack_wheel
    else
        say "oneDNN >= 3.1 is not there, and the wheel is for x86_64 only: install it yourself"
    fi
fi

# ---- the oracles of the tests -----------------------------------------------------------------------------------------------------

if [ "$tests" = yes ] && ! cmp -s tests/requirements.txt .venv/installed.txt; then
    say "installing the tests' Python packages in .venv: $(grep -v '^#' tests/requirements.txt | tr '\n' ' ')"
    rm -rf .venv
    python3 -m venv .venv || fail "no virtual environment for the tests"
    .venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt || fail "pip could not install tests/requirements.txt"
    cp tests/requirements.txt .venv/installed.txt
fi

# ---- build ----------------------------------------------------------------------------------------------------------------------------

if [ "$build" = no ]; then
    [ -z "$packages" ] || fail "these are still missing: ${packages% }"
    exit 0
fi
for tool in meson ninja; do
    command -v $tool >/dev/null 2>&1 || fail "nothing can be built without $tool; these are missing: ${packages% }"
done
# A build folder that was set up for another place, or only half, is no use.
if [ -d build ] && ! meson introspect --buildoptions build >/dev/null 2>&1; then
    rm -rf build
fi
if [ ! -f build/build.ninja ]; then
    say "setting up ./build, and building, which takes a minute or more"
    rm -rf build
    meson setup build --cmake-prefix-path="$PWD/.prefix" >build-setup.log 2>&1 || {
        if [ -z "$packages" ]; then cat build-setup.log >&2; else grep -i 'error' build-setup.log >&2 || cat build-setup.log >&2; fi
        rm -rf build build-setup.log
        fail "meson setup failed${packages:+; these are missing: ${packages% }}"
    }
    rm -f build-setup.log
fi
ninja -C build >build/ninja.log 2>&1 || { tail -n 40 build/ninja.log >&2; fail "the build failed"; }
say "built $PWD/build/fineprune"
