"""Writes *.crc and *.jsonl of roberta/, clip/ and bertweet/: what Hugging Face makes of hostile and ordinary strings.

One CRC-32 a string, like wordpiece.crc. Even strings are those of golden.py, odd ones are pasted from
fragments_bpe.txt. --full is for the vocabularies that vocabularies.py --out wrote into FOLDER; its files go there.

    python golden_bpe.py          # needs: pip install tokenizers==0.23.3 transformers==5.23.0 emoji==0.6.0
    python golden_bpe.py --show bertweet/normalized 1234
    python golden_bpe.py --full FOLDER --strings 40000
"""

import argparse
import json
import struct
import zlib
from pathlib import Path

from golden import BLOCKS, HERE, ORDINARY, Draw, hostile
from transformers import AddedToken, BertweetTokenizer, CLIPTokenizerFast, RobertaTokenizerFast

STRINGS = 20_000
BPE_FRAGMENTS = (HERE / "fragments_bpe.txt").read_text("utf-8").split("\n")[:-1]

ORDINARY_TWEETS = [
    "@nasa: it's here!! https://t.co/Xy12Ab www.example.com/a_(b)?c=d #ThrowbackThursday :-) <3",
    "I can't, you cannot, they're, we've 5 p.m. or 6 a.m. … &amp; &lt;b&gt; &#128514; &#x80; 😂 ❤️",
    "call +1 (800) 555-1234 or me@example.co.uk ---> 3/4 1,000 ........ soooooo",
]


def collage(index: int) -> str:
    draw = Draw(index)
    text = ""
    for _ in range(draw.below(24) + 1):
        if draw.below(5) == 0:
            low, high = BLOCKS[draw.below(len(BLOCKS))]
            text += chr(low + draw.below(high - low + 1))
        else:
            text += BPE_FRAGMENTS[draw.below(len(BPE_FRAGMENTS))]
        text += ("\n", " ", " ", "", "", "", "", "")[draw.below(8)]
    return text


def string(index: int) -> str:
    return collage(index) if index % 2 else hostile(index)


def byte_level(kind, folder, **settings):
    vocab = json.loads((folder / "vocab.json").read_text("utf-8"))
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text("utf-8").split("\n")[1:-1]]
    return kind(vocab=vocab, merges=merges, **settings)


def bertweet(folder, normalization):
    return BertweetTokenizer(str(folder / "vocab.txt"), str(folder / "bpe.codes"), normalization=normalization)


# What makes each tokenizer, and the maximum lengths, in turn.
TOKENIZERS = {
    "roberta/roberta": (
        lambda root: byte_level(RobertaTokenizerFast, root / "roberta", mask_token=AddedToken("<mask>", lstrip=True)),
        (128, 16, 512, 5),
    ),
    "clip/clip": (lambda root: byte_level(CLIPTokenizerFast, root / "clip"), (77, 16, 512, 5)),
    "bertweet/bertweet": (lambda root: bertweet(root / "bertweet", False), (128, 16, 100, 5)),
    "bertweet/normalized": (lambda root: bertweet(root / "bertweet", True), (128, 16, 100, 5)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", nargs=2, metavar=("TOKENIZER", "INDEX"))
    parser.add_argument("--full", type=Path, default=HERE, metavar="FOLDER")
    parser.add_argument("--strings", type=int, default=STRINGS)
    args = parser.parse_args()
    if args.show:
        make, lengths = TOKENIZERS[args.show[0]]
        index = int(args.show[1])
        tokenizer = make(args.full)
        ids = tokenizer(string(index), truncation=True, max_length=lengths[index // 2 % len(lengths)])["input_ids"]
        print(ascii(string(index)), ids, ascii(tokenizer.convert_ids_to_tokens(ids)), sep="\n")
        return
    for name, (make, lengths) in TOKENIZERS.items():
        tokenizer = make(args.full)

        def encode(text, length, tokenizer=tokenizer):
            return tokenizer(text, truncation=True, max_length=length)["input_ids"]

        with open(args.full / f"{name}.crc", "wb") as file:
            for index in range(args.strings):
                text = string(index)
                ids = encode(text, lengths[index // 2 % len(lengths)])
                crc = zlib.crc32(struct.pack(f"<{len(ids)}i", *ids), zlib.crc32(text.encode()))
                file.write(struct.pack("<I", crc))
        rows = [json.dumps({"text": text, "ids": encode(text, lengths[0])}) for text in ORDINARY + ORDINARY_TWEETS]
        (args.full / f"{name}.jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
