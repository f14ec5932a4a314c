"""Eigen-smoothed activation maps, as pytorch-grad-cam's eigen_smooth makes them and the paper's figures show them.

A Grad-CAM is the sum over channels of activation × weight. Eigen-smoothing takes their first principal component over
the cells instead. Its sign is arbitrary there; here it is the one that goes with the sum. A smoothed map has no unit:
its largest value is 1.

A bundle's explain graph holds both factors just before their product, which is where they are read.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

# What stands between the product and the graph's output.
_AFTER = {"Relu", "Reshape", "Div", "Mul", "Cast"}


class EigenMaps:
    """The explain graph of an exported bundle with its factors as outputs."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.path = folder / manifest["explain"]["graph"]
        if manifest["variant"] == "mini":
            raise ValueError(
                f"{folder}: eigen-smoothing needs maps that are one sum over channels; itr-mini's add two factors"
            )
        model = onnx.load(self.path)
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        weights, self.activations = self._factors(model, constants)
        self.constant = numpy_helper.to_array(constants[weights]) if weights in constants else None
        self.outputs = ["cam", self.activations] + ([weights] if self.constant is None else [])
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.outputs[1:])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pixels: np.ndarray, text: np.ndarray) -> np.ndarray:
        """uint8 [H,W,3], float32 [text width] → float64 [4,h,w], 0…1."""
        found = self.session.run(self.outputs, {"pixels": pixels[None], "text": text[None]})
        cam, activations = found[0][0], found[1][0]
        weights = self.constant if self.constant is not None else found[2][0]
        flat = activations.reshape(len(activations), -1).astype(np.float64)  # [channels, cells]
        sums = weights @ flat
        if not _proportional(np.maximum(sums, 0), cam.reshape(len(cam), -1)):
            raise ValueError(f"{self.path}: its maps are not the sums of activation × weight that it ends with")
        return np.stack([smoothed(row[:, None] * flat) for row in weights]).reshape(cam.shape)

    def _factors(self, model: onnx.ModelProto, constants: dict[str, onnx.TensorProto]) -> tuple[str, str]:
        """Names of the weights [.., classes, channels] and of the activations."""
        makers = {name: node for node in model.graph.node for name in node.output}
        node = makers.get("cam")
        while node is not None and node.op_type in _AFTER:
            node = makers.get(node.input[0])
        if node is None or node.op_type not in ("MatMul", "Einsum") or len(node.input) != 2:
            raise ValueError(f"{self.path}: it does not end with a product of weights and activations")
        return node.input[0], node.input[1]


def smoothed(weighted: np.ndarray) -> np.ndarray:
    """activation × weight [channels, cells] → [cells], 0…1."""
    centred = (weighted - weighted.mean(1, keepdims=True)).T
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    found = np.maximum(along if along @ weighted.sum(0) >= 0 else -along, 0)
    return found / max(found.max(), 1e-30)


def _proportional(a: np.ndarray, b: np.ndarray) -> bool:
    scale = a.sum() / b.sum() if b.any() else 1.0
    return np.allclose(a, scale * b, rtol=1e-3, atol=1e-3 * max(a.max(), 1e-30))
