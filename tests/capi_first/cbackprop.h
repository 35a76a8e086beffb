/* Of cbackprop 0.1.0, November 2026, ABI 1: kept as programs were compiled with it, and never changed. */

/* cbackprop.h: the engine called from C and C++.
 *
 *     #include <Python.h>
 *     #include <cbackprop.h>
 *
 *     const cbackprop_table *engine = cbackprop_import();     // with the GIL; NULL: a Python exception is set
 *     cbackprop_network *network;
 *     int code = engine->create(layer_sizes, 2, activations, CBACKPROP_SQUARED_ERROR, CBACKPROP_FLOAT64,
 *                               0.1, 0, 1, &network);
 *     if (code != CBACKPROP_OK) puts(engine->message(code));
 *
 * docs/embedding.md says what holds for all functions. In short: one thread a handle; no function raises, aborts or
 * prints; `lend` needs the GIL, `create` and `release` take it, and nothing else has to do with Python.
 */

#ifndef CBACKPROP_H
#define CBACKPROP_H

#include <Python.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the table's entries as they are below. New ones are added at its end, and this stays what it is. */
#define CBACKPROP_ABI_VERSION 1

/* What functions return. */
enum cbackprop_code {
    CBACKPROP_OK = 0,
    CBACKPROP_NULL_POINTER = 1,
    CBACKPROP_BAD_SIZE = 2,
    CBACKPROP_BAD_NAME = 3,          /* an activation, a loss or a precision, or two that do not go together */
    CBACKPROP_BAD_NUMBER = 4,        /* a learning rate that is not finite and positive */
    CBACKPROP_BAD_OBJECT = 5,        /* not a Network, or not an optimizer that can train it */
    CBACKPROP_BUSY = 6,              /* it is trained, read or lent elsewhere */
    CBACKPROP_NO_MEMORY = 7,
    CBACKPROP_BAD_X = 8,             /* a number in it is not finite */
    CBACKPROP_BAD_Y = 9,
    CBACKPROP_BAD_SAMPLE_WEIGHT = 10,  /* or they add up to 0, and their mean is wanted */
    CBACKPROP_BAD_PARAMETERS = 11,
    CBACKPROP_BAD_ORDER = 12,        /* a row that is not there */
    CBACKPROP_DIVERGED = 13,         /* the loss or a parameter is not finite any more */
    CBACKPROP_PYTHON_ERROR = 14      /* an exception that none of these is */
};

enum cbackprop_activation {
    CBACKPROP_IDENTITY = 0,
    CBACKPROP_SIGMOID = 1,
    CBACKPROP_TANH = 2,
    CBACKPROP_RELU = 3,
    CBACKPROP_SOFTSIGN = 4,
    CBACKPROP_EXP = 5,               /* of outputs only */
    CBACKPROP_SOFTMAX = 6            /* of outputs only */
};

enum cbackprop_loss {
    CBACKPROP_SQUARED_ERROR = 0,     /* any output activation but softmax */
    CBACKPROP_LOG_LOSS = 1,          /* softmax */
    CBACKPROP_BINARY_LOG_LOSS = 2,   /* sigmoid */
    CBACKPROP_POISSON = 3            /* exp */
};

/* The bytes of a number: what `void *` points at is float or double throughout. */
enum cbackprop_precision {
    CBACKPROP_FLOAT32 = 4,
    CBACKPROP_FLOAT64 = 8
};

/* A network that is C's until it is released. */
typedef struct cbackprop_network cbackprop_network;

