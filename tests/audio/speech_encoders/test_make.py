from pathlib import Path

import pytest

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.logmel import LogMelEncoder
from gsv2.audio.speech_encoders.make import make_speech_encoder, resolve_speech_encoder
from tests.support.tiny_speech_encoders import DIM, LAYERS, encoder_config, save_speech_encoder


def test_the_default_has_no_weights() -> None:
    config = SpeechEncoderConfig()
    assert resolve_speech_encoder(config) == config
    assert isinstance(make_speech_encoder(config), LogMelEncoder)


def test_a_config_is_completed_by_the_folder_of_its_weights(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path, "mhubert-147")
    config = resolve_speech_encoder(encoder_config(folder, "mhubert-147", layer=2))
    assert (config.layer, config.num_features) == (2, DIM)
    assert config.sha256
    assert resolve_speech_encoder(config) == config
    encoder = make_speech_encoder(config)
    assert (encoder.name, encoder.dim) == ("mhubert-147", DIM)


def test_a_layer_that_the_weights_lack_is_refused(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path, "mhubert-147")
    config = encoder_config(folder, "mhubert-147", layer=LAYERS + 1)
    with pytest.raises(ValueError, match=rf"layer must be 1 to {LAYERS}, .* but is {LAYERS + 1}"):
        resolve_speech_encoder(config)


def test_other_weights_than_the_config_knows_are_refused(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path / "a", "mhubert-147")
    other = save_speech_encoder(tmp_path / "b", "mhubert-147", seed=1)
    config = resolve_speech_encoder(encoder_config(folder, "mhubert-147"))
    with pytest.raises(ValueError, match=str(other)):
        make_speech_encoder(config, other)
