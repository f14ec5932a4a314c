import os
from pathlib import Path

import onnxruntime
import pytest


@pytest.fixture(scope="session")
def itrstream() -> list[str]:
    """The Go program, with the ONNX Runtime of this Python: the start of a command."""
    program = Path(__file__).parents[2] / "bin" / "itrstream"
    assert program.is_file(), f"{program} is missing: make build"
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    return ["env", f"ITRSTREAM_ONNXRUNTIME={library}", os.fspath(program)]
