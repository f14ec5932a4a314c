"""int8 matrix products whose rows know nothing of their batch, for transformers on CPUs.

Plain dynamic int8 takes one scale over a whole activation, so that a post's scores move with its batch-mates. Here each
row (a token, a patch) has its own: q = round(x / s), s = max|x| / 127. Sums of whole numbers are exact in any order, so
the products are the same in every batch and on every CPU; it costs no time that could be measured. Weights have one
scale for each output channel, and 7 of 8 bits for the reason that `quantise` gives; so have word embeddings, one for
each word, and all 8. Attention, norms and convolutions stay as they are.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from itr import onnx_file

_WEIGHT_TOP, _ROW_TOP = 63, 127
_WORDS = 1000  # a table with fewer rows is no vocabulary, and too small to matter


def quantise(source: Path, target: Path) -> None:
    """Every product with a constant matrix, and every table of word embeddings. ValueError when there is none."""
    model = onnx.load(source)
    work = _Rewriting(model.graph)
    if not work.run():
        raise ValueError(f"{source.name} has no product with a constant matrix")
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx_file.write(model, target)


class _Rewriting:
    """One graph on its way."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[NodeProto] = []
        self.quantised: set[str] = set()  # activations that have their integers and scales by now
        self.found = 0

    def run(self) -> int:
        """Rewrites the graph; the number of products that are int8 now."""
        for node in self.graph.node:
            if not (self._product(node) or self._words(node)):
                self.nodes.append(node)
        used = {name for node in self.nodes for name in node.input}
        kept = [tensor for name, tensor in self.constants.items() if name in used]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(kept)
        return self.found

    def _product(self, node: NodeProto) -> bool:
        if node.op_type not in ("MatMul", "Gemm") or not self._is_matrix(node.input[1]):
            return False
        with_ = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if with_.get("transA") or with_.get("alpha", 1) != 1 or with_.get("beta", 1) != 1:
            return False
        rows, (weight, width) = self._rows(node.input[0]), self._weight(node.input[1], bool(with_.get("transB")))
        out = node.output[0]
        # One scale for all rows is all that the product itself knows; theirs follow.
        self._add(
            "MatMulIntegerToFloat",
            [f"{rows}.int8", weight, self._constant("one", np.float32(1)), f"{weight}.scales", self._zero()],
            f"{out}.product",
            domain="com.microsoft",
        )
        scaled = f"{out}.scaled"
        self._add("Mul", [f"{out}.product", f"{rows}.scales"], scaled)
        if node.op_type == "Gemm":
            bias = node.input[2] if len(node.input) > 2 else self._constant("no_bias", np.float32(0))
            self._add("Add", [scaled, bias], out)
        else:
            shape = f"{out}.shape"
            self._add("Concat", [f"{rows}.shape", self._constant(f"width.{width}", np.array([width]))], shape, axis=0)
            self._add("Reshape", [scaled, shape], out)
        self.found += 1
        return True

    def _rows(self, name: str) -> str:
        """Integers [N,K], scales [N,1] and leading shape of an activation [..., K]."""
        at = f"{name}.rows"
        if at in self.quantised:
            return at
        self.quantised.add(at)
        last = self._constant("last", np.array([-1]))
        self._add("Shape", [name], f"{at}.shape", start=0, end=-1)
        self._add("Shape", [name], f"{at}.width", start=-1)
        self._add("Concat", [last, f"{at}.width"], f"{at}.flat_shape", axis=0)
        self._add("Reshape", [name, f"{at}.flat_shape"], f"{at}.flat")
        self._add("Abs", [f"{at}.flat"], f"{at}.abs")
        self._add("ReduceMax", [f"{at}.abs", last], f"{at}.max", keepdims=0)
        self._add("Max", [f"{at}.max", self._constant("least", np.float32(1e-12))], f"{at}.top")
        self._add("Mul", [f"{at}.top", self._constant("step", np.float32(1 / _ROW_TOP))], f"{at}.scale")
        self._add("Shape", [f"{at}.scale"], f"{at}.count")
        self._add("Expand", [self._zero(), f"{at}.count"], f"{at}.zeros")
        self._add("QuantizeLinear", [f"{at}.flat", f"{at}.scale", f"{at}.zeros"], f"{at}.int8", axis=0)
        self._add("Unsqueeze", [f"{at}.scale", last], f"{at}.scales")
        return at

    def _weight(self, name: str, transposed: bool) -> tuple[str, int]:
        """Name of the int8 matrix [K,M], whose scales are at name.scales, and M."""
        matrix = numpy_helper.to_array(self.constants[name])
        matrix, at = (matrix.T, f"{name}.transposed.int8") if transposed else (matrix, f"{name}.int8")
        if at not in self.constants:
            scales = np.maximum(np.abs(matrix).max(0), 1e-12) / _WEIGHT_TOP
            self._keep(at, np.round(matrix / scales).astype(np.int8))
            self._keep(f"{at}.scales", scales.astype(np.float32))
        return at, matrix.shape[1]

    def _words(self, node: NodeProto) -> bool:
        if node.op_type != "Gather" or not self._is_matrix(node.input[0]):
            return False
        name, ids, out = node.input[0], node.input[1], node.output[0]
        table = numpy_helper.to_array(self.constants[name])
        if len(table) < _WORDS or any(helper.get_attribute_value(attribute) for attribute in node.attribute):
            return False
        scales = np.maximum(np.abs(table).max(1, keepdims=True), 1e-12) / _ROW_TOP
        self._keep(f"{name}.int8", np.round(table / scales).astype(np.int8))
        self._keep(f"{name}.scales", scales.astype(np.float32))
        self._add("Gather", [f"{name}.int8", ids], f"{out}.int8")
        self._add("Cast", [f"{out}.int8"], f"{out}.whole", to=TensorProto.FLOAT)
        self._add("Gather", [f"{name}.scales", ids], f"{out}.scales")
        self._add("Mul", [f"{out}.whole", f"{out}.scales"], out)
        return True

    def _is_matrix(self, name: str) -> bool:
        tensor = self.constants.get(name)
        return tensor is not None and tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2

    def _zero(self) -> str:
        return self._constant("zero", np.uint8(_ROW_TOP + 1))

    def _constant(self, name: str, value: np.ndarray) -> str:
        return self._keep(f"row_scales.{name}", value)

    def _keep(self, name: str, value: np.ndarray) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
