/* Preloaded into a Python: counts what is allocated, by whomever. For glibc. */

#include <errno.h>
#include <math.h>
#include <Python.h>
#include <cbackprop.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

long n_allocations;

static void count(void) { __atomic_add_fetch(&n_allocations, 1, __ATOMIC_RELAXED); }

void *malloc(size_t n) { count(); return __libc_malloc(n); }
void *calloc(size_t n, size_t size) { count(); return __libc_calloc(n, size); }
void *realloc(void *at, size_t n) { count(); return __libc_realloc(at, n); }
void *memalign(size_t alignment, size_t n) { count(); return __libc_memalign(alignment, n); }
void *aligned_alloc(size_t alignment, size_t n) { count(); return __libc_memalign(alignment, n); }
int posix_memalign(void **at, size_t alignment, size_t n)
{
    count();
    return (*at = __libc_memalign(alignment, n)) ? 0 : ENOMEM;
}

/* How many while C calls everything that is called between `lend` and `release`, errors included; -1: it fails. */
long of_calls(
    const cbackprop_table *engine, cbackprop_network *network, double *X, const double *y, const Py_ssize_t *order,
    Py_ssize_t n_rows, double *outputs, double *parameters)
{
    double loss, first = X[0];
    /* a thread's first call, for which the C library may take what the thread has for itself */
    int code = engine->train(network, X, y, NULL, n_rows, order, 1, &loss);
    long before = n_allocations;
    code |= engine->describe(network, NULL, NULL, NULL, NULL);
    for (int k = 0; k < 20; k++) {
        code |= engine->predict(network, X, 1, outputs) | engine->predict(network, X, n_rows, outputs);
        code |= engine->step(network, X, y, NULL, 1, &loss) | engine->step(network, X, y, NULL, n_rows, &loss);
        code |= engine->train(network, X, y, NULL, n_rows, order, 1, &loss);
        code |= engine->train(network, X, y, y, n_rows, NULL, n_rows, NULL);
        code |= engine->loss_and_gradient(network, X, y, NULL, n_rows, &loss, parameters);
        code |= engine->get_parameters(network, parameters) | engine->set_parameters(network, parameters);
        code |= engine->set_learning_rate(network, 0.01);
        X[0] = NAN;
        code |= engine->step(network, X, y, NULL, 1, &loss) != CBACKPROP_BAD_X;
        code |= engine->train(network, X, y, NULL, n_rows, NULL, 2, &loss) != CBACKPROP_BAD_X;
        code |= engine->predict(network, X, n_rows, outputs) != CBACKPROP_BAD_X;
        code |= engine->predict(network, NULL, 1, outputs) != CBACKPROP_NULL_POINTER;
        X[0] = first;
    }
    return code ? -1 : n_allocations - before;
}
