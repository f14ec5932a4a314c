"""Pseudo labels: KMeans over the embeddings of one subset, with the paper's settings."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize, scale

PREPROCESS = {"none": lambda x: x, "normalize": lambda x: normalize(x, axis=0), "scale": lambda x: scale(x, axis=0)}


def pseudo_labels(x: np.ndarray, k: int, seed: int, preprocess: str = "none") -> np.ndarray:
    """int [N] in 0…k-1 for x [N, d]; `preprocess` works on feature columns, not on rows."""
    # Spelled out: scikit-learn's default for n_init has changed since the paper.
    means = KMeans(n_clusters=k, init="k-means++", n_init=10, max_iter=300, tol=1e-4, random_state=seed)
    return means.fit(PREPROCESS[preprocess](x)).labels_
