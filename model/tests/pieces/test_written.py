"""The written posts: every line is usable, and no picture is in two splits."""

from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from itr import compose, ingredients, render, written


@pytest.fixture(scope="module")
def read():
    return written.read()


def test_every_split_has_every_relation_and_no_picture_of_another(read):
    posts, pictures = read
    seen = defaultdict(set)
    for post in posts:
        seen[post.picture].add(post.split)
    assert all(len(splits) == 1 for splits in seen.values())
    assert {(post.split, post.relation) for post in posts} == {(s, r) for s in compose.SPLITS for r in range(4)}
    assert len(seen) == len(pictures)


def test_every_kind_that_counts_as_reporting_is_written(read):
    assert set(written.REPORTING) <= {post.kind for post in read[0]}


def test_pictures_come_from_pinned_packages_and_overlays_have_a_style(read):
    pinned = {item.package for item in ingredients.INGREDIENTS}
    for picture in read[1]:
        assert picture["image"] == "blank" or picture["image"].partition(":")[0] in pinned
        assert picture["overlay"] is not None or picture["image"] != "blank"
        assert picture["overlay"] is None or picture["overlay"]["style"] in render.STYLES


def test_cut_outs_stand_on_white(tmp_path):
    cutout = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    cutout.paste((200, 0, 0, 255), (0, 0, 20, 20))
    cutout.save(tmp_path / "stamp.png")
    picture = {"image": "package:stamp.png", "overlay": None}
    (got,) = written.pixels([picture], {"package": tmp_path}, [], 8)
    np.testing.assert_array_equal(got[4, 1], (200, 0, 0))
    np.testing.assert_array_equal(got[4, 6], (255, 255, 255))
