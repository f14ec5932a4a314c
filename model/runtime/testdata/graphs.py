"""Writes probe.onnx beside the Go files, and spin.onnx here. Needs the package onnx.

probe: y = x, float32[1]
spin:  y = x + n, float32[2], by adding 1 n times (int64[1]): as long a run as a test needs
"""

from pathlib import Path

from onnx import TensorProto, checker, helper

HERE = Path(__file__).parent


def io(name: str, kind: int, *shape: int):
    return helper.make_tensor_value_info(name, kind, shape)


def save(path: Path, graph) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


save(
    HERE.parent / "probe.onnx",
    helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "probe",
        [io("x", TensorProto.FLOAT, 1)],
        [io("y", TensorProto.FLOAT, 1)],
    ),
)

one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1])
body = helper.make_graph(
    [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["sum", "one"], ["next"])],
    "body",
    [io("i", TensorProto.INT64), io("go", TensorProto.BOOL), io("sum", TensorProto.FLOAT, 2)],
    [io("go_on", TensorProto.BOOL), io("next", TensorProto.FLOAT, 2)],
    [one],
)
save(
    HERE / "spin.onnx",
    helper.make_graph(
        [helper.make_node("Squeeze", ["n"], ["trips"]), helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body)],
        "spin",
        [io("x", TensorProto.FLOAT, 2), io("n", TensorProto.INT64, 1)],
        [io("y", TensorProto.FLOAT, 2)],
    ),
)
