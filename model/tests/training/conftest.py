"""Generated pairs, and a process left as it was."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from itr.pairs import Pair, Picture


@pytest.fixture(scope="session")
def make_pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Pair]]:
    """make_pairs(count, seed, labelled=False): texts of random letters, pictures of 8×8 random cells."""
    folder = tmp_path_factory.mktemp("pictures")

    def make(count: int, seed: int, labelled: bool = False) -> list[Pair]:
        rng = np.random.default_rng(seed)
        pairs = []
        for i in range(count):
            relation = int(rng.integers(4))
            # What the labels follow: which letters occur, and which half of the picture is bright.
            letters = rng.choice(list("abcdefg" if relation >= 2 else "nopqrst"), 12)
            cells = rng.integers(0, 120, (8, 8, 3), np.uint8)
            cells[: 4 if relation % 2 else 8] += np.uint8(100)
            path = folder / f"{seed}-{i}.png"
            Image.fromarray(cells).save(path)
            other = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8))
            pairs.append(
                Pair(
                    id=f"{seed}-{i}",
                    text="".join(letters),
                    picture=Picture(path),
                    where=f"pair {i}",
                    ocr=other,
                    caption=other[::-1],
                    relation=relation if labelled else None,
                )
            )
        return pairs

    return make


@pytest.fixture(autouse=True)
def no_lasting_determinism() -> None:
    """Runs switch deterministic operations on for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
