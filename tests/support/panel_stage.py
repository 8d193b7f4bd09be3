"""The toy with something to show."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gsv2.data.stream.batch import Batch
from gsv2.training.stage import Panel
from tests.support.toy_stage import NUM_SAMPLES, ToyStage


class ShowingStage(ToyStage):
    """Shows what its generator makes of noise."""

    def panels(self, batch: Batch) -> Sequence[Panel]:
        generator = self.trainables["generator"].module
        assert not generator.training
        assert not torch.is_grad_enabled()
        noise = torch.randn(batch.num_clips, NUM_SAMPLES, device=batch.sequence.device)
        waves = generator(noise).repeat(1, 100)
        return [
            Panel(name=key, waves={"made": wave})
            for key, wave in zip(batch.keys, waves, strict=True)
        ]
