"""A training run's folder: its settings, its metrics, its state between iterations, so that a killed run goes on.

run.json        settings and data digests; a folder belongs to one set of them
metrics.jsonl   one line an iteration
state.pt        everything the next iteration depends on; removed at the end
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from itr.folder import replacing, write_json

SETTINGS, METRICS, STATE, DONE = "run.json", "metrics.jsonl", "state.pt", "done.json"


class Run:
    """An open run folder. ValueError when the folder holds something that must not be lost."""

    def __init__(self, folder: Path, settings: dict[str, Any], force: bool) -> None:
        self.folder = folder
        if folder.exists() and any(folder.iterdir()):
            self._check(settings, force)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SETTINGS).exists():
            write_json(folder / SETTINGS, settings)

    def _check(self, settings: dict[str, Any], force: bool) -> None:
        if not (self.folder / SETTINGS).is_file():
            raise ValueError(f"{self.folder} holds files of no run; name an empty or new folder")
        if force:
            shutil.rmtree(self.folder)
            return
        if (self.folder / DONE).is_file():
            raise ValueError(f"{self.folder} holds a finished run; name another folder, or replace it with --force")
        there = json.loads((self.folder / SETTINGS).read_text(encoding="utf-8"))
        wanted = json.loads(json.dumps(settings))
        changed = sorted(key for key in there.keys() | wanted.keys() if there.get(key) != wanted.get(key))
        if changed:
            differences = ", ".join(f"{key} {there.get(key)!r} there, {wanted.get(key)!r} now" for key in changed)
            raise ValueError(
                f"{self.folder} holds an unfinished run with other settings: {differences}; "
                "go on with its settings, name another folder, or replace it with --force"
            )

    def state(self) -> dict[str, Any] | None:
        """What `keep` kept last, on the CPU; None for a run that has not come that far. Later metrics are forgotten."""
        if not (self.folder / STATE).is_file():
            (self.folder / METRICS).unlink(missing_ok=True)
            return None
        state = _load(self.folder)
        with (self.folder / METRICS).open("r+b") as metrics:
            metrics.truncate(state["metrics_bytes"])
        return state["of_run"]

    def keep(self, state: dict[str, Any], line: dict[str, Any]) -> None:
        """Appends to the metrics, then replaces the kept state; if that fails, `state` forgets what was appended.

        `state` holds tensors and plain values only.
        """
        with (self.folder / METRICS).open("a", encoding="utf-8") as metrics:
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()
            os.fsync(metrics.fileno())
            size = metrics.tell()
        with replacing(self.folder / STATE) as path:
            torch.save({"metrics_bytes": size, "of_run": state}, path)

    def finish(self, summary: dict[str, Any]) -> None:
        """Marks the run finished and drops the state, which is several times the model's size."""
        write_json(self.folder / DONE, summary)
        (self.folder / STATE).unlink(missing_ok=True)


def finished(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The summary of a finished run of these settings; None when the folder holds none."""
    if not (folder / DONE).is_file() or not (folder / SETTINGS).is_file():
        return None
    if json.loads((folder / SETTINGS).read_text(encoding="utf-8")) != json.loads(json.dumps(settings)):
        return None
    return json.loads((folder / DONE).read_text(encoding="utf-8"))


def read_state(folder: Path) -> dict[str, Any]:
    """What a run kept last, for its other processes."""
    return _load(folder)["of_run"]


def _load(folder: Path) -> dict[str, Any]:
    return torch.load(folder / STATE, map_location="cpu", weights_only=True)
