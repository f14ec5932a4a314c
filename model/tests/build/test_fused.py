"""The text tower of ONNX Runtime's own operators against the exported one, on random weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from itr import export, quantise, run, text_tower


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(2)
    tower = text_tower.TextTower(torch.zeros(3000, dtype=torch.int32), max_tokens=16).eval()
    tower.frequent.random_(-127, 128)
    tower.frequent_scales.fill_(1e-2)
    path = tmp_path_factory.mktemp("text") / "text.onnx"
    export.text(tower, path)
    return path


def vectors(graph: Path, mask: list[int]) -> np.ndarray:
    ids = np.array([[101, 7, 9, 300, 42, 102, 0, 0]])[:, : len(mask)]
    return run.session(graph).run(None, {"input_ids": ids, "attention_mask": np.array([mask])})[0]


def test_fused_operators_compute_what_they_replace(exported: Path, tmp_path: Path):
    plain, small = tmp_path / "plain.onnx", tmp_path / "fused.onnx"
    quantize_dynamic(
        exported, plain, ["MatMul"], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip
    quantise.text(exported, small, text_tower.HEADS)
    for mask in ([1] * 6, [1] * 6 + [0, 0], [1, 1]):
        # Norms round otherwise, which moves an 8-bit activation by a step here and there.
        np.testing.assert_allclose(vectors(small, mask), vectors(plain, mask), atol=0.02)
    padding = np.abs(vectors(small, [1] * 8) - vectors(small, [1] * 6 + [0, 0])).max()
    assert padding > 0.02, "a mask that is not heard would pass unseen"
    kinds = {node.op_type for node in onnx.load(small).graph.node}
    assert {"QAttention", "DynamicQuantizeMatMul", "SkipLayerNormalization", "Gelu"} <= kinds
    assert not kinds & {"LayerNormalization", "Erf", "MatMulInteger", "Softmax"}


def test_another_number_of_heads_is_refused(exported: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="does not go with 6 heads"):
        quantise.text(exported, tmp_path / "fused.onnx", 6)
