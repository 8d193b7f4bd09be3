"""Codebooks while they train."""

import pytest
import torch

from gsv2.models.component import load_component
from gsv2.models.quantizer.model import HASH_KEY, Quantizer
from gsv2.nn.codebook_ema import CodebookStatistics
from gsv2.stages.codebook_updates import LiveFingerprint, over_ranks
from tests.support.tiny_gpt import save_quantizer


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
