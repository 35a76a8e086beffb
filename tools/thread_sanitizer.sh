#!/usr/bin/env bash
# Races between threads: tools/thread_sanitizer.sh [PYTHON]
# The engine, compiled for ThreadSanitizer in a copy of the tree, runs the tests of threads, owners, the pool, the
# contract and the C table.
# Every report is printed, and fails. The interpreter may be an ordinary one: ThreadSanitizer then sees the locks of the
# C library, and so the GIL, but not what Python itself reads and writes. It looks into that, too, with a Python that was
# configured --with-thread-sanitizer (`tools/test_wheels.sh thread-sanitizer` builds a free-threaded one).
# Needs GCC with libtsan, and a Python with Cython and what the tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-python3}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z | tar --null -T - -cf - | tar -C "$work" -xf -
cd "$work"
# with the names of functions and lines, for the reports
sed -i 's/"-g0"/"-g1"/; s/\["-Wl,-s"\]/[]/' setup.py
CFLAGS="-fsanitize=thread" "$python" setup.py -q build_ext --inplace 2>/dev/null

leave_out=(
    # the child of a process with threads makes threads of its own: ThreadSanitizer ends it there
    --deselect "tests/test_pool.py::test_threads_of_a_process[fork_"
    --deselect "tests/test_pool.py::test_threads_of_a_process[fork]"
    # counts what malloc is asked for, in the sanitizer's place
    --deselect tests/test_contract.py::test_calls_that_allocate_nothing
    # a bound on time, and everything is five to twenty times slower
    --deselect tests/test_threads.py::test_an_interrupt_is_seen_within_100_ms
)
preload=$(gcc -print-file-name=libtsan.so)
if "$python" -c 'import sysconfig, sys; sys.exit("thread-sanitizer" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))'; then
    preload=
fi
# to files, for pytest and the tests keep what processes print; and all of them, not the first one only
passed=yes
TSAN_OPTIONS="${TSAN_OPTIONS:-} log_path=$work/report halt_on_error=0" PYTHONPATH=$work LD_PRELOAD=$preload \
    "$python" -m pytest -q -p no:cacheprovider "${leave_out[@]}" tests/test_threads.py tests/test_owners.py \
    tests/test_pool.py tests/test_contract.py tests/test_capi.py || passed=no
if cat "$work"/report.* 2>/dev/null || [ $passed = no ]; then exit 1; fi
echo "no races"
