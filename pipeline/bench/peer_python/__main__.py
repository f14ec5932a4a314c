"""Reads posts and writes their relations, as a competent engineer would in Python: the peer of pipeline/bench.

Looking for the model? towers.py. For the clustering? centroids.py. For single parts, timed alone? parts.py.

While one batch is decoded and labelled on the pool's threads, the main thread reads the next one and writes out
the one before.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import os
import signal
from pathlib import Path

# Before numpy: threads of BLAS would take the cores from the model's.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import confluent_kafka as kafka  # noqa: E402
import numpy as np  # noqa: E402
import orjson  # noqa: E402
import pybase64  # noqa: E402
from centroids import Centroids  # noqa: E402
from towers import IMAGES_A_RUN, TEXTS_A_RUN, Towers  # noqa: E402

POSTS_A_BATCH = 32
STUB_POSTS_A_BATCH = 10_000
# Batches on the pool at once: one being labelled, one behind it.
AHEAD = 2


class Batch:
    """Messages on their way through the pool."""

    def __init__(self, messages: list[kafka.Message], towers: Towers, pool: concurrent.futures.Executor):
        self.messages = messages
        self.posts = [orjson.loads(m.value()) for m in messages]
        self.files = [pybase64.b64decode(p["media"][0]["data"], validate=True) for p in self.posts]
        self.images = [
            pool.submit(towers.see, self.files[i : i + IMAGES_A_RUN]) for i in range(0, len(messages), IMAGES_A_RUN)
        ]
        ids = [e.ids for e in towers.tokenizer.encode_batch([p["text"] for p in self.posts])]
        self.order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        self.texts = [
            pool.submit(towers.read, [ids[j] for j in self.order[i : i + TEXTS_A_RUN]])
            for i in range(0, len(ids), TEXTS_A_RUN)
        ]

    def done(self) -> bool:
        return all(f.done() for f in (*self.images, *self.texts))

    def results(self, towers: Towers, centroids: Centroids):
        image = np.concatenate([f.result() for f in self.images])
        text = np.empty((len(self.posts), towers.text.get_outputs()[0].shape[1]), np.float32)
        text[self.order] = np.concatenate([f.result() for f in self.texts])
        scores, similarity, embedding = towers.relate(text, image)
        cluster, distance = centroids.fold(embedding)
        if cluster is not None:
            cluster, distance = cluster[-len(self.posts) :], distance[-len(self.posts) :]
        for i, (message, post) in enumerate(zip(self.messages, self.posts, strict=True)):
            best = int(scores[i].argmax())
            pair = {
                "index": 0,
                "digest": hashlib.sha256(self.files[i]).hexdigest(),
                "relation": towers.labels[best],
                "confidence": float(scores[i, best]),
                "scores": dict(zip(towers.labels, scores[i].tolist(), strict=True)),
                "similarity": float(similarity[i]),
                "cluster": None if cluster is None else str(cluster[i]),
                "distance": None if distance is None else float(distance[i]),
            }
            yield message, post, result(message, post, [pair], towers.model)


def result(message: kafka.Message, post: dict, pairs: list[dict], model: dict) -> bytes:
    at = f"{message.topic()}/{message.partition()}/{message.offset()}"
    return orjson.dumps(
        {
            "schema": "result.v1",
            "result_id": hashlib.sha256(at.encode()).hexdigest(),
            "status": "labelled" if pairs else "no_image",
            "source": post.get("source"),
            "op": post.get("op", "create"),
            "post_id": post["post_id"],
            "created_at": post.get("created_at"),
            "text": post.get("text"),
            "langs": post.get("langs"),
            "relation": pairs[0]["relation"] if pairs else None,
            "confidence": pairs[0]["confidence"] if pairs else None,
            "pairs": pairs,
            "decisions": [{"rule": "uncertain", "topic": "review"}] if pairs and pairs[0]["confidence"] < 0.4 else [],
            "model": model,
            "input": {
                "topic": message.topic(),
                "partition": message.partition(),
                "offset": message.offset(),
                "time": message.timestamp()[1],
            },
        }
    )


class Peer:
    def __init__(self, o: argparse.Namespace):
        self.o = o
        self.running = True
        self.ahead: collections.deque[Batch] = collections.deque()
        self.consumer = kafka.Consumer(
            {
                "bootstrap.servers": o.brokers,
                "group.id": o.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                # A full queue is looked at again after this, and not after a second.
                "fetch.queue.backoff.ms": 10,
            }
        )
        producer = {"bootstrap.servers": o.brokers, "compression.type": "lz4", "linger.ms": 2, "acks": "all"}
        if o.stub:
            producer |= {"queue.buffering.max.messages": 1_000_000, "batch.num.messages": 10_000}
        if o.exactly_once:
            producer["transactional.id"] = f"{o.group}-{o.process}"
        self.producer = kafka.Producer(producer)
        if o.exactly_once:
            self.producer.init_transactions()

    def run(self) -> None:
        if self.o.stub:
            self.loop(self.stub, STUB_POSTS_A_BATCH)
            return
        # In front of the subscription: whoever loads a model for seconds is no good member of a group.
        self.towers = Towers(Path(self.o.bundle), not self.o.full)
        self.centroids = Centroids(f"redis://{self.o.redis}", self.o.group, self.o.k, self.o.bootstrap)
        with concurrent.futures.ThreadPoolExecutor(self.o.threads) as self.pool:
            self.loop(self.label, POSTS_A_BATCH)

    def loop(self, take, most: int) -> None:
        self.consumer.subscribe([self.o.posts], on_revoke=lambda *_: self.ahead.clear())
        while self.running:
            # With batches on their way, a look is enough; else the first message is waited for, and no other.
            first = self.consumer.poll(0.001 if self.ahead else 0.2)
            messages = [m for m in ([first] if first else []) if not m.error()]
            if messages:
                messages += [m for m in self.consumer.consume(most - 1, 0) if not m.error()]
            take(messages)
        self.consumer.close()

    def label(self, messages: list[kafka.Message]) -> None:
        if messages:
            self.ahead.append(Batch(messages, self.towers, self.pool))
        while self.ahead and (len(self.ahead) > AHEAD or self.ahead[0].done()):
            batch = self.ahead.popleft()
            self.emit(batch.messages, batch.results(self.towers, self.centroids))

    def stub(self, messages: list[kafka.Message]) -> None:
        if messages:
            posts = ((m, orjson.loads(m.value())) for m in messages)
            self.emit(messages, ((m, p, result(m, p, [], {"name": "stub"})) for m, p in posts))

    def emit(self, messages: list[kafka.Message], results) -> None:
        """Writes results and moves the group's position, together where that was asked for."""
        if self.o.exactly_once:
            self.producer.begin_transaction()
        for _, post, value in results:
            self.producer.produce(self.o.results, value, post["post_id"])
        ends = {(m.topic(), m.partition()): m.offset() + 1 for m in messages}
        offsets = [kafka.TopicPartition(t, p, n) for (t, p), n in ends.items()]
        if self.o.exactly_once:
            self.producer.send_offsets_to_transaction(offsets, self.consumer.consumer_group_metadata())
            self.producer.commit_transaction()
        else:
            self.producer.flush()
            self.consumer.commit(offsets=offsets, asynchronous=True)


def main() -> None:
    p = argparse.ArgumentParser(prog="peer_python", description=__doc__.split("\n")[0])
    for name in ("brokers", "redis", "posts", "results", "group", "bundle"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--process", type=int, default=0, help="which process of the group this is")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--k", type=int, default=64)
    p.add_argument("--bootstrap", type=int, default=128)
    p.add_argument("--exactly-once", action="store_true")
    p.add_argument("--full", action="store_true", help="decode every pixel of a JPEG, without PIL's draft")
    p.add_argument("--stub", action="store_true", help="no model: decode, map, emit")
    peer = Peer(p.parse_args())

    def stop(*_):
        peer.running = False

    signal.signal(signal.SIGTERM, stop)
    peer.run()


if __name__ == "__main__":
    main()
