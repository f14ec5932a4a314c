"""Writes wordpiece.crc and wordpiece.jsonl: what Hugging Face's BERT tokenizer makes of hostile and ordinary strings.

wordpiece.crc holds one CRC-32 (little endian) a string over the string's UTF-8 and its ids. The strings themselves are
made anew by the same arithmetic here and in hostile_test.go, so 40,000 of them fit in 160 KB.

    python golden.py                  # needs: pip install tokenizers==0.23.3 transformers==5.23.0
    python golden.py --show 1234      # prints one string, and its ids, to find out why the test fails
"""

import argparse
import json
import struct
import zlib
from pathlib import Path

from transformers import BertTokenizerFast

HERE = Path(__file__).parent
STRINGS = 40_000
CASED_EVERY = 4  # each fourth string is for the cased tokenizer
LENGTHS = (128, 16, 512, 5)  # maximum lengths, in turn

VOCAB = [line.rstrip() for line in (HERE / "vocab.txt").read_text("utf-8").split("\n")[:-1]]
FRAGMENTS = (HERE / "fragments.txt").read_text("utf-8").split("\n")[:-1]

# Code points are drawn from these, each as likely as the others.
BLOCKS = [
    (0x20, 0x7E), (0x00, 0x2FF), (0x300, 0x36F), (0x370, 0x58F), (0x590, 0x8FF), (0x900, 0xDFF), (0xE00, 0x10FF),
    (0x1100, 0x11FF), (0x1200, 0x1CFF), (0x1D00, 0x1FFF), (0x2000, 0x2BFF), (0x2C00, 0x2FFF), (0x3000, 0x33FF),
    (0x3400, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xF900, 0xFFFF), (0x10000, 0x11FFF),
    (0x12000, 0x1FFFF), (0x20000, 0x2FFFF), (0x30000, 0x323AF), (0xE0000, 0xE01EF), (0xF0000, 0x10FFFF),
]  # fmt: skip


class Draw:
    """SplitMix64."""

    def __init__(self, seed: int):
        self.state = seed

    def below(self, n: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        z = (z ^ z >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        return (z ^ z >> 31) % n


def hostile(index: int) -> str:
    draw = Draw(index)
    text = ""
    for _ in range(draw.below(16) + 1):
        kind = draw.below(12)
        if kind < 2:
            part = FRAGMENTS[draw.below(len(FRAGMENTS))]
        elif kind < 5:
            part = VOCAB[draw.below(len(VOCAB))].removeprefix("##")
        elif kind == 5:
            part = VOCAB[draw.below(len(VOCAB))].translate(UPPER)
        elif kind < 10:
            part = ""
            low, high = BLOCKS[draw.below(len(BLOCKS))]
            for _ in range(draw.below(5) + 1):
                part += chr(low + draw.below(high - low + 1))
        elif kind == 10:
            part = chr(0x61 + draw.below(26)) * (draw.below(3) * 49 + draw.below(3))
        else:
            part = ""
        text += part
        if draw.below(3) > 0:
            text += " "
    return text


UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}

ORDINARY = [
    "",
    " ",
    "Look at this view from the Eiffel Tower! #Paris 🗼 https://t.co/Xy12Ab",
    "RT @nasa: Here it is — the first image of a black hole… 😮",
    "When your cat judges you 😂😂😂 #MondayMotivation",
    "Déjà vu à São Paulo: über-café, naïve façade, Ångström, İstanbul",
    "東京で撮った写真です。Beautiful!",
    "안녕하세요 세계 — hello wörld",
    "a [SEP] b[MASK]c [sep] [CLS]",
    "don't can't won't I'm y'all",
    "C++ & C# vs. F#; x² ≠ y½",
    "$3.14 €1,000.00 50% @ 10:45pm",
    "tab\there\nnewline\r\nzero​width soft\u00adhyphen nbsp\u00a0space",
    "x" * 100 + " " + "x" * 101,
    "unaffable antidisestablishmentarianism floccinaucinihilipilification",
    "👨‍👩‍👧‍👦🏽‍♀️🇩🇪❤️",
    "ﬁ ﷺ Ⅷ ① ½ ㎏ ｆｕｌｌｗｉｄｔｈ",
    "word " * 600,
]


def tokenizer(lowercase: bool) -> BertTokenizerFast:
    vocab = {piece: i for i, piece in enumerate(VOCAB)}
    return BertTokenizerFast(vocab=vocab, do_lower_case=lowercase)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", type=int, metavar="INDEX")
    show = parser.parse_args().show
    uncased, cased = tokenizer(True), tokenizer(False)

    def encode(text: str, index: int) -> list[int]:
        which = cased if index % CASED_EVERY == CASED_EVERY - 1 else uncased
        length = LENGTHS[index // CASED_EVERY % len(LENGTHS)]
        return which(text, truncation=True, max_length=length)["input_ids"]

    if show is not None:
        text = hostile(show)
        print(ascii(text), encode(text, show), sep="\n")
        return
    with open(HERE / "wordpiece.crc", "wb") as file:
        for index in range(STRINGS):
            text = hostile(index)
            ids = encode(text, index)
            crc = zlib.crc32(struct.pack(f"<{len(ids)}i", *ids), zlib.crc32(text.encode()))
            file.write(struct.pack("<I", crc))
    rows = [json.dumps({"text": text, "ids": encode(text, 0), "cased": encode(text, 3)}) for text in ORDINARY]
    (HERE / "wordpiece.jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
