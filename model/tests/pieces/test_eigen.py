from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from itr import eigen

HEIGHT, WIDTH, TEXT, CHANNELS = 4, 6, 3, 7
CELLS = (2, 3)


def test_cells_that_vary_along_one_direction_keep_their_order_and_sign():
    strength = np.array([0.0, 1, 2, 3, 10, 4])
    direction = np.array([1.0, -0.5, 2])
    got = eigen.smoothed(direction[:, None] * strength)
    np.testing.assert_allclose(got, np.maximum(strength - strength.mean(), 0) / (10 - strength.mean()))
    falling = eigen.smoothed(-direction[:, None] * strength)
    np.testing.assert_allclose(falling, np.maximum(strength.mean() - strength, 0) / strength.mean())
    assert (eigen.smoothed(np.ones((3, 6))) == 0).all()


def test_the_direction_is_that_of_the_greatest_variance():
    weighted = np.random.default_rng(3).normal(size=(5, 12)) * np.array([[1], [4], [2], [1], [0.5]])
    centred = weighted - weighted.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    along = centred.T @ vectors[:, values.argmax()]
    along *= np.sign(along @ weighted.sum(0))
    np.testing.assert_allclose(eigen.smoothed(weighted), np.maximum(along, 0) / along.max(), atol=1e-9)


def bundle_of(folder: Path, constant: bool, factor: float = 1.0) -> tuple[dict, np.ndarray, np.ndarray]:
    """An explain graph that ends like an exported one's; its manifest, a projection of pixels, weights by class.

    Activations are linear in the picture; weights are constants (ConvNets) or depend on the text (transformers).
    """
    rng = np.random.default_rng(5)
    cells = CELLS[0] * CELLS[1]
    projection = rng.normal(size=(HEIGHT * WIDTH * 3, CHANNELS * cells)).astype(np.float32)
    weights = rng.normal(size=(4, CHANNELS) if constant else (TEXT, 4 * CHANNELS)).astype(np.float32)
    shapes = {
        "flat": [1, HEIGHT * WIDTH * 3],
        "map": [1, CHANNELS, cells],
        "by": [1, 4, CHANNELS],
        "out": [1, 4, *CELLS],
    }
    constants = [numpy_helper.from_array(np.array(shape), name) for name, shape in shapes.items()]
    constants += [numpy_helper.from_array(projection, "p"), numpy_helper.from_array(weights, "w")]
    constants.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["x", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "p"], ["linear"]),
        helper.make_node("Reshape", ["linear", "map"], ["activations"]),
    ]
    if constant:
        nodes.append(helper.make_node("Einsum", ["w", "activations"], ["sums"], equation="cd,bdp->bcp"))
    else:
        nodes.append(helper.make_node("MatMul", ["text", "w"], ["flat_weights"]))
        nodes.append(helper.make_node("Reshape", ["flat_weights", "by"], ["weights"]))
        nodes.append(helper.make_node("MatMul", ["weights", "activations"], ["sums"]))
    nodes.append(helper.make_node("Relu", ["sums"], ["positive"]))
    nodes.append(helper.make_node("Div", ["positive", "factor"], ["scaled"]))
    nodes.append(helper.make_node("Reshape", ["scaled", "out"], ["cam"]))
    graph = helper.make_graph(
        nodes,
        "explain",
        [
            helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["b", HEIGHT, WIDTH, 3]),
            helper.make_tensor_value_info("text", TensorProto.FLOAT, ["b", TEXT]),
        ],
        [helper.make_tensor_value_info("cam", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "explain.onnx")
    return {"variant": "test", "explain": {"graph": "explain.onnx"}}, projection, weights


@pytest.mark.parametrize("constant", [True, False])
def test_factors_are_read_from_the_graph(tmp_path, constant):
    manifest, projection, weights = bundle_of(tmp_path, constant, factor=49.0)
    rng = np.random.default_rng(6)
    pixels, text = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), rng.normal(size=TEXT).astype(np.float32)
    got = eigen.EigenMaps(tmp_path, manifest)(pixels, text)
    assert got.shape == (4, *CELLS)
    activations = (pixels.ravel() @ projection).reshape(CHANNELS, -1).astype(np.float64)
    by_class = weights if constant else (text @ weights).reshape(4, CHANNELS)
    for k in range(4):
        want = eigen.smoothed(by_class[k][:, None] * activations).reshape(CELLS)
        np.testing.assert_allclose(got[k], want, atol=1e-4)


def test_a_graph_without_factors_is_refused(tmp_path):
    manifest, *_ = bundle_of(tmp_path, constant=True)
    with pytest.raises(ValueError, match="itr-mini's add two factors"):
        eigen.EigenMaps(tmp_path, manifest | {"variant": "mini"})
    model = onnx.load(tmp_path / "explain.onnx")
    (product,) = [node for node in model.graph.node if node.op_type == "Einsum"]
    product.op_type = "Sub"
    del product.attribute[:]
    onnx.save(model, tmp_path / "explain.onnx")
    with pytest.raises(ValueError, match="explain.onnx: it does not end with a product"):
        eigen.EigenMaps(tmp_path, manifest)


def test_a_product_that_is_not_the_map_is_refused(tmp_path):
    manifest, *_ = bundle_of(tmp_path, constant=True)
    model = onnx.load(tmp_path / "explain.onnx")
    (product,) = [node for node in model.graph.node if node.op_type == "Einsum"]
    product.attribute[0].s = b"ce,bdp->bcp"  # sums of weights times sums of activations
    onnx.save(model, tmp_path / "explain.onnx")
    maps = eigen.EigenMaps(tmp_path, manifest)
    with pytest.raises(ValueError, match="are not the sums of activation × weight"):
        maps(np.full((HEIGHT, WIDTH, 3), 9, np.uint8), np.ones(TEXT, np.float32))
