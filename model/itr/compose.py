"""Composes posts whose relation is known by construction: a written text beside a photograph, with or without words
on it.

They train the relation head and give held-out figures. Texts, pictures and overlay words are disjoint between splits:
by digests of the template, of the picture's name, and of the word. What such a post cannot teach is how real people
match texts and pictures, so nothing that maps a picture into the text space is trained on them.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random

from PIL import Image

from itr import render
from itr.photos import Photo
from itr.wordnet import WordNet

SPLITS = ("train", "dev", "test")
_NAMING = {"caption", "points", "headline", "promo"}  # kinds whose templates name the picture's subject
_ADDING = {"points", "react", "ask", "omit"}  # kinds that need their picture
# How often each kind occurs, and how often its picture shows what it names and carries words that matter: set so that
# the four relations come out near their shares in the public Twitter labels.
_MIX = {
    "caption": 0.16,
    "points": 0.12,
    "react": 0.09,
    "ask": 0.05,
    "omit": 0.07,
    "thought": 0.13,
    "headline": 0.16,
    "abstract": 0.11,
    "promo": 0.11,
}
_MATCHED, _INFORMING, _DECORATING = 0.72, 0.2, 0.15


@dataclass(frozen=True)
class Post:
    """One composed pair. relation = 2·text_is_represented + image_adds."""

    text: str
    canvas: render.Canvas
    kind: str
    relation: int


@dataclass(frozen=True)
class Template:
    """A text with gaps, its kind, and the only split that may draw it."""

    kind: str
    text: str
    split: str


class Composer:
    """Draws posts of one split from photographs, backgrounds, fonts and words."""

    def __init__(
        self,
        split: str,
        photos: list[Photo],
        backdrops: list[Image.Image],
        faces: list[Path],
        wordnet: WordNet,
        rng: Random,
        kin: float,
    ) -> None:
        """kin: how often a picture that matches is one of the subject's category and not of the subject, as loosely
        as people match.
        """
        self.photos = [photo for photo in photos if photo.split == split]
        self.backdrops = [
            image for i, image in enumerate(backdrops) if SPLITS[min(i % 5, 4) // 2] == split
        ] or backdrops
        self.faces = faces
        self.words = sorted(
            word for word in wordnet.senses if word.isalpha() and 3 <= len(word) <= 11 and _split(word) == split
        )
        templates, self.fillers = read_templates()
        self.templates = {kind: [t for t in templates if t.kind == kind and t.split == split] for kind in _MIX}
        self.rng, self.kin = rng, kin

    def posts(self, count: int) -> Iterator[Post]:
        for _ in range(count):
            yield self._post()

    def canvases(self, count: int) -> Iterator[render.Canvas]:
        """Pictures with and without words, for the text-area head."""
        for _ in range(count):
            style = self.rng.choice((*render.STYLES, None, None, None))
            sheet = self.rng.random() < (0.6 if style in ("poster", "screenshot", "chart") else 0.03)
            canvas = render.blank(self.rng) if sheet else self._scene(self.rng.choice(self.photos))
            yield canvas if style is None else render.write(canvas, self._overlay(style), style, self.faces, self.rng)

    def _post(self) -> Post:
        rng = self.rng
        kind = rng.choices(list(_MIX), list(_MIX.values()))[0]
        subject = rng.choice(self.photos)
        text = self._text(kind, subject)
        matched = kind in _NAMING and rng.random() < _MATCHED
        shown = (
            rng.choice(self._like(subject))
            if matched
            else rng.choice([photo for photo in self.photos if photo.folder != subject.folder])
        )
        represented, adds = matched, kind in _ADDING
        canvas = self._scene(shown)
        draw = rng.random()
        if draw < _INFORMING:
            style = rng.choice(("poster", "screenshot", "chart", "meme"))
            repeats = rng.random() < 0.15
            if style != "meme" and rng.random() < 0.6:
                canvas, represented = render.blank(rng), False
            canvas = render.write(canvas, text.split() if repeats else self._overlay(style), style, self.faces, rng)
            represented, adds = represented or repeats, adds or not repeats
        elif draw < _INFORMING + _DECORATING:
            style = rng.choice(("watermark", "sign", "watermark"))
            canvas = render.write(canvas, self._overlay(style)[:2], style, self.faces, rng)
        return Post(_decorated(text, rng), canvas, kind, 2 * represented + adds)

    def _like(self, subject: Photo) -> list[Photo]:
        # Archives of mixed pictures have no slash in their folder: only a real category makes kin.
        if "/" in subject.folder and self.rng.random() < self.kin:
            return [photo for photo in self.photos if photo.folder == subject.folder]
        return [subject]

    def _text(self, kind: str, subject: Photo) -> str:
        text = self.rng.choice(self.templates[kind]).text.replace("{x}", subject.name)
        return re.sub(r"\{(\w+)\}", lambda found: self.rng.choice(self.fillers[found[1]]), text)

    def _scene(self, photo: Photo) -> render.Canvas:
        return render.scene(photo.image, self.rng.choice(self.backdrops), self.rng)

    def _overlay(self, style: str) -> list[str]:
        most = {"screenshot": 60, "poster": 14, "meme": 9}.get(style, 6)
        words = [self.rng.choice(self.words) for _ in range(self.rng.randint(max(1, most // 4), most))]
        return [str(self.rng.randint(1, 2030)) if self.rng.random() < 0.08 else word for word in words]


def read_templates() -> tuple[list[Template], dict[str, list[str]]]:
    """The templates of posts.txt, and its fillers by name. Of each kind six tenths train, two are dev and two test,
    in the order of a digest.
    """
    texts, fillers = {}, {}
    for line in resources.files("itr").joinpath("posts.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            continue
        kind, bar, text = line.partition(" | ")
        if bar:
            texts.setdefault(kind, []).append(text)
        else:
            name, _, values = line.partition(" = ")
            fillers[name] = values.split(", ")
    templates = []
    for kind, of_kind in texts.items():
        of_kind.sort(key=lambda text: zlib.crc32(text.encode()))
        for i, text in enumerate(of_kind):
            templates.append(
                Template(kind, text, SPLITS[0 if i < 0.6 * len(of_kind) else 1 if i < 0.8 * len(of_kind) else 2])
            )
    return templates, fillers


def _split(text: str) -> str:
    draw = zlib.crc32(text.encode()) % 10
    return "train" if draw < 6 else "dev" if draw < 8 else "test"


def _decorated(text: str, rng: Random) -> str:
    """What posts wear: tags, mentions, links, emoji, shouting. Independent of the relation on purpose."""
    if rng.random() < 0.25:
        text += " " + " ".join(
            "#" + rng.choice(("love", "news", "tbt", "travel", "life", "work", "fun", "local"))
            for _ in range(rng.randint(1, 3))
        )
    if rng.random() < 0.15:
        text = f"@{rng.choice(('sam_k', 'newsdesk', 'LuciaR', 'the_daily', 'jp_77'))} {text}"
    if rng.random() < 0.15:
        text += " " + rng.choice(("😂", "❤️", "🔥🔥", "😍", "👀", "🙏"))
    if rng.random() < 0.2:
        text += f" https://t.co/{rng.randrange(36**5):x}"
    return text.upper() if rng.random() < 0.03 else text
