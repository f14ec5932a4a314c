"""Times single parts in their own process, and prints one number: how many a second of processor time.

parts.py tokens BUNDLE TEXTS            texts, one a call; TEXTS is a JSON list
parts.py images draft|full FILE...      photos to 224×224 pixels
parts.py sklearn|river K DIM POINTS     points of a float32 file, assigned and learnt in batches of 256
parts.py json FILE...                   bytes of posts, parsed, with their images out of base64
"""

import itertools
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

SECONDS = 1.5
BATCH = 256


def rate(do, items) -> float:
    """Calls do on the items, again and again; do returns how much it has done."""
    around = itertools.cycle(items)
    do(next(around))
    done, began = 0, time.process_time()
    while (took := time.process_time() - began) < SECONDS:
        done += do(next(around))
    return done / took


def tokens(bundle: str, texts: str) -> float:
    from towers import tokenizer

    t = tokenizer(Path(bundle), lowercase=True, max_tokens=128)
    return rate(lambda text: bool(t.encode(text).ids), json.loads(Path(texts).read_text()))


def images(how: str, *files: str) -> float:
    from towers import Towers

    t = Towers.__new__(Towers)
    t.side, t.draft, t.orient = 224, how == "draft", True
    return rate(lambda f: len(t.pixels(f)) // 224, [Path(f).read_bytes() for f in files])


def batches(dim: str, points: str) -> list[np.ndarray]:
    x = np.fromfile(points, np.float32).reshape(-1, int(dim))
    return [x[i : i + BATCH] for i in range(0, len(x) - BATCH + 1, BATCH)]


def sklearn(k: str, dim: str, points: str) -> float:
    from sklearn.cluster import MiniBatchKMeans

    # What the first centroids are does not show in the time of what follows; k-means++ would take minutes for many.
    first = "k-means++" if int(k) <= 1000 else "random"
    m = MiniBatchKMeans(int(k), init=first, batch_size=BATCH, n_init=1, random_state=0)
    data = batches(dim, points)
    m.partial_fit(np.concatenate(data[: max(4, -(-int(k) // BATCH))]))

    def fold(x):
        m.partial_fit(x)
        return len(m.predict(x))

    return rate(fold, data)


def river(k: str, dim: str, points: str) -> float:
    from river import cluster

    m = cluster.STREAMKMeans(chunk_size=10, n_clusters=int(k), halflife=0.5, sigma=1.5, seed=0)
    rows = [dict(enumerate(map(float, x))) for x in batches(dim, points)[0][:64]]
    for x in rows:
        m.learn_one(x)

    def fold(x):
        m.learn_one(x)
        m.predict_one(x)
        return 1

    return rate(fold, rows)


def parse(*files: str) -> float:
    import orjson
    import pybase64

    def read(value):
        for m in orjson.loads(value).get("media") or []:
            pybase64.b64decode(m["data"], validate=True)
        return len(value)

    return rate(read, [Path(f).read_bytes() for f in files])


PARTS = {"tokens": tokens, "images": images, "sklearn": sklearn, "river": river, "json": parse}

if __name__ == "__main__":
    print(PARTS[sys.argv[1]](*sys.argv[2:]))
