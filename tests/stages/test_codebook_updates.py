"""Codebooks while they train."""

import threading

import pytest
import torch

from gsv2.models.component import load_component
from gsv2.models.quantizer.model import HASH_KEY, Quantizer
from gsv2.nn.codebook_ema import CodebookStatistics, collect_statistics
from gsv2.stages import codebook_updates
from gsv2.stages.codebook_updates import LiveFingerprint, over_ranks
from gsv2.training.distributed.ranks import Distributed
from tests.support.thread_ranks import run_ranks
from tests.support.tiny_gpt import save_quantizer

K, V, DIM, CANDIDATES = 2, 5, 3, 4


def test_the_hash_is_that_of_the_codebooks_at_the_time_of_asking(tmp_path):
    component = load_component(save_quantizer(tmp_path / "quantizer.safetensors"), "quantizer")
    quantizer = Quantizer.from_component(component)
    live = LiveFingerprint(quantizer)
    assert dict(live) == {HASH_KEY: quantizer.fingerprint()}
    before = live[HASH_KEY]
    with torch.no_grad():
        for tensor in quantizer.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(1.0)
    assert live[HASH_KEY] == quantizer.fingerprint() != before
    with pytest.raises(KeyError):
        live["another"]


def test_statistics_of_micro_batches_are_summed_and_their_candidates_put_in_a_row():
    parts = [
        CodebookStatistics(
            counts=torch.full((2, 4), float(i)),
            sums=torch.full((2, 4, 3), float(i)),
            candidates=torch.full((5, 2, 3), float(i)),
            is_candidate=torch.arange(5) < i,
        )
        for i in (1, 2)
    ]
    merged = over_ranks(parts)
    assert torch.equal(merged.counts, torch.full((2, 4), 3.0))
    assert torch.equal(merged.sums, torch.full((2, 4, 3), 3.0))
    assert torch.equal(merged.candidates, torch.cat([part.candidates for part in parts]))
    assert merged.is_candidate.tolist() == [True] + 4 * [False] + 2 * [True] + 3 * [False]


def make_parts(count: int) -> list[CodebookStatistics]:
    """Statistics of micro-batches, the last one too short for all candidates."""
    torch.manual_seed(0)
    parts = []
    for number in range(count):
        mask = torch.arange(8) < (2 if number == count - 1 else 8)
        codes = torch.randint(V, (K, 8))
        parts.append(collect_statistics(torch.randn(K, 8, DIM), codes, mask, V, CANDIDATES))
    return parts


def test_ranks_merge_to_what_one_process_has_in_global_micro_batch_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Micro-batch i of rank r is the (2 i + r)-th of the step."""
    parts = make_parts(4)
    mine = threading.local()

    def stack(tensor: torch.Tensor) -> torch.Tensor:
        return torch.stack(mine.rank.gather(tensor))

    monkeypatch.setattr(codebook_updates, "stack_over_ranks", stack)
    monkeypatch.setattr(codebook_updates, "sum_over_ranks", lambda tensor: stack(tensor).sum(dim=0))

    def merge(rank: Distributed) -> CodebookStatistics:
        mine.rank = rank
        return over_ranks(parts[rank.rank :: 2])

    found = run_ranks(2, merge)
    monkeypatch.undo()
    wanted = over_ranks(parts)
    for merged in found:
        assert isinstance(merged, CodebookStatistics)
        assert torch.equal(merged.counts, wanted.counts)
        torch.testing.assert_close(merged.sums, wanted.sums)
        assert torch.equal(merged.candidates, wanted.candidates)
        assert torch.equal(merged.is_candidate, wanted.is_candidate)
