// A C++ program that embeds Python for the sake of its engine, and trains by it: XOR.

#include <Python.h>

#include <cstdio>
#include <stdexcept>

#include <cbackprop.h>

// A network that is released with its owner.
class Network {
public:
    Network(const cbackprop_table *engine, Py_ssize_t max_rows) : engine(engine)
    {
        const Py_ssize_t layer_sizes[] = {2, 4, 1};
        const int activations[] = {CBACKPROP_TANH, CBACKPROP_SIGMOID};
        check(engine->create(
            layer_sizes, 2, activations, CBACKPROP_BINARY_LOG_LOSS, CBACKPROP_FLOAT32, 0.5, 0, max_rows, &handle));
    }
    ~Network() { engine->release(handle); }
    Network(const Network &) = delete;
    Network &operator=(const Network &) = delete;

    double step(const float *X, const float *y, Py_ssize_t n_rows)
    {
        double loss;
        check(engine->step(handle, X, y, nullptr, n_rows, &loss));
        return loss;
    }

    void predict(const float *X, Py_ssize_t n_rows, float *out) { check(engine->predict(handle, X, n_rows, out)); }

private:
    void check(int code) const
    {
        if (code != CBACKPROP_OK)
            throw std::runtime_error(engine->message(code));
    }

    const cbackprop_table *engine;
    cbackprop_network *handle = nullptr;
};

static void learn_xor(const cbackprop_table *engine)
{
    const float X[] = {0, 0, 0, 1, 1, 0, 1, 1}, y[] = {0, 1, 1, 0};
    float out[4];
    Network network(engine, 4);
    for (int k = 0; k < 5000; k++)
        network.step(X, y, 4);
    network.predict(X, 4, out);
    for (int k = 0; k < 4; k++)
        std::printf("%g xor %g: %.2f\n", X[2 * k], X[2 * k + 1], out[k]);
}

int main()
{
    Py_Initialize();
    int status = 1;
    if (const cbackprop_table *engine = cbackprop_import()) {
        // what follows has nothing to do with Python
        PyThreadState *python = PyEval_SaveThread();
        try {
            learn_xor(engine);
            status = 0;
        } catch (const std::exception &error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        PyEval_RestoreThread(python);
    } else {
        PyErr_Print();
    }
    return Py_FinalizeEx() < 0 ? 120 : status;
}
