/* A program of the first release: calls every entry of its table, and returns what it found. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "cbackprop.h"

static const cbackprop_table *engine;
static const double X[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, y[4] = {0, 1, 1, 0};
static const Py_ssize_t order[4] = {3, 1, 2, 0};

enum { N_LOSSES = 3, N_OUTPUTS = 4, N_PARAMETERS = 13, N_ROWS = 4 };

static int work(cbackprop_network *network, double *found)
{
    double *losses = found, *outputs = losses + N_LOSSES, *parameters = outputs + N_OUTPUTS;
    Py_ssize_t n_features, n_outputs, n_parameters;
    int precision, code = engine->describe(network, &n_features, &n_outputs, &n_parameters, &precision);
    if (n_features != 2 || n_outputs != 1 || n_parameters != N_PARAMETERS || precision != CBACKPROP_FLOAT64)
        return -1;
    code |= engine->get_parameters(network, parameters);
    parameters[0] = 0.5;
    code |= engine->set_parameters(network, parameters);
    code |= engine->set_learning_rate(network, 0.2);
    code |= engine->loss_and_gradient(network, X, y, NULL, N_ROWS, &losses[0], parameters + N_PARAMETERS);
    code |= engine->step(network, X, y, NULL, N_ROWS, &losses[1]);
    code |= engine->train(network, X, y, NULL, N_ROWS, order, 2, &losses[2]);
    code |= engine->predict(network, X, N_ROWS, outputs);
    return code | engine->get_parameters(network, parameters);
}

/* consumer.use(network, optimizer): (codes, a sentence, numbers of a made network, numbers of the lent one) */
static PyObject *use(PyObject *self, PyObject *args)
{
    const Py_ssize_t layer_sizes[3] = {2, 3, 1};
    const int activations[2] = {CBACKPROP_TANH, CBACKPROP_IDENTITY};
    double made[N_LOSSES + N_OUTPUTS + 2 * N_PARAMETERS], lent[N_LOSSES + N_OUTPUTS + 2 * N_PARAMETERS];
    PyObject *network, *optimizer;
    cbackprop_network *handle;
    (void)self;
    if (!PyArg_ParseTuple(args, "OO", &network, &optimizer))
        return NULL;
    int code = engine->create(
        layer_sizes, 2, activations, CBACKPROP_SQUARED_ERROR, CBACKPROP_FLOAT64, 0.1, 7, N_ROWS, &handle);
    if (code == CBACKPROP_OK)
        code = work(handle, made) | engine->release(handle);
    if (code == CBACKPROP_OK)
        code = engine->lend(network, optimizer, N_ROWS, &handle);
    if (code == CBACKPROP_OK)
        code = work(handle, lent) | engine->release(handle);
    return Py_BuildValue(
        "isy#y#", code, engine->message(CBACKPROP_BUSY), made, (Py_ssize_t)sizeof made, lent, (Py_ssize_t)sizeof lent);
}

static PyMethodDef methods[] = {{"use", use, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "consumer", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_consumer(void)
{
    engine = cbackprop_import();
    return engine == NULL ? NULL : PyModule_Create(&module);
}
