"""Calibration files: what a bundle is to use instead of its own calibration, for `model.calibration` of itrstream.

YAML with the keys format, bundle (the digest of the bundle it was fitted for), matrix, bias and source. The file lies
beside the bundle and has a digest of its own. Needs no torch.
"""

import hashlib
from pathlib import Path

import yaml

from itr.calibrate import Calibration
from itr.folder import replacing

FORMAT = 1


def text(bundle: str, calibration: Calibration) -> str:
    """The content of a file; bundle is a bundle's digest."""
    content = {
        "format": FORMAT,
        "bundle": bundle,
        "matrix": calibration.matrix.tolist(),
        "bias": calibration.bias.tolist(),
        "source": calibration.source,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=140, default_flow_style=None)


def write(path: Path, bundle: str, calibration: Calibration) -> str:
    """Writes the file, and returns its digest."""
    data = text(bundle, calibration).encode()
    with replacing(path) as part:
        part.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
