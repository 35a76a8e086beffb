/* The loops of capi.py: seconds for so many calls through the table. */

#include <Python.h>
#include <time.h>
#include <cbackprop.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

double predictions(
    const cbackprop_table *engine, cbackprop_network *network, const char *X, Py_ssize_t row_bytes, Py_ssize_t n_rows,
    Py_ssize_t n_calls, void *out)
{
    double began = now();
    int code = 0;
    for (Py_ssize_t k = 0, row = 0; k < n_calls; k++, row = row + 1 < n_rows ? row + 1 : 0)
        code |= engine->predict(network, X + row * row_bytes, 1, out);
    return code ? -1 : now() - began;
}

double steps(
    const cbackprop_table *engine, cbackprop_network *network, const char *X, Py_ssize_t row_bytes, const char *y,
    Py_ssize_t target_bytes, Py_ssize_t n_rows, Py_ssize_t n_calls)
{
    double began = now();
    int code = 0;
    for (Py_ssize_t k = 0, row = 0; k < n_calls; k++, row = row + 1 < n_rows ? row + 1 : 0)
        code |= engine->step(network, X + row * row_bytes, y + row * target_bytes, NULL, 1, NULL);
    return code ? -1 : now() - began;
}

double epochs(
    const cbackprop_table *engine, cbackprop_network *network, const void *X, const void *y, const Py_ssize_t *order,
    Py_ssize_t n_rows, Py_ssize_t n_epochs)
{
    double began = now();
    int code = 0;
    for (Py_ssize_t k = 0; k < n_epochs; k++)
        code |= engine->train(network, X, y, NULL, n_rows, order, 1, NULL);
    return code ? -1 : now() - began;
}
