"""The parts of WordNet 3.0 that the build uses: glosses, hypernym chains, and how concrete a noun is."""

from dataclasses import dataclass
from pathlib import Path

# How visible what a sense names is, by its lexicographer file; files not named here are not visible.
_VISIBLE = {
    5: 1.0,
    6: 1.0,
    8: 1.0,
    13: 1.0,
    15: 1.0,
    17: 1.0,
    18: 1.0,
    20: 1.0,
    27: 0.8,  # animal artifact body food location object person plant substance
    3: 0.7,
    14: 0.5,
    4: 0.2,
    11: 0.4,
    19: 0.5,
    25: 0.4,  # tops group act event phenomenon shape
}


@dataclass(frozen=True)
class Synset:
    """One meaning: its words, its gloss, and the offsets of what it is a kind of."""

    words: tuple[str, ...]
    gloss: str
    hypernyms: tuple[int, ...]
    file: int  # lexicographer file number


class WordNet:
    """Noun synsets by offset, and the senses of each lemma, most frequent first."""

    def __init__(self, folder: Path) -> None:
        """folder holds data.noun, index.noun and noun.exc."""
        self.nouns: dict[int, Synset] = {}
        for line in _records(folder / "data.noun"):
            self._add(line)
        self.senses = {}
        for line in _records(folder / "index.noun"):
            fields = line.split()
            count = int(fields[2])
            self.senses[fields[0]] = [int(offset) for offset in fields[-count:]]
        self.plurals = dict(line.split()[:2] for line in (folder / "noun.exc").read_text().splitlines() if line)
        self._uses = _uses(folder / "cntlist.rev")

    def _add(self, line: str) -> None:
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        words = int(fields[3], 16)
        names = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * words : 2])
        pointers = fields[5 + 2 * words :]
        hypernyms = tuple(
            int(pointers[i + 1]) for i in range(0, 4 * int(fields[4 + 2 * words]), 4) if pointers[i] in ("@", "@i")
        )
        self.nouns[int(fields[0])] = Synset(names, gloss.strip(), hypernyms, int(fields[1]))

    def chain(self, offset: int, steps: int) -> list[Synset]:
        """The synset and up to `steps` hypernyms, by the first hypernym of each."""
        found = [self.nouns[offset]]
        while len(found) <= steps and found[-1].hypernyms:
            found.append(self.nouns[found[-1].hypernyms[0]])
        return found

    def lemma(self, word: str) -> str | None:
        """The noun lemma of a lower-case word, or None when it is no noun."""
        for candidate in (word, self.plurals.get(word), *_singulars(word)):
            if candidate in self.senses:
                return candidate
        return None

    def concreteness(self, word: str) -> float:
        """How visible a lower-case word's meaning is, 0 to 1: the share of its tagged uses, over all parts of speech,
        that name something visible.
        """
        lemma = self.lemma(word)
        if lemma is None or len(lemma) < 3:
            return 0.0
        uses = dict(self._uses.get(lemma, {}))
        for rank, offset in enumerate(self.senses[lemma]):  # untagged senses count a little, the first most
            file = self.nouns[offset].file
            uses[file] = uses.get(file, 0.0) + 1.0 / (rank + 1)
        return sum(_VISIBLE.get(file, 0.0) * count for file, count in uses.items()) / sum(uses.values())


def _uses(path: Path) -> dict[str, dict[int, float]]:
    """lemma → lexicographer file (verbs, adjectives and adverbs have files of their own) → tagged uses."""
    found: dict[str, dict[int, float]] = {}
    for line in _records(path):
        key, _, count = line.split()
        lemma, _, rest = key.partition("%")
        file = int(rest.split(":")[1])
        files = found.setdefault(lemma, {})
        files[file] = files.get(file, 0.0) + int(count)
    return found


def _records(path: Path) -> list[str]:
    # The licence stands in front of the records, each line of it indented.
    return [line for line in path.read_text(encoding="latin-1").splitlines() if line and not line.startswith(" ")]


def _singulars(word: str) -> list[str]:
    endings = (
        ("ies", "y"),
        ("ves", "f"),
        ("ses", "s"),
        ("xes", "x"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("s", ""),
    )
    return [word[: -len(end)] + new for end, new in endings if word.endswith(end) and len(word) > len(end) + 1]
