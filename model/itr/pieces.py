"""The tokenizers of text towers as Hugging Face has them, and which of a text's pieces make up a word. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import transformers

TOKENIZERS = {
    "wordpiece": transformers.BertTokenizer,
    "roberta": transformers.RobertaTokenizer,
    "clip": transformers.CLIPTokenizer,
    "bertweet": transformers.BertweetTokenizer,  # normalisation is off by default, as the paper had it
}
# Whether a piece goes on with the word of the piece before it, by how tokenizers write pieces.
_CONTINUES: dict[str, Callable[[str, str], bool]] = {
    "wordpiece": lambda before, piece: piece.startswith("##"),
    "roberta": lambda before, piece: not piece.startswith("Ġ"),
    "clip": lambda before, piece: not before.endswith("</w>"),
    "bertweet": lambda before, piece: before.endswith("@@"),
}


@dataclass(frozen=True)
class Word:
    """What a text's ids[start:end] spell."""

    text: str
    start: int
    end: int


class Pieces:
    """The tokenizer of a bundle."""

    def __init__(self, folder: Path, kind: str, max_tokens: int) -> None:
        if kind not in TOKENIZERS:
            raise ValueError(f"{folder} has a tokenizer of type {kind!r}, which is none of {', '.join(TOKENIZERS)}")
        self.kind, self.max_tokens = kind, max_tokens
        self.tokenizer = TOKENIZERS[kind].from_pretrained(str(folder), local_files_only=True)

    def ids(self, text: str) -> list[int]:
        """Input ids between the tokenizer's first and last piece, cut to max_tokens."""
        return self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]

    def words(self, ids: Sequence[int]) -> list[Word]:
        """The words of `ids` in order, without the first and last piece, which mark where a text begins and ends."""
        pieces = self.tokenizer.convert_ids_to_tokens(list(ids))
        starts: list[int] = []
        for i in range(1, len(pieces) - 1):
            if not starts or not _CONTINUES[self.kind](pieces[i - 1], pieces[i]):
                starts.append(i)
        return [Word(self.tokenizer.decode(ids[a:b]).strip(), a, b) for a, b in pairwise([*starts, len(pieces) - 1])]
