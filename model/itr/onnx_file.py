"""A module as an ONNX file: the one way from PyTorch into a bundle."""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

OPSET = 18
_LARGEST_BATCH = 4096


def save(
    module: nn.Module,
    path: Path,
    inputs: dict[str, tuple[Tensor, tuple[str, ...]]],
    outputs: list[str],
    max_tokens: int = 2,
) -> None:
    """Writes module with named inputs and outputs. Beside each input's example stand the names of its dynamic axes,
    from the first on: "batch" and "tokens", which has 2 to max_tokens.
    """
    sizes = {
        "batch": torch.export.Dim("batch", min=1, max=_LARGEST_BATCH),
        "tokens": torch.export.Dim("tokens", min=2, max=max(max_tokens, 3)),
    }
    # It lists the packages that it does not need, and says that equal axes are equal.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    module.eval()  # exporters have left batch norms in training mode before
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch.onnx")
        program = torch.onnx.export(
            module,
            tuple(example for example, _ in inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=tuple({i: sizes[name] for i, name in enumerate(axes)} for _, axes in inputs.values()),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    module.eval()
    model = program.model_proto
    model.metadata_props.clear()
    for node in model.graph.node:  # stack traces of the machine that exported
        del node.metadata_props[:]
        node.doc_string = ""
    write(model, path)


def write(model: onnx.ModelProto, path: Path) -> None:
    """Writes a graph without the shapes in between, which go stale when it is changed, and checked."""
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
