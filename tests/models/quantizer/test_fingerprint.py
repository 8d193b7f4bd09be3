from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.config import config_to_dict
from gsv2.models.component import load_component, save_component
from gsv2.models.quantizer.fingerprint import codebook_hash
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig

CONFIG = QuantizerConfig(
    codes=CodeConfig(codebook_size=8, dim=8),
    speech_encoder=SpeechEncoderConfig(num_mels=5),
    width=16,
    num_blocks=1,
    kernel_size=3,
)


@pytest.fixture
def quantizer() -> Quantizer:
    torch.manual_seed(0)
    made = Quantizer(CONFIG)
    mask = torch.ones(2, 30, dtype=torch.bool)
    made.initialise([SpeechFeatures(torch.randn(2, 30, 10), mask)], frames_per_step=10.0)
    return made


def with_config(quantizer: Quantizer, config: QuantizerConfig) -> Quantizer:
    other = Quantizer(config)
    other.load_state_dict(quantizer.state_dict())
    return other


def test_the_hash_changes_with_all_that_decides_codes_and_nothing_else(quantizer) -> None:
    known = quantizer.fingerprint()
    same = with_config(quantizer, replace(CONFIG, commitment_weight=9.0, feature_stats="x"))
    assert same.fingerprint() == known
    with torch.no_grad():
        next(same.decoder.parameters()).add_(1.0)
    assert same.fingerprint() == known
    seen = {known}
    for part in ("feature_mean", "feature_std", "encoder.out.weight"):
        other = with_config(quantizer, CONFIG)
        state = dict(other.named_buffers()) | dict(other.named_parameters())
        with torch.no_grad():
            state[part].view(-1)[0] += 1e-3
        seen.add(other.fingerprint())
    encoder = replace(CONFIG.speech_encoder, f_max=7000.0)
    seen.add(with_config(quantizer, replace(CONFIG, speech_encoder=encoder)).fingerprint())
    assert len(seen) == 5


def test_weights_of_the_speech_encoder_are_in_the_hash_and_their_place_is_not(quantizer) -> None:
    def hash_with(**options: str) -> str:
        encoder = SpeechEncoderConfig(
            **({"name": "mhubert-147", "num_features": 10, "layer": 1, "sha256": "a"} | options)
        )
        return with_config(quantizer, replace(CONFIG, speech_encoder=encoder)).fingerprint()

    assert hash_with() == hash_with(path="elsewhere") != hash_with(sha256="b")


def test_an_older_file_keeps_the_hash_of_its_codebooks(quantizer, tmp_path: Path) -> None:
    older = codebook_hash(quantizer.codebooks.entries)
    values = config_to_dict(CONFIG)
    for key in ("path", "layer", "num_features", "sha256"):
        del values["speech_encoder"][key]
    del values["feature_stats"]
    for provenance, expected in (
        ({"quantizer": older}, older),
        ({"quantizer": quantizer.fingerprint()}, quantizer.fingerprint()),
        ({}, quantizer.fingerprint()),
    ):
        path = tmp_path / "quantizer.safetensors"
        save_component(path, quantizer, kind="quantizer", config=values, provenance=provenance)
        loaded = Quantizer.from_component(load_component(path, "quantizer"))
        assert loaded.fingerprint() == expected
    assert older != quantizer.fingerprint()
