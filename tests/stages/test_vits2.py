"""The two updates of a GAN, and what they train; the rest: test_vits2_validation.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.models.component import load_component, save_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.models.vits2.model import VITS2
from gsv2.stages.vits2 import VITS2Stage
from tests.support.tiny_vits2 import (
    OPTIM,
    TINY,
    make_batch,
    make_config,
    make_run_stage,
    make_stage,
)

TERMS = {f"generator/{term}" for term in ("adversarial", "feature_matching", "mel", "kl")}


@pytest.fixture
def stage(tmp_path: Path) -> VITS2Stage:
    return make_stage(tmp_path)


def take_step(stage: VITS2Stage, batch: Batch, step: int) -> dict[str, float]:
    """Do what the Trainer does, for one micro-batch."""
    terms = {}
    for update in stage.updates(batch, step):
        trainable = stage.trainables[update.trainable]
        update.loss.backward()
        trainable.optimizer.step()
        trainable.optimizer.zero_grad(set_to_none=True)
        terms |= {name: float(value) for name, value in update.metrics.items()}
    return terms


def missing_gradients(module: torch.nn.Module) -> list[str]:
    return [name for name, p in module.named_parameters() if p.grad is None]


@pytest.mark.parametrize("num_frames", [(21, 12, 5), ()])
def test_each_update_trains_all_of_its_network_and_nothing_of_the_other(
    stage: VITS2Stage, num_frames: tuple[int, ...]
) -> None:
    generator, discriminator = (t.module for t in stage.trainables.values())
    updates = stage.updates(make_batch(num_frames), 1)
    first = next(updates)
    assert first.trainable == "discriminator"
    first.loss.backward()
    assert missing_gradients(discriminator) == []
    assert all(p.grad is None for p in generator.parameters())
    discriminator.zero_grad(set_to_none=True)
    second = next(updates)
    assert second.trainable == "generator"
    assert set(second.metrics) == TERMS
    second.loss.backward()
    assert missing_gradients(generator) == []
    assert all(p.grad is None for p in discriminator.parameters())
    assert all(p.requires_grad for p in discriminator.parameters())
    assert next(updates, None) is None


def test_one_pass_of_the_generator_serves_both_updates(stage: VITS2Stage) -> None:
    passes: list[object] = []
    stage.trainables["generator"].module.register_forward_hook(lambda *_: passes.append(None))
    take_step(stage, make_batch(), 1)
    assert len(passes) == 1


def test_a_batch_without_a_clip_has_no_target_and_changes_nothing(stage: VITS2Stage) -> None:
    empty = make_batch(())
    assert stage.num_targets(empty) == {"generator": 0, "discriminator": 0}
    assert stage.num_targets(make_batch()) == {"generator": 3, "discriminator": 3}
    assert stage.num_targets(replace(make_batch(), weight=0.0)) == stage.num_targets(empty)
    for update in stage.updates(empty, 1):
        assert update.loss.item() == 0
        assert all(value == 0 for value in update.metrics.values())
        update.loss.backward()
        for parameter in stage.trainables[update.trainable].module.parameters():
            assert parameter.grad is not None
            assert (parameter.grad == 0).all()


def test_a_few_steps_bring_the_wave_closer(stage: VITS2Stage) -> None:
    torch.manual_seed(0)
    batch = make_batch()
    terms = [take_step(stage, batch, step) for step in range(1, 31)]
    first, last = terms[0]["generator/mel"], terms[-1]["generator/mel"]
    assert last < 0.8 * first, (first, last)


def test_a_harmonic_source_learns_the_pitch_of_recordings(tmp_path: Path) -> None:
    istft = {"dim": 16, "num_blocks": 2, "source": "harmonic"}
    generator = {**TINY["generator"], "generator": {"kind": "istft", "istft": istft}}
    stage = make_run_stage(tmp_path, {"start_step": 100}, generator=generator)
    torch.manual_seed(0)
    batch = make_batch()  # tones of 200, 280 and 360 Hz
    terms = [take_step(stage, batch, step)["generator/pitch"] for step in range(1, 51)]
    assert sum(terms[-10:]) < 0.65 * sum(terms[:10])


def test_components_are_self_contained_and_know_their_quantizer(
    stage: VITS2Stage, tmp_path: Path
) -> None:
    component = load_component(Path(stage.section.quantizer), "quantizer")
    quantizer = Quantizer.from_component(component)
    trainable = stage.trainables["generator"]
    assert trainable.provenance == {"quantizer": quantizer.fingerprint()}
    assert stage.trainables["discriminator"].provenance == trainable.provenance
    path = tmp_path / "generator.safetensors"
    save_component(
        path,
        trainable.module,
        kind=trainable.kind,
        config=trainable.config,
        provenance=trainable.provenance,
    )
    model = VITS2.from_component(load_component(path, "vits2"))
    assert torch.equal(model.code_vectors.codebooks, quantizer.code_vectors().codebooks)


def test_the_features_of_codes_are_the_quantizers_and_travel_with_the_model(
    stage: VITS2Stage, tmp_path: Path
) -> None:
    file = Path(stage.section.quantizer)
    generator = {
        **TINY["generator"],
        "content_input": "features",
        "posterior_input": "mel",
    }
    model = {"quantizer": str(file), **TINY, "generator": generator}
    torch.manual_seed(0)
    reading = VITS2Stage(make_config(file, model=model), stage.device)
    for update in reading.updates(make_batch(), 1):
        update.loss.backward()
    assert missing_gradients(reading.trainables["generator"].module) == []
    trainable = reading.trainables["generator"]
    path = tmp_path / "generator.safetensors"
    save_component(path, trainable.module, kind="vits2", config=trainable.config, provenance={})
    loaded = VITS2.from_component(load_component(path, "vits2"))
    assert loaded.code_features is not None
    decoder = Quantizer.from_component(load_component(file, "quantizer")).decoder.state_dict()
    for name, value in loaded.code_features.decoder.state_dict().items():
        assert torch.equal(value, decoder[name])


def test_an_unknown_name_in_optim_is_refused(stage: VITS2Stage, tmp_path: Path) -> None:
    config = make_config(tmp_path / "quantizer.safetensors", optim={"generatr": OPTIM})
    with pytest.raises(ValueError, match="optim must have generator and discriminator only"):
        VITS2Stage(config, stage.device)


def test_a_workload_is_the_audio_without_padding(stage: VITS2Stage) -> None:
    assert stage.workload(make_batch()).samples == (21 * 640, 12 * 640, 5 * 640)
