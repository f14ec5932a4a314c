"""Counts word kinds in a post by its word pieces: what points, reacts, reports, names. A post's images add to it
where it points or reacts; they add little where it is a full caption already.

The table is a constant of the text graph, gathered by input id, so the caller of the graph needs no word lists. It is
packed into one int32 for each word piece: a bit for each kind, and above them the concreteness in quarters.
"""

from importlib import resources

import numpy as np

from itr.wordnet import WordNet


def _read_kinds() -> dict[str, list[str]]:
    """kind → words, from the lines `kind: words` of kinds.txt; a kind may span several lines."""
    kinds: dict[str, list[str]] = {}
    for line in resources.files("itr").joinpath("kinds.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            kind, _, words = line.partition(": ")
            kinds.setdefault(kind, []).extend(words.split())
    return kinds


KINDS = _read_kinds()
_MARKS = ("unknown", "numbers", "continues")
BITS = (*KINDS, *_MARKS)
FEATURES = (*BITS, "concrete", "pieces")  # "pieces", the logarithm of their number, is the graph's own


def table(vocabulary: list[str], wordnet: WordNet) -> np.ndarray:
    """int32 [V]: bit i is set for pieces of BITS[i]; above them stands the concreteness, 0 to 4."""
    index = {word: i for i, word in enumerate(vocabulary)}
    packed = np.round(_concreteness(vocabulary, wordnet) * 4).astype(np.int32) << len(BITS)
    for bit, words in enumerate(KINDS.values()):
        for word in set(words) & index.keys():
            packed[index[word]] |= 1 << bit
    packed[index["[UNK]"]] |= 1 << BITS.index("unknown")
    for word, i in index.items():
        packed[i] |= word.removeprefix("##").isdigit() << BITS.index("numbers")
        packed[i] |= word.startswith("##") << BITS.index("continues")
    return packed


def _concreteness(vocabulary: list[str], wordnet: WordNet) -> np.ndarray:
    """float32 [V] in [0, 1]: how visible what a whole-word piece names is; 0 for word parts, numbers and marks."""
    return np.array(
        [wordnet.concreteness(word) if word.isalpha() and word.isascii() else 0.0 for word in vocabulary], np.float32
    )
