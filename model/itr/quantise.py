"""Makes the graphs small and fast: dynamic int8 for itr-mini's text tower, static int8 for convolutions. What
transformers of other bundles get is in `row_scales`.

Weights of matrix products and of 1×1 convolutions get 7 of their 8 bits: where a CPU lacks VNNI, sums of two full-
range products overflow 16 bits in ONNX Runtime's kernels and saturate in silence, and a bundle must give the same
label everywhere. Depthwise convolutions run on kernels that widen first, so they keep all 8.

Rows stay independent of their batch. The image tower's scales are constants. The text tower's are taken over the
whole tensor of a run, so its texts run one at a time and unpadded (`batching: single` in the manifest), which on a
CPU costs next to nothing.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from itr import fused, onnx_file

_CALIBRATION_BATCH = 8
# The first layers keep floats: pooled features then have cosine .991 to the float tower instead of .953, at no time
# that could be measured.
FLOAT_LAYERS = ("stem.conv", "blocks.0.depthwise.conv", "blocks.0.project.conv")


class _Feeds(CalibrationDataReader):
    def __init__(self, pixels: np.ndarray, others: dict[str, np.ndarray]) -> None:
        batches = [pixels[i : i + _CALIBRATION_BATCH] for i in range(0, len(pixels), _CALIBRATION_BATCH)]
        self.feeds = iter(
            [{"pixels": batch, **{name: value[: len(batch)] for name, value in others.items()}} for batch in batches]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def text(source: Path, target: Path, heads: int) -> None:
    """Dynamic int8 of every matrix product with constant weights, one scale for each output channel; in fused
    operators.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    onnx_file.write(fused.rewrite(onnx.load(target), heads), target)


def convolutions(
    source: Path,
    target: Path,
    pixels: np.ndarray,
    others: dict[str, np.ndarray],
    floats: tuple[str, ...] = FLOAT_LAYERS,
    activation: str = "Clip",
) -> None:
    """Static int8 of the image tower's convolutions, ranges over `pixels` (uint8 [N,224,224,3]); others are the
    graph's other inputs [N,·]. The layers named `floats` stay as they are.

    Equal pixels give equal ranges, so that the image graph and the explaining graph compute the same maps.

    Plain minimum and maximum: ReLU6 bounds most ranges already, and percentiles gave the same fidelity (.985 and
    .985) in thrice the time. The text-area head keeps floats: it is tiny, and its inputs are two maps of unlike
    range.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        convolutions = [node for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        kept = [
            node
            for node in convolutions
            if any(f".{name}." in node.input[1] for name in floats) or ".area." in node.input[1]
        ]
        narrow = [node.input[1] for node in convolutions if node not in kept and "depthwise" not in node.input[1]]
        feeds = _Feeds(pixels, others)
        # In the list so that a convolution's output is quantised behind its ReLU6, over 0…6 and not over ±100.
        quantize_static(
            prepared,
            target,
            feeds,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", activation],
            nodes_to_exclude=[node.name for node in kept],
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "TensorQuantOverrides": {
                    name: [{"axis": 0, "reduce_range": True, "quant_type": QuantType.QInt8, "symmetric": True}]
                    for name in narrow
                }
            },
        )
    model = onnx.load(target)
    _unpack_pixels(model.graph)
    onnx_file.write(model, target)


def _unpack_pixels(graph: onnx.GraphProto) -> None:
    """float(pixels) − mean, over a deviation that is a power of two, in one operator: exact, and a tenth of a
    millisecond a picture less.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    for over in graph.node:
        less = makers.get(over.input[0]) if over.op_type == "Div" else None
        cast = makers.get(less.input[0]) if less is not None and less.op_type == "Sub" else None
        if cast is None or cast.op_type != "Cast":
            continue
        mean, deviation = (constants.get(node.input[1]) for node in (less, over))
        if mean is None or deviation is None or mean != np.uint8(mean) or np.frexp(deviation)[0] != 0.5:
            continue
        numbers = {"pixels.scale": np.float32(1 / deviation), "pixels.mean": np.uint8(mean)}
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in numbers.items())
        inputs = [cast.input[0], *numbers]
        over.CopyFrom(helper.make_node("DequantizeLinear", inputs, over.output, name=over.name))
        graph.node.remove(cast)
        graph.node.remove(less)
        break
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
