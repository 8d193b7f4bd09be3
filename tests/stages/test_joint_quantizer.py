"""The joint stage that trains its quantizer first: quantizer, freeze, GPT, in one launch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.stages import members_of
from gsv2.stages.joint import JointRunConfig, JointStage
from gsv2.stages.joint_rows import pack_rows
from tests.support.hand_made_batches import no_clips
from tests.support.made_up_flops import MadeUpFlops
from tests.support.tiny_joint import make_live_config
from tests.support.tiny_live_quantizer import audio

WAVES, GPT = ["generator", "quantizer"], ["gpt", "generator"]


def clips() -> Batch:
    return replace(audio(), texts=("tone", "a", "b"))


def make_stage(folder: Path) -> JointStage:
    torch.manual_seed(0)
    stage = JointStage(make_live_config(folder), torch.device("cpu"))
    stage.initialise([clips()] * 3)
    return stage


def take_step(stage: JointStage, step: int, batch: Batch) -> list[str]:
    torch.manual_seed(step)
    names = []
    for update in stage.updates(batch, step):
        update.loss.backward()
        trainable = stage.trainables[update.trainable]
        trainable.optimizer.step()
        trainable.optimizer.zero_grad(set_to_none=True)
        names.append(update.trainable)
    return names


def test_the_gpt_begins_when_the_quantizer_is_frozen_and_reads_its_codes(tmp_path: Path) -> None:
    """In the end all three know each other by one hash."""
    stage = make_stage(tmp_path)
    gpt, quantizer = (stage.trainables[name].module for name in ("gpt", "quantizer"))
    before = [parameter.clone() for parameter in gpt.parameters()]
    assert [take_step(stage, step, clips()) for step in (1, 2)] == [WAVES] * 2
    assert all(torch.equal(*pair) for pair in zip(before, gpt.parameters(), strict=True))
    assert [take_step(stage, step, clips()) for step in (3, 4)] == [GPT] * 2
    assert not all(torch.equal(*pair) for pair in zip(before, gpt.parameters(), strict=True))
    assert quantizer.frozen
    assert gpt.audio_input.vectors.codebooks.equal(quantizer.codebooks.entries)
    hashes = {stage.trainables[name].provenance["quantizer"] for name in ("gpt", "generator")}
    assert hashes == {quantizer.fingerprint()}


def test_its_loss_is_that_of_a_gpt_stage_which_is_given_the_codes(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    for step in (1, 2, 3):
        take_step(stage, step, clips())
    coded = stage.quantizer.with_codes(clips())
    expected = next(stage.gpt.updates(pack_rows(coded, stage.gpt.tokens(coded).tolist()), 4))
    found = next(stage.updates(clips(), 4))
    assert found.trainable == "gpt"
    torch.testing.assert_close(found.loss, expected.loss, rtol=0, atol=0)


def test_targets_and_work_are_counted_without_codes_and_the_gpts_only_when_it_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gsv2.stages.vits2_flops.VITS2Flops", MadeUpFlops)
    stage, batch = make_stage(tmp_path), clips()
    lengths = stage.quantizer.with_codes(batch).code_lengths
    assert stage.num_targets(batch)["gpt"] == lengths.sum()
    assert stage.num_targets(batch)["generator"] == 3
    take_step(stage, 1, batch)
    assert stage.workload(batch).tokens == 0
    assert "gpt" not in stage.flops(batch)
    assert not any(name.startswith("gpt/") for name in stage.validate(batch))
    assert not any(panel.images for panel in stage.panels(batch))
    take_step(stage, 3, batch)
    assert stage.workload(batch).tokens > 0
    assert stage.flops(batch)["gpt"] > 0
    assert "gpt/nats_per_frame" in stage.validate(batch)
    assert all(panel.images for panel in stage.panels(batch))


def test_a_step_on_trial_behind_the_freeze_leaves_the_quantizer_to_train(tmp_path: Path) -> None:
    """As the dry run has, which looks at the step that needs the most memory."""
    stage = make_stage(tmp_path)
    assert stage.full_step == 3
    for update in stage.updates(clips(), stage.full_step):
        update.loss.backward()
        stage.trainables[update.trainable].optimizer.zero_grad(set_to_none=True)
    assert take_step(stage, 1, clips()) == WAVES
    assert all(p.requires_grad for p in stage.trainables["quantizer"].module.parameters())


def test_a_batch_without_a_clip_takes_the_same_updates_and_changes_no_loss(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    for step, names in ((1, WAVES), (3, GPT)):
        found = []
        for update in stage.updates(no_clips(), step):
            update.loss.backward()
            assert update.loss.item() == 0
            found.append(update.trainable)
        assert found == names


def test_it_reads_audio_alone(tmp_path: Path) -> None:
    assert members_of(make_live_config(tmp_path)) == ("audio",)
    stage = make_stage(tmp_path)
    assert stage.members == ("audio",)
    assert stage.codes is None


def test_a_gpt_that_would_never_learn_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_live_config(tmp_path, until_step=5)
    JointStage(replace(config, trainer=replace(config.trainer, max_steps=5)), torch.device("cpu"))
    assert "until_step (5) is not below trainer.max_steps (5): the GPT never" in caplog.text


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("init", {"gpt": "run"}, "init.gpt must be none for model.trained_quantizer"),
        ("model", {"aligner": "run"}, "needs model.gpt.reading=attention and no model.aligner"),
    ],
)
def test_what_cannot_wait_for_codes_is_refused_by_name(
    tmp_path: Path, section: str, changes: dict[str, Any], message: str
) -> None:
    config = make_live_config(tmp_path)
    values = {section: replace(getattr(config, section), **changes)}
    with pytest.raises(ValueError, match=message):
        JointRunConfig(**(vars(config) | values))