typedef struct cbackprop_table {
    size_t size;      /* bytes that the library's table has; never fewer than a program of this ABI was compiled for */
    int abi_version;

    /* A sentence about a code; never NULL. */
    const char *(*message)(int code);

    /* A new network, with plain gradient descent. Takes the GIL.
     * The initial parameters are those of the Python class Network with random_state=seed. */
    int (*create)(
        const Py_ssize_t *layer_sizes,   /* (n_layers + 1,), those of the inputs first */
        Py_ssize_t n_layers,             /* at least 1 */
        const int *activations,          /* (n_layers,), of the outputs last */
        int loss, int precision, double learning_rate,
        unsigned int seed,
        Py_ssize_t max_rows,             /* in a batch */
        cbackprop_network **network);    /* overwritten; NULL after an error */

    /* A Python object's network, with the optimizer that trains it. The GIL must be held.
     * Until it is released, Python code that touches either gets a RuntimeError. */
    int (*lend)(PyObject *network, PyObject *optimizer, Py_ssize_t max_rows, cbackprop_network **handle);

    /* Gives back what was lent or created; the Network and the optimizer get the parameters and the state, unless
     * those are not finite: then CBACKPROP_DIVERGED, and they are as they were when it was lent. Takes the GIL.
     * The handle is gone whatever is returned. NULL is CBACKPROP_OK. */
    int (*release)(cbackprop_network *network);

    /* Sizes; each pointer but the first may be NULL. */
    int (*describe)(
        const cbackprop_network *network, Py_ssize_t *n_features, Py_ssize_t *n_outputs, Py_ssize_t *n_parameters,
        int *precision);

    /* Parameters as they are in `Network.parameters`: each layer's weights, row by row, then its biases. */
    int (*get_parameters)(cbackprop_network *network, void *out);      /* (n_parameters,), overwritten */
    int (*set_parameters)(cbackprop_network *network, const void *values);   /* (n_parameters,), finite */

    int (*set_learning_rate)(cbackprop_network *network, double learning_rate);

    /* out := the outputs */
    int (*predict)(
        cbackprop_network *network,
        const void *X,                   /* (n_rows, n_features), row-major */
        Py_ssize_t n_rows,               /* any number */
        void *out);                      /* (n_rows, n_outputs), overwritten; not X */

    /* One batch, one update. None where the loss is not finite: that is CBACKPROP_DIVERGED. */
    int (*step)(
        cbackprop_network *network,
        const void *X, const void *y,    /* (n_rows, n_features), (n_rows, n_outputs) */
        const void *sample_weight,       /* (n_rows,), or NULL */
        Py_ssize_t n_rows,               /* up to max_rows */
        double *loss);                   /* the mean before the update, overwritten; or NULL */

    /* All rows once, in batches. After an error all is as it was before the call. */
    int (*train)(
        cbackprop_network *network,
        const void *X, const void *y, const void *sample_weight,
        Py_ssize_t n_rows,               /* any number */
        const Py_ssize_t *order,         /* (n_rows,): which row when, each from 0 on and below n_rows; or NULL */
        Py_ssize_t batch_size,           /* up to max_rows */
        double *loss);                   /* the batches' mean, overwritten; or NULL */

    /* The mean of the loss over the rows, and its gradient. */
    int (*loss_and_gradient)(
        cbackprop_network *network,
        const void *X, const void *y, const void *sample_weight,
        Py_ssize_t n_rows,               /* up to max_rows */
        double *loss,                    /* overwritten; or NULL */
        void *gradient);                 /* (n_parameters,), overwritten; or NULL */
} cbackprop_table;

/* The table of the installed library; NULL, with an ImportError, if it has not all of what is above.
 * The GIL must be held; ask once, and keep the pointer: it is valid until the interpreter ends. */
static inline const cbackprop_table *cbackprop_import(void)
{
    const cbackprop_table *table;
    PyObject *module = PyImport_ImportModule("cbackprop.capi");
    if (module == NULL)
        return NULL;
    PyObject *capsule = PyObject_GetAttrString(module, "table");
    Py_DECREF(module);
    if (capsule == NULL)
        return NULL;
    table = (const cbackprop_table *)PyCapsule_GetPointer(capsule, "cbackprop.capi.table");
    Py_DECREF(capsule);  /* the module keeps it */
    if (table == NULL)
        return NULL;
    if (table->abi_version != CBACKPROP_ABI_VERSION) {
        PyErr_Format(
            PyExc_ImportError, "this program was compiled for ABI %d of cbackprop, the installed one has %d",
            CBACKPROP_ABI_VERSION, table->abi_version);
        return NULL;
    }
    if (table->size < sizeof(cbackprop_table)) {
        PyErr_Format(
            PyExc_ImportError, "this program was compiled for a newer cbackprop: it needs a table of %zu bytes, the "
            "installed one has %zu", sizeof(cbackprop_table), table->size);
        return NULL;
    }
    return table;
}

#ifdef __cplusplus
}
#endif

#endif
