"""The waveform stage whose prior reads text: updates, what they train, validation, config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.config import ConfigError
from gsv2.stages import members_of
from gsv2.stages.vits2 import VITS2Stage
from tests.support.tiny_text_vits2 import (
    ADVERSARIAL,
    NAMES,
    make_text_batch,
    make_text_stage,
    text_config,
)
from tests.support.tiny_vits2 import make_batch, make_config

TERMS = ("adversarial", "feature_matching", "mel", "kl", "duration")


def train(stage: VITS2Stage, steps: int) -> list[dict[str, float]]:
    """Do what the Trainer does with one micro-batch a step."""
    found = []
    for step in range(1, steps + 1):
        terms: dict[str, float] = {}
        for update in stage.updates(make_text_batch(), step):
            trainable = stage.trainables[update.trainable]
            update.loss.backward()
            trainable.optimizer.step()
            trainable.optimizer.zero_grad(set_to_none=True)
            terms |= {name: float(value) for name, value in update.metrics.items()}
        found.append(terms)
    return found


@pytest.mark.parametrize("judge_channels", [0, 8])
def test_each_update_trains_all_of_its_network_and_nothing_of_the_others(
    tmp_path: Path, judge_channels: int
) -> None:
    stage = make_text_stage(tmp_path, judge_channels, **(ADVERSARIAL if judge_channels else {}))
    yielded = []
    for update in stage.updates(make_text_batch(), 1):
        update.loss.backward()
        yielded.append(update.trainable)
        for name, trainable in stage.trainables.items():
            has_gradient = [p.grad is not None for p in trainable.module.parameters()]
            assert all(has_gradient) if name == update.trainable else not any(has_gradient)
            trainable.module.zero_grad(set_to_none=True)
    assert yielded == [NAMES[1], *NAMES[2:][: bool(judge_channels)], NAMES[0]]
    terms = {*TERMS, "duration_adversarial"} if judge_channels else {*TERMS}
    assert set(update.metrics) == {f"generator/{term}" for term in terms}


def test_it_learns_the_durations_and_the_prior_of_a_few_clips(tmp_path: Path) -> None:
    stage = make_text_stage(tmp_path)
    terms = train(stage, 40)
    for name, fall in (("mel", 1.5), ("duration", 0.3), ("kl", 0.5)):
        first, last = (
            sum(t[f"generator/{name}"] for t in part) for part in (terms[:5], terms[-5:])
        )
        assert last < first - 5 * fall, name


def test_a_text_longer_than_its_audio_changes_nothing_that_is_learnt_of_it(tmp_path: Path) -> None:
    """The one clip alone is no target of prior and durations, but of the waveform."""
    stage = make_text_stage(tmp_path)
    *_, update = stage.updates(make_text_batch(("text of more bytes than there are frames",)), 1)
    assert update.metrics["generator/kl"] == 0
    assert update.metrics["generator/duration"] == 0
    assert update.metrics["generator/mel"] > 0


def test_a_batch_without_a_clip_changes_nothing(tmp_path: Path) -> None:
    stage = make_text_stage(tmp_path, 8, **ADVERSARIAL)
    empty = replace(make_batch(()), codes=None, code_lengths=None)
    assert set(stage.num_targets(empty).values()) == {0}
    for update in stage.updates(empty, 1):
        update.loss.backward()
        for parameter in stage.trainables[update.trainable].module.parameters():
            assert parameter.grad is not None
            assert (parameter.grad == 0).all()


def test_validation_speaks_texts_as_long_as_recorded_and_says_how_long_they_would_be(
    tmp_path: Path,
) -> None:
    stage = make_text_stage(tmp_path)
    stage.trainables["generator"].module.eval()
    figures = stage.validate(make_text_batch())
    names = {"mel_through_text", "mel_through_posterior", "length_error"}
    assert set(figures) == {f"generator/{name}" for name in names}
    assert all(torch.isfinite(value) for value in figures.values())
    panels = stage.panels(make_text_batch())
    assert list(panels[0].waves) == ["recording", "through_text", "through_posterior"]


def test_noise_on_the_alignment_falls_to_0(tmp_path: Path) -> None:
    section = text_config(tmp_path).model
    assert section.alignment_noise_at(1) == 0.01
    assert section.alignment_noise_at(2501) == pytest.approx(0.005)
    assert section.alignment_noise_at(9999) == 0


def test_it_reads_no_codes_and_needs_no_quantizer(tmp_path: Path) -> None:
    config = text_config(tmp_path)
    assert members_of(config) == ("audio",)
    assert make_text_stage(tmp_path).codes is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantizer": "q"}, r"model\.quantizer must be left out for .*prior=text"),
        ({"duration_discriminator": {"channels": 8}}, "durations.kind is deterministic"),
        ({"alignment_noise": 1.5}, "alignment_noise must lie in 0..1"),
    ],
)
def test_what_only_one_prior_has_is_refused_by_name(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    generator = {"prior": "text"}
    with pytest.raises(ConfigError, match=message):
        make_config(tmp_path / "none", model={"generator": generator, **changes})


def test_codes_need_a_quantizer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must name a quantizer, but is empty"):
        make_config(tmp_path / "none", model={})
