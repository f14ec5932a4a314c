"""What one build of a bundle depends on, and nothing else."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MiniConfig:
    """Settings of `itr mini`. Two builds with equal settings and ingredients give equal graphs."""

    out: Path
    cache: Path
    seed: int = 17
    study: Path | None = None  # file for the figures of itr.study, which need half an hour; the card has the last ones
    version: str = "0.2.1"
    heads: int = 3  # relation heads trained with seeds seed, seed+1, …; the spread is reported, the first one ships

    # Towers
    max_tokens: int = 128
    image_side: int = 224

    # Composed material
    area_canvases: int = 2500
    train_posts: int = 4000
    calibration_posts: int = 1200
    test_posts: int = 1500

    # How often two people who label a post differ in one of the two flags, about: kappa is .7 to .8. Probabilities
    # are made no surer than that.
    disagreement: float = 0.1

    folds: int = 5  # of the written training posts, by picture, for a calibration on posts that a head did not see

    # Shares of neither, image_adds, text_represented, both that the default calibration declares. The public Twitter
    # label set has .336, .256, .220, .188, news accounts rather .5 of text_represented alone. Texts and pictures of
    # strangers match more weakly than those a head was fitted to, which moves labels towards neither; so the shares
    # lean to the news accounts' side. On written posts, whichever shares they are weighted to, that costs little.
    priors: tuple[float, float, float, float] = (0.25, 0.23, 0.31, 0.21)
