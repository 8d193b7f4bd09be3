"""BENCHMARKS row 8: monotonic alignment search against Glow-TTS' in Cython, on identical paths.

    python -m benchmarks.alignment_search [--quick] [--rounds 7] [--out runs/bench]

Peer: `monotonic_alignment_search.maximum_path` (PyPI), which gives a path of ones, as training code
of VITS calls it; and its compiled loop alone, on arrays that are ready, without that path's way to
torch. Ours: `search_durations`, by numba and by numpy, which gives the sums of that path. Batches
of 8 random clips of three lengths, a token every four frames. Durations must be equal before a time
counts. Limit: one read of the scores.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Row, ratios
from benchmarks.options import read_options
from gsv2.models.vits2 import monotonic_alignment
from gsv2.models.vits2.monotonic_alignment import search_durations, walk_by_numpy

FRAMES = (200, 800, 1600)
FRAMES_PER_TOKEN = 4
NUM_CLIPS = 8
QUICK_FRAMES = (40,)
TIMES_PEER = 1.5
FALLBACK_OF_PEER = 0.9
FALLBACK_FROM_FRAMES = 1600


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    with Row(8, "alignment search", options) as row:
        try:
            from monotonic_alignment_search import maximum_path
            from monotonic_alignment_search.core import maximum_path_c
        except ImportError:
            row.note("monotonic-alignment-search is absent: nothing is compared.")
            return
        for frames in QUICK_FRAMES if options.quick else FRAMES:
            measure(row, frames, maximum_path, maximum_path_c)
        row.note(
            "Scores are random and of one length a batch; `maximum_path` returns the path "
            "[B, S, T] as floats, of which ours returns the sums: training needs no more."
        )


def measure(
    row: Row, frames: int, maximum_path: Callable[..., Tensor], core: Callable[..., None]
) -> None:
    """Report one length."""
    tokens = frames // FRAMES_PER_TOKEN
    scores = torch.randn(NUM_CLIPS, frames, tokens, generator=torch.Generator().manual_seed(frames))
    values, mask = scores.mT.contiguous(), torch.ones(NUM_CLIPS, tokens, frames)
    lengths = torch.full((NUM_CLIPS,), tokens), torch.full((NUM_CLIPS,), frames)

    def ours() -> Tensor:
        return search_durations(scores, *lengths)

    def fallback() -> Tensor:
        with mock.patch.object(monotonic_alignment, "_path_finder", return_value=walk_by_numpy):
            return search_durations(scores, *lengths)

    def peer() -> Tensor:
        return maximum_path(values, mask)

    sizes = [length.numpy().astype(np.int32) for length in lengths]

    def peer_core() -> np.ndarray:
        path = np.zeros(values.shape, dtype=np.int32)
        core(path, values.numpy().copy(), *sizes)  # it works in place
        return path

    expected = peer().sum(dim=2).long()
    for found in (ours(), fallback(), torch.from_numpy(peer_core()).sum(dim=2)):
        assert torch.equal(found, expected), "paths differ"
    who = {"read": scores.sum, "peer": peer, "core": peer_core, "numba": ours, "numpy": fallback}
    of = row.alternate(who)
    name = f"T = {frames}"
    for contender, seconds in of.items():
        row.figure(f"{name}: {contender}", [1e3 * value for value in seconds], "ms a batch")
    row.target(f"{name}: numba x peer", ratios(of["peer"], of["numba"]), at_least=TIMES_PEER)
    row.figure(f"{name}: numba x the peer's loop alone", ratios(of["core"], of["numba"]))
    by_numpy = ratios(of["peer"], of["numpy"])
    if frames >= FALLBACK_FROM_FRAMES:
        row.target(f"{name}: numpy x peer", by_numpy, at_least=FALLBACK_OF_PEER)
    else:
        row.figure(f"{name}: numpy x peer", by_numpy)


if __name__ == "__main__":
    main()
