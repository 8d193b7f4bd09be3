"""What a step of the waveform stage costs, beside what torch counts while it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel

from gsv2.data.stream.batch import Batch
from gsv2.nn.flops import flop_counter
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import GENERATOR
from gsv2.stages.vits2_inputs import make_inputs
from tests.support.tiny_text_vits2 import ADVERSARIAL, make_text_stage
from tests.support.tiny_vits2 import ISTFT, TINY, make_batch, make_run_stage, make_stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> VITS2Stage:
    return make_stage(tmp_path_factory.mktemp("quantizer"))


TEXTS = ("some words of a text", "as many words again.")


@pytest.fixture(
    scope="module",
    params=[
        "told",
        pytest.param("adversarial", marks=pytest.mark.slow),
        pytest.param("stochastic", marks=pytest.mark.slow),
    ],
)
def reading_stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> VITS2Stage:
    """A stage that reads text beside codes, or alone."""
    folder = tmp_path_factory.mktemp("reading")
    if request.param == "stochastic":
        return make_text_stage(folder)
    if request.param == "adversarial":
        return make_text_stage(folder, 8, **ADVERSARIAL)
    shallow = {"generator": {**ISTFT, "istft": {"dim": 16, "num_blocks": 1}}}
    told = {**TINY["generator"], **shallow, "content_text": {"num_layers": 1}}
    return make_run_stage(folder, {"periods": [2]}, generator=told)


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


@pytest.mark.long
def test_texts_cost_what_torch_counts_of_them(
    reading_stage: VITS2Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal lengths again, of clips and of texts."""
    batch = replace(make_batch((34, 34)), texts=TEXTS)
    counted = count_step(reading_stage, batch, monkeypatch)
    flops = reading_stage.flops(batch)
    assert flops.keys() == reading_stage.trainables.keys()
    assert sum(flops.values()) == pytest.approx(counted, rel=1e-9)


def test_padding_of_texts_costs_nothing(reading_stage: VITS2Stage) -> None:
    together, one, other = (
        sum(reading_stage.flops(replace(make_batch(frames), texts=texts)).values())
        for frames, texts in (
            ((40, 22), (TEXTS[0], "ab")),
            ((40,), TEXTS[:1]),
            ((22,), ("ab",)),
        )
    )
    assert together == pytest.approx(one + other)


def test_padding_costs_nothing(stage: VITS2Stage) -> None:
    together = stage.flops(make_batch((40, 12)))
    apart = [stage.flops(make_batch((length,)))[GENERATOR] for length in (40, 12)]
    assert together[GENERATOR] == pytest.approx(sum(apart))
