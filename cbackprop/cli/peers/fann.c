/* Online steps of FANN in a loop of its own, for fann.py: with -DDOUBLE in double precision. */

#include <stddef.h>

#ifdef DOUBLE
#include <doublefann.h>
#else
#include <floatfann.h>
#endif

struct fann *make(const unsigned *layer_sizes, unsigned n_layers, float learning_rate, int table)
{
    struct fann *network = fann_create_standard_array(n_layers, layer_sizes);
    if (!network)
        return network;
    fann_set_training_algorithm(network, FANN_TRAIN_INCREMENTAL);
    fann_set_train_error_function(network, FANN_ERRORFUNC_LINEAR);
    fann_set_learning_rate(network, learning_rate);
    /* its default: straight lines between six points of a table; the other calls exp */
    fann_set_activation_function_hidden(network, table ? FANN_SIGMOID_STEPWISE : FANN_SIGMOID);
    fann_set_activation_steepness_hidden(network, 0.5); /* 1 / (1 + exp(-2 * 0.5 * x)) */
    fann_set_activation_function_output(network, FANN_LINEAR);
    fann_set_activation_steepness_output(network, 1);
    return network;
}

/* (n_out, n_in + 1) of each layer, the bias last */
fann_type *weights(struct fann *network)
{
    return network->weights;
}

void train(struct fann *network, fann_type *X, fann_type *y, const ptrdiff_t *order, long n_steps)
{
    unsigned n_features = fann_get_num_input(network);
    for (long i = 0; i < n_steps; i++)
        fann_train(network, X + order[i] * n_features, y + order[i]);
}
