"""Which ids of a text are a word, for each way in which tokenizers write pieces."""

import json
from pathlib import Path

import pytest

from itr.pieces import Pieces

GREETING = "hello , world"


def wordpiece(folder: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hel", "##lo", ",", "wor", "##ld"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")


def bertweet(folder: Path) -> None:
    (folder / "vocab.txt").write_text("".join(f"{piece} 1\n" for piece in ("hel@@", "lo", ",", "wor@@", "ld")))
    merges = ["h e 9", "he l 8", "l o</w> 7", "w o 6", "wo r 5", "l d</w> 4"]
    (folder / "bpe.codes").write_text("\n".join(merges) + "\n")


def roberta(folder: Path) -> None:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"helowrd,Ġ", "he", "hel", "lo", "Ġw", "Ġwo", "Ġwor", "ld"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    merges = ["h e", "he l", "l o", "Ġ w", "Ġw o", "Ġwo r", "l d"]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def clip(folder: Path) -> None:
    letters = [*"helowrd,"]
    pieces = [*letters, *(letter + "</w>" for letter in letters), "he", "hel", "lo</w>", "wo", "wor", "ld</w>"]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    merges = ["h e", "he l", "l o</w>", "w o", "wo r", "l d</w>"]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (wordpiece, [("hello", 1, 3), (",", 3, 4), ("world", 4, 6)]),
        (bertweet, [("hello", 1, 3), (",", 3, 4), ("world", 4, 6)]),
        (roberta, [("hello", 1, 3), (",", 3, 5), ("world", 5, 7)]),
        (clip, [("hello", 1, 3), (",", 3, 4), ("world", 4, 6)]),
    ],
)
def test_pieces_of_a_word_are_together(tmp_path: Path, write, words: list) -> None:
    write(tmp_path)
    pieces = Pieces(tmp_path, write.__name__, 20)
    ids = pieces.ids(GREETING)
    assert [(word.text, word.start, word.end) for word in pieces.words(ids)] == words
    assert words[-1][2] == len(ids) - 1
    assert pieces.words(pieces.ids("")) == []
    short = Pieces(tmp_path, write.__name__, 4)
    assert [word.text for word in short.words(short.ids(GREETING))][0].startswith("hello")
    assert len(short.ids(GREETING)) == 4


def test_a_tokenizer_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="type 'sentencepiece', which is none of wordpiece, roberta, clip, bertweet"):
        Pieces(tmp_path, "sentencepiece", 20)
