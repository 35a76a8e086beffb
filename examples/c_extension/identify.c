/* A plant that is identified by a network while it runs: a C extension module that trains without the GIL. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

#include <cbackprop.h>

static const cbackprop_table *engine;

/* The next state of the plant. */
static double plant(double state, double input) { return 0.6 * state / (1 + state * state) + 0.3 * sin(3 * input); }

/* identify(n_steps): the loss, the mean over the last 1000 steps */
static PyObject *identify(PyObject *self, PyObject *argument)
{
    Py_ssize_t n_steps = PyLong_AsSsize_t(argument);
    Py_ssize_t layer_sizes[] = {2, 16, 1};
    int activations[] = {CBACKPROP_TANH, CBACKPROP_IDENTITY};
    cbackprop_network *network;
    double loss, total = 0, state = 0;
    int code;

    (void)self;
    if (PyErr_Occurred())
        return NULL;
    code = engine->create(
        layer_sizes, 2, activations, CBACKPROP_SQUARED_ERROR, CBACKPROP_FLOAT64, 0.05, 0, 1, &network);
    if (code == CBACKPROP_OK) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t k = 0; k < n_steps && code == CBACKPROP_OK; k++) {
            double X[2] = {state, sin(0.05 * k) * cos(0.83 * k)};
            double next = plant(X[0], X[1]);
            code = engine->step(network, X, &next, NULL, 1, &loss);
            if (k >= n_steps - 1000)
                total += loss;
            state = next;
        }
        Py_END_ALLOW_THREADS
        engine->release(network);
    }
    if (code != CBACKPROP_OK) {
        PyErr_SetString(PyExc_RuntimeError, engine->message(code));
        return NULL;
    }
    return PyFloat_FromDouble(total / 1000);
}

static PyMethodDef methods[] = {{"identify", identify, METH_O, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "identify", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_identify(void)
{
    engine = cbackprop_import();
    return engine == NULL ? NULL : PyModule_Create(&module);
}
