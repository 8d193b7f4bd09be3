from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.config import ConfigError, load_config, save_config
from gsv2.models.quantizer.model import QuantizerConfig
from gsv2.models.vits2.discriminators import MultiDiscriminator
from gsv2.models.vits2.model import VITS2
from gsv2.nn.codes import CodeConfig
from gsv2.stages import SCHEMAS as STAGES
from gsv2.stages.vits2_config import (
    LossWeights,
    VITS2ModelSection,
    VITS2RunConfig,
    fill_code_features,
)
from gsv2.training.optim import OptimConfig
from tests.support.tiny_vits2 import TINY, make_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "vits2"
SCHEMAS = {"vits2": VITS2RunConfig}


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return nested values with others in place of them."""
    result = dict(values)
    for key, change in changes.items():
        both = isinstance(change, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], change) if both else change
    return result


def read(folder: Path, **model: Any) -> VITS2RunConfig:
    """Return the config of a file whose tiny `model` section has these changes."""
    return make_config(folder / "q", model={"quantizer": "q", **merged(TINY, model)})


RATES = {"upsample_rates": [8, 8, 2, 2, 2]}
FINE = {"hop_length": 320}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"generator": {"generator": RATES}}, r"must be mel\.hop_length \(640\), but is 512"),
        ({"generator": {"mel": FINE}}, r"must be mel\.hop_length \(320\), but is 640"),
        ({"mel_loss": FINE}, r"mel_loss\.hop_length must be .*mel\.hop_length \(640\), but is 320"),
        (
            {"mel_loss": {"sample_rate": 16_000}},
            r"model\.mel_loss\.sample_rate must be .*mel\.sample_rate \(32000\), but is 16000",
        ),
        (
            {"generator": {"mel": {"sample_rate": 16_000}}, "mel_loss": {"sample_rate": 16_000}},
            r"model\.generator\.mel\.sample_rate must be that of corpora \(32000\), but is 16000",
        ),
    ],
)
def test_rates_that_do_not_fit_together_are_refused(
    tmp_path: Path, model: dict[str, Any], message: str
) -> None:
    """Trained so, frames would be cut, or compared, at other times than they stand for."""
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, **model)


def test_another_hop_that_all_of_them_share_is_taken(tmp_path: Path) -> None:
    rates = {"upsample_rates": [5, 8, 2, 2, 2], "upsample_kernels": [15, 16, 8, 2, 2]}
    config = read(tmp_path, generator={"mel": FINE, "generator": rates}, mel_loss=FINE)
    assert config.model.generator.frame_rate_hz == 100
    assert config.model.generator.generator.hop_length == 320


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("segment_frames", 0),
        ("segment_frames", -32),
        ("self_reference_probability", -0.1),
        ("self_reference_probability", 1.5),
        ("self_reference_probability", math.nan),
        ("loss_weights.feature_matching", -2.0),
        ("loss_weights.mel", math.nan),
        ("loss_weights.mel", math.inf),
        ("loss_weights.kl", -1.0),
        ("loss_weights.kl_warmup_steps", -1),
        ("loss_weights.kl_warmup_fraction", 1.5),
        ("loss_weights.stft", -1.0),
        ("loss_weights.adversarial", -1.0),
        ("discriminator.start_step", -1),
        ("discriminator.start_fraction", 1.5),
        ("discriminator.every_n_steps", 0),
    ],
)
def test_a_value_that_no_run_can_mean_is_refused_by_its_key(
    tmp_path: Path, name: str, value: float
) -> None:
    section, _, key = name.rpartition(".")
    model = {section: {key: value}} if section else {key: value}
    with pytest.raises(ConfigError, match=rf"model\.{name} must .*, but is {value}$"):
        read(tmp_path, **model)


def test_a_model_without_a_quantizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.quantizer must name a quantizer, but is empty"):
        read(tmp_path, quantizer="")
    with pytest.raises(ConfigError, match=r"model\.quantizer"):
        make_config(tmp_path / "q", model=TINY)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"segment_frame": 8}, r"model\.segment_frame: .*segment_frames"),
        ({"generator": {"chanels": 8}}, r"model\.generator\.chanels: .*channels"),
        ({"generator": {"generator": {"rates": [2]}}}, r"model\.generator\.generator\.rates: "),
        ({"discriminator": {"period": [2]}}, r"model\.discriminator\.period: .*periods"),
        ({"discriminator": {"start": 2}}, r"model\.discriminator\.start: .*start_step"),
        ({"generator": {"generator": {"kind": "istf"}}}, r"model\.generator\.generator\.kind: "),
        ({"loss_weights": {"adversary": 1.0}}, r"model\.loss_weights\.adversary: "),
    ],
)
def test_an_unknown_name_is_refused_at_any_depth(
    tmp_path: Path, model: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, **model)


def test_values_at_the_edges_are_taken() -> None:
    for probability in (0.0, 1.0):
        VITS2ModelSection(quantizer="q", segment_frames=1, self_reference_probability=probability)
    LossWeights(feature_matching=0.0, mel=0.0, kl=0.0)


def test_a_run_that_is_saved_is_read_back_equal(tmp_path: Path) -> None:
    config = read(tmp_path, loss_weights={"kl_warmup_steps": 3})
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml", [], SCHEMAS) == config


def test_an_entry_of_optim_changes_what_it_names_and_keeps_the_rest_of_a_gan(
    tmp_path: Path,
) -> None:
    """Adam's own betas let a GAN swing."""
    config = make_config(tmp_path / "q", optim={"generator": {"lr": 1e-3}})
    expected = OptimConfig(
        lr=2e-4, betas=(0.8, 0.99), eps=1e-9, schedule="exponential", max_grad_norm=1000.0
    )
    assert config.optim["discriminator"] == expected
    assert config.optim["generator"].lr == 1e-3
    assert config.optim["generator"].betas == (0.8, 0.99)
    assert config.optim["generator"].schedule == "exponential"


