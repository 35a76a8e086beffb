"""ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from cbackprop.cli.peers.base import Predictor
from cbackprop.cli.peers.own import network_of


class OnnxRuntimePredictor(Predictor):
    """`InferenceSession.run` of a graph of Gemm, Sigmoid and Softmax nodes."""

    name = "ONNX Runtime"
    version = onnxruntime.__version__

    def __init__(self, problem):
        super().__init__(problem)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            _model(problem).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, n_calls):
        inputs = {"X": self.problem.X}
        for _ in range(n_calls):
            (outputs,) = self._session.run(None, inputs)
        return outputs


def _model(problem):
    network = network_of(problem)
    nodes, constants, below = [], [], "X"
    for k, arrays in enumerate(zip(network.weights, network.biases, strict=True)):
        names = [f"weights{k}", f"biases{k}"]
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for array, name in zip(arrays, names, strict=True)
        ]
        nodes.append(helper.make_node("Gemm", [below, *names], [f"z{k}"]))
        nodes.append(helper.make_node("Sigmoid", [f"z{k}"], [f"a{k}"]))
        below = f"a{k}"
    nodes.pop()
    below = nodes[-1].output[0]
    if problem.output["output_activation"] == "softmax":
        nodes.append(helper.make_node("Softmax", [below], ["y"], axis=1))
        below = "y"
    kind = helper.np_dtype_to_tensor_dtype(problem.X.dtype)
    n_features, n_outputs = problem.layer_sizes[0], problem.layer_sizes[-1]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("X", kind, ["rows", n_features])],
        [helper.make_tensor_value_info(below, kind, ["rows", n_outputs])],
        constants,
    )
    # an operator set and a format that runtimes of several years know
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model
