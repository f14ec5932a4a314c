"""Texts that tokenizers stumble over: a list of them, and as many more as are wanted, drawn at random."""

from collections.abc import Sequence
from random import Random

TEXTS = (
    "A red ball on a green field",
    "look at this!!! 😂😂 so cute ❤️ #dogsoftwitter",
    "",
    "東京タワーの夜景 ✨ きれい",
    "Él comió un plátano en el café — ¿cómo está? naïve façade",
    "@newsdesk BREAKING: 3 injured after crash near Main St. https://t.co/Ab3dE9 #news",
    "This is everything",
    "Never give up on what you believe in",
    "word " * 200,
    "   \t\n  spaces\u00a0and\u200bzero\u200dwidth\ufeff  ",
    "ＦＵＬＬＷＩＤＴＨ ﬁ ligature İstanbul ẞ ǅ",
    "🏳️‍🌈👩‍👩‍👧‍👦🇩🇪",
    "a\u0301e\u0301 combining \x00 control \x07 \ufffd",
    "Here is my new bicycle, what do you think?",
    "Antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis x" + "y" * 120,
    "Привет мир! مرحبا بالعالم नमस्ते שלום ไทย 한국어",
)

_RANGES = (
    (0x20, 0x7F),
    (0xA0, 0x17F),
    (0x180, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x3FF),
    (0x400, 0x45F),
    (0x5D0, 0x5EA),
    (0x620, 0x64A),
    (0x904, 0x939),
    (0xE01, 0xE3A),
    (0x1E00, 0x1EFF),
    (0x2000, 0x206F),
    (0x20A0, 0x20BF),
    (0x2190, 0x21FF),
    (0x2600, 0x27BF),
    (0x3000, 0x303F),
    (0x3041, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFB00, 0xFB06),
    (0xFE00, 0xFE0F),
    (0xFF01, 0xFF5E),
    (0x1F300, 0x1F64F),
    (0x1F900, 0x1F9FF),
    (0x20000, 0x2A6DF),
    (0, 0x1F),
    (0x80, 0x9F),
    (0xE000, 0xE010),
)


def hostile(rng: Random, words: Sequence[str]) -> str:
    """A string of words, of what posts abound in, and of code points from many scripts."""
    parts = []
    for _ in range(rng.randint(1, 9)):
        draw = rng.random()
        if draw < 0.45:
            word = rng.choice(words).removeprefix("##")
            parts.append(rng.choice((word, word.upper(), word.title())))
        elif draw < 0.6:
            parts.append(
                rng.choice(
                    (
                        "https://t.co/xY9",
                        "@user_1",
                        "#TagMe",
                        "3.14",
                        "$9.99",
                        "it's",
                        "U.S.A.",
                        "e-mail",
                        "100%",
                        "...",
                        "?!",
                        "w/o",
                    )
                )
            )
        else:
            low, high = rng.choice(_RANGES)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 5))))
    return rng.choice((" ", " ", " ", "", "\n", "\u00a0")).join(parts)
