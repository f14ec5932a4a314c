"""The tokenizer files of a text tower: which they are, and whether they fit its word embeddings."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itr.towers import TextTower


@dataclass(frozen=True)
class Vocabulary:
    """Tokenizer files in a folder, found to fit a tower."""

    folder: Path
    settings: dict[str, Any]  # the manifest's text.tokenizer

    @property
    def files(self) -> list[str]:
        return [self.settings[key] for key in ("vocab", "merges") if key in self.settings]

    def copy(self, out: Path) -> None:
        for name in self.files:
            shutil.copyfile(self.folder / name, out / name)


def find(folder: Path, tower: TextTower) -> Vocabulary:
    """The tokenizer files as Hugging Face names them; ValueError names what is missing or has another size."""
    settings = _settings(folder, tower)
    found = Vocabulary(folder, settings)
    if missing := [name for name in found.files if not (folder / name).is_file()]:
        raise ValueError(f"{folder} has no {' and no '.join(missing)}, which the tokenizer {settings['type']} needs")
    ids, rows = _ids(folder / settings["vocab"], settings["type"]), tower.vocabulary
    if ids != rows:
        raise ValueError(f"{folder / settings['vocab']} makes {ids} ids, the text tower has {rows} word embeddings")
    return found


def _settings(folder: Path, tower: TextTower) -> dict[str, Any]:
    if tower.kind == "bert":
        return {"type": "wordpiece", "vocab": "vocab.txt", "lowercase": True}
    if tower.kind == "clip_text":
        return {"type": "clip", "vocab": "vocab.json", "merges": "merges.txt"}
    if tower.vocabulary == 64001 or (folder / "bpe.codes").is_file():
        return {"type": "bertweet", "vocab": "vocab.txt", "merges": "bpe.codes"}
    return {"type": "roberta", "vocab": "vocab.json", "merges": "merges.txt"}


def _ids(path: Path, kind: str) -> int:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        try:
            return len(json.loads(text))
        except ValueError as error:
            raise ValueError(f"{path} is no JSON object of pieces and ids: {error}") from error
    lines = text.split("\n")
    pieces = len(lines) - (lines[-1] == "")
    # BERTweet's file leaves out <s>, <pad>, </s>, <unk> before its pieces and <mask> after them.
    return pieces + 5 if kind == "bertweet" else pieces
