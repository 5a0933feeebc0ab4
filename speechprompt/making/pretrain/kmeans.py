"""Lloyd's k-means in torch: the frames of an hour, 500 centroids, in seconds on a laptop or a GPU.

scikit-learn's mini-batch variant was tried: on a busy CPU its threads wait for each other for minutes.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1 << 16  # points whose distances are held at once


def nearest(points: Tensor, centroids: Tensor) -> Tensor:
    """Index of the nearest centroid: [..., d], [K, d] -> int64 [...]."""
    offsets = centroids.square().sum(1)
    flat = points.reshape(-1, points.shape[-1])
    found = [(offsets - 2 * chunk @ centroids.T).argmin(1) for chunk in flat.split(CHUNK)]
    return torch.cat(found).view(points.shape[:-1])


def kmeans(points: Tensor, n_clusters: int, seed: int, iterations: int = 25) -> Tensor:
    """Centroids [K, d] of points [N, d], from K points drawn by seed; empty clusters are drawn anew."""
    generator = torch.Generator().manual_seed(seed)

    def draw(n: int) -> Tensor:
        return points[torch.randperm(len(points), generator=generator)[:n].to(points.device)]

    if len(points) < n_clusters:
        raise ValueError(f"{n_clusters} clusters need at least as many points, not {len(points)}")
    centroids = draw(n_clusters).clone()
    for iteration in range(iterations):
        members = nearest(points, centroids)
        counts = torch.bincount(members, minlength=n_clusters)
        sums = torch.zeros_like(centroids).index_add_(0, members, points)
        centroids = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centroids)
        empty = (counts == 0).nonzero()[:, 0]
        if len(empty) and iteration < iterations - 3:
            centroids[empty] = draw(len(empty))
    return centroids
