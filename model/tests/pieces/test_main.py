"""How commands end that do not end well."""

import subprocess
import sys

import pytest

from itr import verify
from itr.__main__ import main


@pytest.mark.parametrize(
    ("trouble", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "itr verify: interrupted\n"),
        (ValueError("the bundle is empty"), 1, "itr verify: the bundle is empty\n"),
        (PermissionError(13, "Permission denied", "b.yaml"), 1, "itr verify: [Errno 13] Permission denied: 'b.yaml'\n"),
        (
            ModuleNotFoundError("No module named 'tqdm'", name="tqdm"),
            1,
            "itr verify: needs tqdm, not installed: pip install -e 'model[train]'\n",
        ),
    ],
)
def test_trouble_is_one_line_and_a_status(monkeypatch, capsys, trouble, status, said):
    def differences(folder):
        raise trouble

    monkeypatch.setattr(verify, "differences", differences)
    assert main(["verify", "bundle"]) == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("job", ["ocr", "captions", "cam", "calibrate"])
def test_help_has_examples(capsys, job):
    with pytest.raises(SystemExit) as ended:
        main([job, "--help"])
    assert ended.value.code == 0
    assert f"  itr {job} " in capsys.readouterr().out.partition("example")[2]


def test_nothing_is_reported():
    code = "import itr, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
