"""Steps on memory of a fixed size equal those on memory that grows; a graph only replays them."""

from __future__ import annotations

import pytest
import torch

from gsv2.inference import cached_backbone
from gsv2.inference.cached_backbone import CachedBackbone
from gsv2.inference.generate import embed_utterances
from tests.support.generating_gpt import make_gpt, make_utterances

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@torch.inference_mode()
def test_fixed_places_give_what_growing_ones_give_when_rows_go_and_places_end(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of different lengths; places end twice, and a row is dropped in between."""
    monkeypatch.setattr(cached_backbone, "_MORE_PLACES", 4)
    model = make_gpt().to(device)
    inputs, mask = embed_utterances(model, make_utterances())
    growing, fixed = CachedBackbone(model, mask), CachedBackbone(model, mask)
    growing._has_own_memory, fixed._has_own_memory = False, True
    torch.testing.assert_close(fixed(inputs), growing(inputs))
    rng = torch.Generator().manual_seed(0)
    rows = torch.arange(len(mask))
    seen = []
    for step in range(3 * mask.shape[1]):
        if step == 5:
            kept = torch.tensor([0, len(rows) - 1])
            growing.keep(kept.to(device))
            fixed.keep(kept.to(device))
            rows = rows[kept]
        drawn = torch.randn(len(rows), 1, inputs.shape[2], generator=rng).to(inputs)
        seen.append(fixed(drawn))
        torch.testing.assert_close(seen[-1], growing(drawn), atol=1e-5, rtol=1e-4)
    assert fixed._step is not None
    assert not torch.equal(seen[-1], seen[-2]), "an earlier result is not overwritten"
    full = CachedBackbone(model, mask)
    assert full._has_own_memory == (device == "cuda")
