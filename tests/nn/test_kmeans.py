from __future__ import annotations

import pytest
import torch
from vector_quantize_pytorch.vector_quantize_pytorch import kmeans as reference

from gsv2.nn.kmeans import kmeans, nearest_entries


def test_it_finds_what_the_library_finds_from_the_same_start() -> None:
    vectors = torch.randn(9000, 6, generator=torch.Generator().manual_seed(1))  # three pieces
    torch.manual_seed(0)
    means, counts = reference(vectors[None], 16, 8)
    torch.manual_seed(0)
    found = kmeans(vectors, 16, 8)
    torch.testing.assert_close(found.means, means[0], rtol=1e-4, atol=1e-5)
    assert found.counts.tolist() == counts[0].tolist()


def test_the_nearest_entry_is_that_of_the_smallest_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, entries = (torch.randn(n, 5, generator=generator) for n in (5000, 33))
    assert nearest_entries(vectors, entries).equal(torch.cdist(vectors, entries).argmin(dim=1))


def test_it_ends_when_nothing_moves_and_tells_each_iteration() -> None:
    vectors = torch.tensor([[0.0], [0.1], [5.0], [5.1]]).repeat(50, 1)
    told: list[tuple[int, int]] = []
    torch.manual_seed(3)
    found = kmeans(vectors, 2, 40, progress=lambda done, most: told.append((done, most)))
    assert told == [(i + 1, 40) for i in range(len(told))]
    assert len(told) < 40
    assert found.means.flatten().sort().values.tolist() == pytest.approx([0.05, 5.05])


def test_a_cluster_without_vectors_keeps_its_mean() -> None:
    vectors = torch.zeros(10, 2)
    found = kmeans(vectors, 3, 4)
    assert found.means.isfinite().all()
    assert sorted(found.counts.tolist()) == [0.0, 0.0, 10.0]
