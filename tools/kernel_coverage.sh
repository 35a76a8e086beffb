#!/usr/bin/env bash
# Which lines of the kernels the tests do not reach: tools/kernel_coverage.sh [PYTHON]
# One variant (AVX2, float32), compiled for gcov in a copy of the tree, runs the tests of the kernels and of the network.
# Every line that is not reached is printed, and fails. Needs GCC, gcov, and a Python with Cython and what the tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-python3}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z | tar --null -T - -cf - | tar -C "$work" -xf -
cd "$work"
"$python" setup.py -q build_ext --inplace 2>/dev/null

name=_x86_64_v3_float32
cp cbackprop/_kernels/variant.pyx $name.pyx
"$python" -m cython -3 -I . --line-directives --module-name cbackprop._kernels.$name -X boundscheck=False \
    -X wraparound=False -X initializedcheck=False -X cdivision=True -X freethreading_compatible=True $name.pyx
gcc -shared -fPIC -O1 --coverage -ffp-contract=off -fno-math-errno -mavx2 -mfma -mbmi -mbmi2 -Wno-psabi \
    -DCBACKPROP_REAL=float -DCBACKPROP_REAL_BYTES=4 -DCBACKPROP_VECTOR_BYTES=32 -Icbackprop/_kernels \
    -I"$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" \
    $name.c -o "$(ls cbackprop/_kernels/$name.*.so)"

PYTHONPATH=$work CBACKPROP_ISA=x86-64-v3 "$python" -m pytest -q tests/test_kernels*.py tests/test_elementary.py \
    tests/test_network_against_pure.py tests/test_training.py -k "float32"
cd cbackprop/_kernels
gcov -o . ./*$name.gcda >/dev/null 2>&1
if grep -H '#####' ./*.pxd.gcov; then
    echo "lines of the kernels that no test reaches" >&2
    exit 1
fi
echo "the tests reach every line of: $(ls ./*.pxd.gcov | sed 's|./||; s|.gcov||' | tr '\n' ' ')"
