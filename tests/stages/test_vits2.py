from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from gsv2.audio.ssl import SpeechFeatures
from gsv2.config import ConfigError, config_to_dict, load_config
from gsv2.data.batch import Batch
from gsv2.models.component import load_component, save_component
from gsv2.models.discriminators import MultiDiscriminator
from gsv2.models.quantizer import Quantizer, QuantizerConfig
from gsv2.models.vits2.model import VITS2
from gsv2.nn.codes import CodeConfig
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import LossWeights, VITS2RunConfig
from tests.stages.parts import make_clips

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "vits2"
CPU = torch.device("cpu")
WAVENET = {"channels": 8, "num_layers": 1, "kernel_size": 3}
BLOCK = {"num_heads": 1, "ffn_dim": 16, "dropout": 0.0}
OPTIM = {"lr": 2e-3, "betas": [0.8, 0.99], "max_grad_norm": 1000.0}
TINY = {
    "generator": {
        "channels": 8,
        "latent_channels": 8,
        "content": {"num_layers": 3, "block": BLOCK},
        "style": {"dim": 8, "channels": 8, "dropout": 0.0},
        "posterior": WAVENET,
        "flow": {"num_couplings": 2, "wavenet": WAVENET, "block": BLOCK},
        "generator": {
            "channels": 32,
            "stage_channels": [16, 16, 8, 8, 8],
            "block_kernels": [3],
            "block_dilations": [1],
        },
    },
    "discriminator": {"periods": [2, 3], "period_channels": [4, 8], "scale_channels": [4, 8, 8]},
    "segment_frames": 8,
}
TERMS = {f"generator/{term}" for term in ("adversarial", "feature_matching", "mel", "kl")}


@pytest.fixture
def quantizer(tmp_path: Path) -> tuple[Path, Quantizer]:
    torch.manual_seed(0)
    config = QuantizerConfig(codes=CodeConfig(codebook_size=16, dim=8), width=8, num_blocks=1)
    made = Quantizer(config)
    frames = SpeechFeatures(torch.randn(4, 40, 160), torch.ones(4, 40, dtype=torch.bool))
    made.initialise([frames], frames_per_step=100)
    path = tmp_path / "quantizer.safetensors"
    save_component(
        path,
        made,
        kind="quantizer",
        config=config_to_dict(config),
        provenance={"quantizer": made.fingerprint()},
    )
    return path, made


@pytest.fixture
def stage(quantizer: tuple[Path, Quantizer]) -> VITS2Stage:
    torch.manual_seed(0)
    return VITS2Stage(make_config(quantizer[0]), CPU)


def make_config(quantizer_file: Path, **sections: object) -> VITS2RunConfig:
    values = {
        "stage": "vits2",
        "run": {"name": "test"},
        "data": {"sources": [{"path": "nowhere"}], "max_frames": 100},
        "trainer": {"max_steps": 50},
        "model": {"quantizer": str(quantizer_file), **TINY},
        "optim": {"generator": OPTIM, "discriminator": OPTIM},
        **sections,
    }
    file = quantizer_file.with_name("vits2.yaml")
    file.write_text(yaml.safe_dump(values))
    return load_config(file, [], {"vits2": VITS2RunConfig})


