from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.inference.clip_aligner import ClipAligner
from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.stages.gpt import GPTStage
from gsv2.stages.joint import JointStage
from gsv2.stages.joint_rows import pack_rows
from gsv2.stages.vits2 import VITS2Stage
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.precision.policy import PrecisionError
from gsv2.training.prepare import attach_engines
from gsv2.training.stage import Stage
from gsv2.training.step import StepRunner
from tests.support import tiny_gpt, tiny_vits2
from tests.support.made_up_flops import MadeUpFlops
from tests.support.run_step import run_step
from tests.support.tiny_aligner import save_aligner
from tests.support.tiny_joint import make_batch, make_config, make_stage

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CPU = torch.device("cpu")
UPDATES = ("gpt", "discriminator", "generator")


@pytest.fixture
def stage(tmp_path: Path) -> JointStage:
    return make_stage(tmp_path)


def parts_of(stage: JointStage, folder: Path) -> tuple[Stage, Stage]:
    """Return the stages that train alone what `stage` trains, at its weights."""
    quantizer = folder / "quantizer.safetensors"
    config = tiny_vits2.make_config(quantizer)
    gpt_config = replace(tiny_gpt.make_config(quantizer), trainer=config.trainer)
    parts = GPTStage(gpt_config, CPU), VITS2Stage(config, CPU)
    for part in parts:
        for name, trainable in part.trainables.items():
            trainable.module.load_state_dict(stage.trainables[name].module.state_dict())
    return parts


def take_step(stage: Stage, batch: Batch, step: int) -> dict[str, float]:
    """Do what the Trainer does; the noise of an update depends on its trainable and step."""
    updates, terms = stage.updates(batch, step), {}
    for phase, name in enumerate(UPDATES):
        if name in stage.trainables:
            torch.manual_seed(10 * step + phase)
            update = next(updates)
            assert update.trainable == name
            update.loss.backward()
            trainable = stage.trainables[name]
            trainable.optimizer.step()
            trainable.scheduler.step()
            trainable.optimizer.zero_grad(set_to_none=True)
            terms |= {key: float(value) for key, value in update.metrics.items()}
    assert next(updates, None) is None
    return terms


def test_steps_change_each_network_to_the_bit_as_its_own_stage_does(
    stage: JointStage, tmp_path: Path
) -> None:
    parts = parts_of(stage, tmp_path)
    assert set(stage.trainables) == {name for part in parts for name in part.trainables}
    for step in (1, 2, 3):
        batch = make_batch((21, 12, 4 + step))
        packed = pack_rows(batch, stage.gpt.tokens(batch).tolist())
        gpt, vits2 = parts
        alone = {**take_step(gpt, packed, step), **take_step(vits2, batch, step)}
        terms = take_step(stage, batch, step)
        assert 0 <= terms.pop("gpt/padding") < 0.2
        assert terms == alone
    for part in parts:
        for name, trainable in part.trainables.items():
            for key, value in trainable.module.state_dict().items():
                together = stage.trainables[name].module.state_dict()[key]
                assert torch.equal(together, value), f"{name}.{key}"


@pytest.mark.parametrize("num_frames", [(21, 12, 5), ()])
def test_each_update_trains_all_of_its_network_and_nothing_of_the_others(
    stage: JointStage, num_frames: tuple[int, ...]
) -> None:
    """A batch without clips too, whose losses and gradients are zeros."""
    updates = stage.updates(make_batch(num_frames), 1)
    for name in UPDATES:
        update = next(updates)
        update.loss.backward()
        assert update.trainable == name
        assert bool(update.loss) == bool(num_frames)
        for other, trainable in stage.trainables.items():
            gradients = [p.grad for p in trainable.module.parameters()]
            if other == name:
                assert all(g is not None for g in gradients)
                assert num_frames or not any(g.any() for g in gradients)
            else:
                assert all(g is None for g in gradients), other
            trainable.module.zero_grad(set_to_none=True)
    assert next(updates, None) is None


def test_the_trainer_takes_its_steps_also_with_a_micro_batch_that_has_no_clip(
    stage: JointStage,
) -> None:
    """Gradients are watched in the first step."""
    attach_engines(stage.trainables, {}, Distributed())
    runner = StepRunner(stage, Distributed(), seed=0)
    empty = replace(make_batch(()), micro_batch=1, weight=0.0)
    for step in (1, 2):
        result = run_step(runner, [make_batch(), empty], step)
        assert result.skipped == 0
        assert {f"{name}/grad_norm" for name in UPDATES} <= result.figures.keys()
    assert all(trainable.scheduler.last_epoch == 2 for trainable in stage.trainables.values())


