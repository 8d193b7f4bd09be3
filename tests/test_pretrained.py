import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.make import make_speech_encoder, resolve_speech_encoder
from tests.support.tiny_speech_encoders import DIM, LAYERS, encoder_config, save_speech_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_speech_encoder(tmp_path / "encoder", "mhubert-147")


def test_what_the_weights_say_is_filled_in(folder: Path) -> None:
    config = SpeechEncoderConfig(name="mhubert-147", path=str(folder))
    found = resolve_speech_encoder(config)
    assert (found.layer, found.num_features, found.dim) == (LAYERS, DIM, DIM)
    assert found.sha256 == encoder_config(folder, "mhubert-147").weights.hash(folder)
    assert resolve_speech_encoder(found) == found
    assert resolve_speech_encoder(SpeechEncoderConfig()) == SpeechEncoderConfig()


def test_without_a_folder_and_a_network_one_line_names_files_and_key(monkeypatch) -> None:
    def unreachable(*_args: object, **_options: object) -> None:
        raise OSError("We couldn't connect")

    monkeypatch.setattr("transformers.utils.cached_file", unreachable)
    with pytest.raises(ValueError, match=r"model\.speech_encoder\.path=FOLDER") as caught:
        resolve_speech_encoder(SpeechEncoderConfig(name="w2v-bert-2.0"))
    line = str(caught.value)
    assert "\n" not in line
    for part in ("config.json", "preprocessor_config.json", "model.safetensors", "facebook/w2v"):
        assert part in line


def test_a_folder_that_lacks_a_file_is_told_which(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"but lacks preprocessor_config\.json"):
        encoder_config(folder, "mhubert-147").weights.find()


def test_pickled_weights_are_refused_with_the_way_out(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"a pickle, which is never loaded.*add-an-encoder"):
        make_speech_encoder(encoder_config(folder, "mhubert-147"))


def test_other_weights_than_the_recorded_ones_are_refused(folder: Path, tmp_path: Path) -> None:
    config = resolve_speech_encoder(encoder_config(folder, "mhubert-147"))
    other = save_speech_encoder(tmp_path / "other", "mhubert-147", seed=1)
    with pytest.raises(ValueError, match=f"hash {config.sha256}.*but holds that of"):
        make_speech_encoder(config, other)
    assert make_speech_encoder(config, folder).dim == DIM


def test_the_hash_is_of_weights_and_settings_not_of_versions(folder: Path) -> None:
    before = encoder_config(folder, "mhubert-147").weights.hash(folder)
    settings = json.loads((folder / "config.json").read_text())
    for changed, same in (({"transformers_version": "0"}, True), ({"layer_norm_eps": 1.0}, False)):
        (folder / "config.json").write_text(json.dumps(settings | changed))
        assert (encoder_config(folder, "mhubert-147").weights.hash(folder) == before) == same


def test_weights_that_are_missing_in_the_file_are_no_random_numbers(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layers.1.attention.k_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"weights lack encoder\.layers\.1\.attention\.k_proj"):
        make_speech_encoder(encoder_config(folder, "mhubert-147"))


def test_a_model_of_another_kind_or_a_layer_too_many_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="must be of a wav2vec2-bert, but is of 'hubert'"):
        resolve_speech_encoder(encoder_config(folder, "w2v-bert-2.0"))
    with pytest.raises(ValueError, match=r"layer must be 1 to 3.*but is 4"):
        resolve_speech_encoder(encoder_config(folder, "mhubert-147", layer=4))


def test_options_of_weights_are_refused_where_there_are_none() -> None:
    with pytest.raises(ValueError, match=r"speech_encoder\.path is for pretrained"):
        SpeechEncoderConfig(path="somewhere")
