import os
import subprocess
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


@pytest.fixture(scope="session")
def collected(itrstream: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set: the demo's sample posts, labelled on a stream, selected and collected."""
    folder = tmp_path_factory.mktemp("collected") / "pairs"
    bundle = Path(__file__).parents[1] / "bundles" / "itr-mini"
    settings = [f"model.bundle={bundle}", "ops.addr=", "collect.card.contact=privacy@example.org"]
    options = [part for setting in settings for part in ("--set", setting)]
    subprocess.run([*itrstream, "demo", "--dataset", str(folder), *options], check=True, stdout=subprocess.DEVNULL)
    return folder
