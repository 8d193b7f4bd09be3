from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gsv2.data.stream.batch import Batch
from gsv2.models.vits2.flops import VITS2Flops
from gsv2.nn.flops import flop_counter
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import GENERATOR
from gsv2.stages.vits2_inputs import make_inputs
from tests.support.tiny_vits2 import make_batch, make_stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> VITS2Stage:
    return make_stage(tmp_path_factory.mktemp("quantizer"))


def count_step(stage: VITS2Stage, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return what torch counts in both networks while a step runs for real."""
    with flop_counter() as of_mel:
        make_inputs(batch, stage.trainables[GENERATOR].module)
    # The products of a loss are not those of a network.
    monkeypatch.setattr(stage, "_loss_mels", lambda wave: [wave])
    with sdpa_kernel(SDPBackend.MATH), flop_counter() as counter:
        for update in stage.updates(batch, 1):
            update.loss.backward()
    return counter.get_total_flops() - of_mel.get_total_flops()


def test_a_step_costs_what_torch_counts_in_a_real_one(
    stage: VITS2Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal clips, so that there is no padding; of a length that was not probed."""
    batch = make_batch((34, 34))
    counted = count_step(stage, batch, monkeypatch)
    assert sum(stage.flops(batch).values()) == pytest.approx(counted, rel=1e-9)


def test_padding_costs_nothing(stage: VITS2Stage) -> None:
    together = stage.flops(make_batch((40, 12)))
    apart = [stage.flops(make_batch((length,)))[GENERATOR] for length in (40, 12)]
    assert together[GENERATOR] == pytest.approx(sum(apart))


def test_counting_takes_no_random_numbers(stage: VITS2Stage) -> None:
    """Else a run with a known peak would differ from one without."""
    state = torch.get_rng_state()
    assert VITS2Flops(stage.model_config, stage.section.discriminator, 8).judgement > 0
    assert torch.equal(state, torch.get_rng_state())