def test_the_weight_of_kl_rises_geometrically_to_its_value() -> None:
    weights = LossWeights(kl=2.0, kl_warmup_steps=30)
    assert [weights.kl_at(step) for step in (10, 20)] == pytest.approx([0.02, 0.2])
    assert [weights.kl_at(step) for step in (30, 31)] == [2.0, 2.0]
    rises = [weights.kl_at(step) for step in range(1, 31)]
    assert rises == sorted(rises)
    assert weights.kl_at(0) == pytest.approx(2.0 / 1000)
    assert LossWeights().kl_at(1) == 1.0
    assert LossWeights(kl=0.0, kl_warmup_steps=9).kl_at(1) == 0.0


def test_the_warmup_of_kl_can_be_a_share_of_the_run() -> None:
    share, steps = LossWeights(kl_warmup_fraction=0.5), LossWeights(kl_warmup_steps=30)
    assert [share.kl_at(s, 60) for s in (1, 29, 30, 60)] == [
        steps.kl_at(s) for s in (1, 29, 30, 60)
    ]
    with pytest.raises(ValueError, match=r"must be 0 where kl_warmup_steps \(30\) is set"):
        LossWeights(kl_warmup_fraction=0.5, kl_warmup_steps=30)


def test_an_stft_loss_without_a_resolution_is_refused(tmp_path: Path) -> None:
    none = {"n_fft": [], "hop_length": [], "win_length": []}
    with pytest.raises(ConfigError, match=r"model\.stft_loss must have a resolution where"):
        read(tmp_path, stft_loss=none, loss_weights={"stft": 1.0})
    assert len(read(tmp_path, stft_loss=none).model.stft_loss) == 0


def test_the_hop_of_an_inverse_stft_must_be_that_of_frames(tmp_path: Path) -> None:
    section = {"kind": "istft", "istft": {"hop_length": 320}}
    message = r"generator\.istft\.hop_length must be mel\.hop_length \(640\), but is 320"
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, generator={"generator": section})


@pytest.mark.parametrize(
    ("name", "generator_millions", "discriminator_millions"),
    [("hifigan_debug", 2.4, 0.2), ("debug", 4.35, 0.2), ("small", 12.2, 0.2), ("base", 68.4, 46.7)],
)
def test_shipped_configs_build_at_their_size(
    name: str, generator_millions: float, discriminator_millions: float
) -> None:
    config = load_config(CONFIGS / f"{name}.yaml", [], SCHEMAS)
    with torch.device("meta"):
        modules = VITS2(config.model.generator), MultiDiscriminator(config.model.discriminator)
    sizes = [sum(p.numel() for p in module.parameters()) / 1e6 for module in modules]
    assert sizes == pytest.approx([generator_millions, discriminator_millions], rel=0.02)


def test_features_of_codes_need_the_decoders_rate_and_take_its_sizes(tmp_path: Path) -> None:
    quantizer = QuantizerConfig(width=24, num_blocks=2, kernel_size=5)
    generator = read(tmp_path, generator={"content_input": "features"}).model.generator
    filled = fill_code_features(generator, quantizer).code_features
    assert (filled.num_features, filled.width, filled.kernel_size) == (160, 24, 5)
    with pytest.raises(ValueError, match="must be left out"):
        fill_code_features(replace(generator, code_features=filled), quantizer)
    half = QuantizerConfig(codes=CodeConfig(rate_hz=50.0))
    with pytest.raises(ValueError, match="content_input=features needs 1 frames a code frame"):
        fill_code_features(generator, half)


def test_code_vectors_alone_need_no_decoder(tmp_path: Path) -> None:
    generator = read(tmp_path).model.generator
    assert fill_code_features(generator, QuantizerConfig()) is generator


SIZE = re.compile(r"^# Size: +([\d,]+) parameters; discriminators ([\d,]+)$", re.MULTILINE)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_head_of_a_config_says_how_many_parameters_it_has(file: Path) -> None:
    """With the codes of the quantizer's config of that size."""
    model = load_config(file, [], SCHEMAS).model
    generator, size = model.generator, file.stem.split("_")[-1]
    if generator.prior == "codes":
        quantizer = load_config(CONFIGS.parent / "quantizer" / f"{size}.yaml", [], STAGES)
        generator = replace(generator, codes=quantizer.model.codes)
    with torch.device("meta"):
        networks = VITS2(generator), MultiDiscriminator(model.discriminator.network())
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    found = SIZE.search(file.read_text())
    assert found is not None, f"its head must have the line: # Size:     {counts}"
    assert [int(number.replace(",", "")) for number in found.groups()] == counts