def test_what_it_counts_and_shows_is_that_of_its_parts(
    stage: JointStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gsv2.stages.vits2_flops.VITS2Flops", MadeUpFlops)
    gpt, vits2 = parts_of(stage, tmp_path)
    for batch in (make_batch(), replace(make_batch(()), weight=0.0)):
        both = {**gpt.num_targets(batch), **vits2.num_targets(batch)}
        assert stage.num_targets(batch) == both
        assert set(both) == set(UPDATES)
        expected = {**gpt.validate(batch), **vits2.validate(batch)}
        torch.testing.assert_close(dict(stage.validate(batch)), expected, rtol=0, atol=0)
    batch = make_batch()
    assert stage.codes.num_codebooks == 2
    assert stage.flops(batch) == {**gpt.flops(batch), **vits2.flops(batch)}
    assert stage.flops(batch).keys() == set(UPDATES)
    assert stage.flops(batch)["generator"] == 21 + 12 + 5
    assert stage.workload(batch).samples == (21 * 640, 12 * 640, 5 * 640)
    assert stage.workload(batch).tokens == gpt.workload(batch).tokens > 0
    panels = zip(stage.panels(batch), vits2.panels(batch), gpt.panels(batch), strict=True)
    for panel, wave, codes in panels:
        assert panel.name == wave.name == codes.name
        torch.testing.assert_close(panel.waves, wave.waves, rtol=0, atol=0)
        torch.testing.assert_close(panel.images, codes.images, rtol=0, atol=0)


def test_all_networks_carry_the_hash_of_the_one_quantizer(
    stage: JointStage, tmp_path: Path
) -> None:
    component = load_component(tmp_path / "quantizer.safetensors", "quantizer")
    fingerprint = Quantizer.from_component(component).fingerprint()
    for trainable in stage.trainables.values():
        assert trainable.provenance == {"quantizer": fingerprint}


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        (
            {"vocoder": "bf16"},
            r"precision\.vocoder: .* has gpt, generator, discriminator, losses$",
        ),
        ({"gpt": "half"}, r"precision\.gpt must be one of fp32, bf16, fp16, but is 'half'"),
        ({"losses": "bf16"}, r"precision\.losses must be fp32, but is bf16"),
    ],
)
def test_a_precision_that_cannot_be_is_refused_in_the_words_of_the_whole_stage(
    tmp_path: Path, precision: dict[str, str], message: str
) -> None:
    with pytest.raises(PrecisionError, match=message):
        make_stage(tmp_path, precision=precision)


def test_each_part_computes_in_the_dtypes_of_the_one_policy(tmp_path: Path) -> None:
    precision = {"gpt": "bf16", "discriminator": "fp16", "losses": "fp32"}
    stage = make_stage(tmp_path, precision=precision)
    expected = {"gpt": "bf16", "generator": "fp32", "discriminator": "fp16", "losses": "fp32"}
    assert stage.precision.table() == expected
    for part in (stage.gpt, stage.vits2):
        assert part.precision.table().items() <= expected.items()


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_an_optimizer_too_few_or_too_many_is_refused(tmp_path: Path, change: str) -> None:
    quantizer = tiny_gpt.save_quantizer(tmp_path / "quantizer.safetensors")
    config = make_config(quantizer)
    optim = {"gpt": config.optim["gpt"]}
    if change == "unknown":
        optim = {**config.optim, "vocoder": config.optim["gpt"]}
    message = rf"optim must have gpt and generator and discriminator only, but has .*{[*optim][-1]}"
    with pytest.raises(ValueError, match=message):
        JointStage(replace(config, optim=optim), CPU)


@pytest.mark.parametrize("pattern", ["depth", "delay", "parallel", "flatten", "nar"])
def test_tokens_are_not_counted_where_frames_are(tmp_path: Path, pattern: str) -> None:
    """A pattern of more tokens than `data.steps_per_frame` says needs no other number there."""
    config = make_config(tiny_gpt.save_quantizer(tmp_path / "quantizer.safetensors"))
    gpt = replace(config.model.gpt, pattern=pattern)
    stage = JointStage(replace(config, model=replace(config.model, gpt=gpt)), CPU)
    assert all(torch.isfinite(update.loss) for update in stage.updates(make_batch(), 1))


def test_its_gpt_aligns_codes_that_nobody_has_aligned_if_it_reads_by_a_pointer(
    stage: JointStage, tmp_path: Path
) -> None:
    assert (stage.members, stage.align_clip) == (("audio", "codes"), None)
    aligner = tmp_path / "aligner.safetensors"
    save_aligner(aligner, stage.gpt.quantizer_hash, codebook_size=tiny_gpt.V)
    config = make_config(tmp_path / "quantizer.safetensors")
    gpt = replace(config.model.gpt, reading="pointer")
    model = replace(config.model, gpt=gpt, aligner=str(aligner))
    pointer = JointStage(replace(config, model=model), CPU)
    assert pointer.members == ("audio", "codes", "align")
    assert isinstance(pointer.align_clip, ClipAligner)
    assert pointer.align_clip.source == aligner
