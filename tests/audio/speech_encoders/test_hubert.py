import json
from pathlib import Path

import pytest
import torch

from gsv2.audio.speech_encoders.make import make_speech_encoder
from tests.support.tiny_speech_encoders import encoder_config, save_speech_encoder


def test_an_inner_layer_is_that_of_the_whole_network(tmp_path: Path) -> None:
    """Layers above the one that is read are not loaded; the reference is the whole network."""
    from transformers import HubertModel

    for name in ("chinese-hubert-large", "mhubert-147"):
        folder = save_speech_encoder(tmp_path / name, name)
        whole = HubertModel.from_pretrained(folder)
        wave = 0.1 * torch.randn(1, 320 * 9)
        normal = (wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt()
        heard = torch.nn.functional.pad(normal, (40, 40))
        with torch.no_grad():
            states = whole(heard, output_hidden_states=True)
        for layer, expected in (
            (1, states.hidden_states[1]),
            (2, states.hidden_states[2]),
            (3, states.last_hidden_state),
        ):
            network = make_speech_encoder(encoder_config(folder, name, layer=layer)).network
            with torch.no_grad():
                found = network(wave, torch.tensor([320 * 9]))
            torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
            assert len(network.model.encoder.layers) == layer


def test_convolutions_of_other_frames_are_refused(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path, "mhubert-147")
    settings = json.loads((folder / "config.json").read_text())
    settings["conv_stride"][0] = 4
    (folder / "config.json").write_text(json.dumps(settings))
    config = encoder_config(folder, "mhubert-147")
    with pytest.raises(ValueError, match="must make frames of 320 samples that see 400, but make"):
        make_speech_encoder(config)