def make_batch(num_frames: tuple[int, ...] = (21, 12, 5), num_codebooks: int = 2) -> Batch:
    """Return tones of one voice, the last shorter than a segment."""
    generator = torch.Generator().manual_seed(0)
    C, T = len(num_frames), max(num_frames, default=0)
    wave = torch.zeros(C, 1, T * 640)
    codes = torch.full((C, num_codebooks, (T + 1) // 2), -1)
    for index, frames in enumerate(num_frames):
        time = torch.arange(frames * 640) / 32_000
        wave[index, 0, : frames * 640] = 0.1 * torch.sin(2 * torch.pi * (200 + 80 * index) * time)
        length = (frames + 1) // 2
        codes[index, :, :length] = torch.randint(16, (num_codebooks, length), generator=generator)
    frames = torch.tensor(num_frames, dtype=torch.int64)
    return make_clips(
        (0,) * C,
        texts=("",) * C,
        wave=wave,
        wave_lengths=frames * 640,
        codes=codes,
        code_lengths=(frames + 1) // 2,
    )


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
    assert all(value == 0 for value in stage.validate(empty).values())


def test_a_few_steps_bring_the_wave_closer(stage: VITS2Stage) -> None:
    torch.manual_seed(0)
    batch = make_batch()
    terms = [take_step(stage, batch, step) for step in range(1, 31)]
    first, last = terms[0]["generator/mel"], terms[-1]["generator/mel"]
    assert last < 0.8 * first, (first, last)


def test_validation_does_not_depend_on_padding_or_noise(stage: VITS2Stage) -> None:
    for trainable in stage.trainables.values():
        trainable.module.eval()
    batch = make_batch((12,))
    assert batch.wave is not None
    assert batch.codes is not None
    padded = replace(
        batch,
        wave=torch.nn.functional.pad(batch.wave, (0, 7 * 640)),
        codes=torch.nn.functional.pad(batch.codes, (0, 4), value=-1),
    )
    alone, together = stage.validate(batch), stage.validate(padded)
    assert set(alone) == {"generator/mel_through_codes", "generator/mel_through_posterior"}
    for name, value in alone.items():
        assert not value.requires_grad
        torch.testing.assert_close(together[name], value, rtol=0, atol=2e-3)


def test_components_are_self_contained_and_know_their_quantizer(
    stage: VITS2Stage, quantizer: tuple[Path, Quantizer], tmp_path: Path
) -> None:
    trainable = stage.trainables["generator"]
    assert trainable.provenance == {"quantizer": quantizer[1].fingerprint()}
    assert stage.trainables["discriminator"].provenance == trainable.provenance
    path = tmp_path / "generator.safetensors"
    save_component(
        path,
        trainable.module,
        kind=trainable.kind,
        config=trainable.config,
        provenance=trainable.provenance,
    )
    component = load_component(path, "vits2")
    model = VITS2.from_component(component)
    assert torch.equal(model.code_vectors.codebooks, quantizer[1].code_vectors().codebooks)


def test_an_unknown_name_in_optim_is_refused(quantizer: tuple[Path, Quantizer]) -> None:
    config = make_config(quantizer[0], optim={"generatr": OPTIM})
    with pytest.raises(ValueError, match="optim must have generator and discriminator"):
        VITS2Stage(config, CPU)


def test_a_probability_above_one_is_refused(quantizer: tuple[Path, Quantizer]) -> None:
    model = {"quantizer": str(quantizer[0]), "self_reference_probability": 1.5}
    with pytest.raises(ConfigError, match=r"must lie in 0\.\.1, but is 1\.5"):
        make_config(quantizer[0], model=model)


def test_the_weight_of_kl_rises_geometrically_to_its_value() -> None:
    weights = LossWeights(kl=2.0, kl_warmup_steps=30)
    assert [weights.kl_at(step) for step in (10, 20)] == pytest.approx([0.02, 0.2])
    assert [weights.kl_at(step) for step in (30, 31)] == [2.0, 2.0]
    assert LossWeights().kl_at(1) == 1.0


@pytest.mark.parametrize(
    ("name", "generator_millions", "discriminator_millions"),
    [("debug", 2.4, 0.2), ("base", 68.4, 46.7)],
)
def test_shipped_configs_build_at_their_size(
    name: str, generator_millions: float, discriminator_millions: float
) -> None:
    config = load_config(CONFIGS / f"{name}.yaml", [], {"vits2": VITS2RunConfig})
    with torch.device("meta"):
        modules = VITS2(config.model.generator), MultiDiscriminator(config.model.discriminator)
    sizes = [sum(p.numel() for p in module.parameters()) / 1e6 for module in modules]
    assert sizes == pytest.approx([generator_millions, discriminator_millions], rel=0.02)


def test_panels_are_each_clip_as_recorded_through_codes_and_through_the_posterior(
    stage: VITS2Stage,
) -> None:
    batch = make_batch()
    for trainable in stage.trainables.values():
        trainable.module.eval()
    panels = stage.panels(batch)
    assert [panel.name for panel in panels] == list(batch.keys)
    for panel, length in zip(panels, batch.wave_lengths, strict=True):
        assert list(panel.waves) == ["recording", "through_codes", "through_posterior"]
        assert {len(wave) for wave in panel.waves.values()} == {int(length)}
    assert torch.equal(panels[1].waves["recording"], batch.wave[1, 0, : 12 * 640])


def test_a_workload_is_the_audio_without_padding(stage: VITS2Stage) -> None:
    assert stage.workload(make_batch()).samples == (21 * 640, 12 * 640, 5 * 640)
