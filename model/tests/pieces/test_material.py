"""What the build is made of: archives, WordNet, word kinds, templates."""

import struct
import zlib

import pytest

from itr import compose, ingredients, lexicon, rcc
from itr.wordnet import WordNet


def archive(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A Qt resource archive of version 2 with one folder `pics`."""
    names, offsets = b"", {}
    for name in ("pics", *files):
        offsets[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    data, places = b"", []
    for content, flags in files.values():
        stored = struct.pack(">I", len(content)) + zlib.compress(content) if flags & 1 else content
        places.append(len(data))
        data += struct.pack(">I", len(stored)) + stored
    tree = struct.pack(">IHIIQ", 0, 2, 1, 1, 0) + struct.pack(">IHIIQ", offsets["pics"], 2, len(files), 2, 0)
    for (name, (_, flags)), place in zip(files.items(), places, strict=True):
        tree += struct.pack(">IHHHIQ", offsets[name], flags, 0, 1, place, 0)
    start = 20
    return (
        struct.pack(">4s4I", b"qres", 2, start, start + len(tree), start + len(tree) + len(data)) + tree + data + names
    )


def test_archive_gives_plain_and_compressed_files(tmp_path):
    path = tmp_path / "a.rcc"
    path.write_bytes(archive({"dog.webp": (b"plain", 0), "größe.txt": (b"long " * 50, 1)}))
    assert dict(rcc.files(path)) == {"/pics/dog.webp": b"plain", "/pics/größe.txt": b"long " * 50}


def test_archive_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.rcc"
    path.write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(ValueError, match="not a Qt resource archive"):
        list(rcc.files(path))


@pytest.fixture
def wordnet(tmp_path) -> WordNet:
    licence = "  1 This software and database is being provided to you\n"
    (tmp_path / "data.noun").write_text(
        licence + '00000010 05 n 01 dog 0 001 @ 00000020 n 0000 | a barking animal; "the dog barked"  \n'
        "00000020 03 n 01 animal 0 000 | a living thing  \n00000030 12 n 01 love 0 000 | a feeling  \n"
    )
    (tmp_path / "index.noun").write_text(
        licence + "dog n 1 1 @ 1 1 00000010  \nanimal n 1 0 1 1 00000020  \nlove n 1 0 1 1 00000030  \n"
    )
    (tmp_path / "noun.exc").write_text("oxen ox\n")
    (tmp_path / "cntlist.rev").write_text("dog%1:05:00:: 1 42\nlove%1:12:00:: 1 20\nlove%2:37:00:: 1 43\n")
    return WordNet(tmp_path)


def test_wordnet_knows_chains_plurals_and_what_can_be_seen(wordnet):
    assert [synset.words[0] for synset in wordnet.chain(10, steps=3)] == ["dog", "animal"]
    assert wordnet.lemma("dogs") == "dog"
    assert wordnet.concreteness("dogs") == 1.0
    assert wordnet.concreteness("love") == 0.0
    assert wordnet.concreteness("unheard") == 0.0


def test_word_kinds_are_packed_into_bits(wordnet):
    vocabulary = ["[PAD]", "[UNK]", "this", "dog", "##s", "42", "look"]
    packed = dict(zip(vocabulary, lexicon.table(vocabulary, wordnet).tolist(), strict=True))
    bit = lambda name: 1 << lexicon.BITS.index(name)  # noqa: E731
    assert packed["[PAD]"] == 0
    assert packed["[UNK]"] == bit("unknown")
    assert packed["this"] == bit("points")
    assert packed["##s"] == bit("continues")
    assert packed["42"] == bit("numbers")
    assert packed["dog"] >> len(lexicon.BITS) == 4


def test_every_kind_of_text_has_templates_in_every_split_and_none_in_two():
    templates, fillers = compose.read_templates()
    kinds = {template.kind for template in templates}
    assert {(t.kind, t.split) for t in templates} == {(kind, split) for kind in kinds for split in compose.SPLITS}
    assert len({t.text for t in templates}) == len(templates)
    assert {"who", "where", "when", "num"} == fillers.keys()


def test_every_ingredient_is_pinned():
    for item in ingredients.INGREDIENTS:
        assert len(item.sha256) == 64, item.package


def test_a_package_of_another_digest_stops_the_build(tmp_path):
    item = ingredients.INGREDIENTS[0]
    downloads = tmp_path / "downloads" / item.package
    downloads.mkdir(parents=True)
    (downloads / "forged.whl").write_bytes(b"not it")
    with pytest.raises(RuntimeError, match=f"the pin of {item.package}"):
        ingredients.fetch(tmp_path)
