"""scikit-learn's mini-batch k-means with its state in Redis, so that processes share it."""

import numpy as np
import redis
from sklearn.cluster import MiniBatchKMeans


class Centroids:
    """Assigns embeddings and moves the centroids.

    What one process adds is not lost to another: Redis refuses a state that was made of an older one, and the process
    then adds to the newer.
    """

    def __init__(self, url: str, name: str, k: int, bootstrap: int):
        self.redis = redis.Redis.from_url(url)
        self.name, self.k, self.bootstrap = name, k, bootstrap
        self.sample: list[np.ndarray] = []
        self.version = b"0"
        self.kmeans = MiniBatchKMeans(k, batch_size=256, n_init=1, random_state=0)

    def fold(self, embeddings: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Clusters and squared distances; None while there are no centroids yet."""
        embeddings = np.ascontiguousarray(embeddings, np.float32)
        if self.version == b"0":
            self.sample.append(embeddings)
            if sum(map(len, self.sample)) < self.bootstrap:
                return None, None
            embeddings = np.concatenate(self.sample)
        with self.redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(self.name)
                    self.catch_up(pipe)
                    self.kmeans.partial_fit(embeddings)
                    pipe.multi()
                    state = {
                        "version": int(self.version) + 1,
                        "centers": self.kmeans.cluster_centers_.tobytes(),
                        "counts": self.kmeans._counts.tobytes(),
                    }
                    pipe.hset(self.name, mapping=state)
                    pipe.execute()
                    self.version = str(state["version"]).encode()
                    break
                except redis.WatchError:
                    continue
        distances = self.kmeans.transform(embeddings)
        cluster = distances.argmin(axis=1)
        return cluster, distances[np.arange(len(cluster)), cluster] ** 2

    def catch_up(self, pipe: redis.client.Pipeline) -> None:
        version = pipe.hget(self.name, "version")
        if version is None or version == self.version:
            return
        state = pipe.hgetall(self.name)
        centers = np.frombuffer(state[b"centers"], np.float32).reshape(self.k, -1).copy()
        if self.version == b"0":
            # partial_fit makes what belongs to a fitted estimator; the state then takes its place.
            self.kmeans.partial_fit(centers)
        self.kmeans.cluster_centers_ = centers
        self.kmeans._counts = np.frombuffer(state[b"counts"], self.kmeans._counts.dtype).copy()
        self.version = state[b"version"]
