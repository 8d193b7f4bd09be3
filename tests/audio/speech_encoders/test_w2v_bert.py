from pathlib import Path

import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertModel

from gsv2.audio.speech_encoders.make import make_speech_encoder
from tests.support.tiny_speech_encoders import encoder_config, save_speech_encoder


def test_a_layer_is_that_of_the_library_on_the_padded_wave(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path, "w2v-bert-2.0")
    torch.manual_seed(1)
    wave = 0.1 * torch.randn(1, 320 * 11 + 7)
    inputs = SeamlessM4TFeatureExtractor.from_pretrained(folder)(
        torch.nn.functional.pad(wave[0], (120, 120)).numpy(),
        sampling_rate=16_000,
        return_tensors="pt",
    )
    with torch.no_grad():
        states = Wav2Vec2BertModel.from_pretrained(folder)(**inputs, output_hidden_states=True)
    for layer in (1, 2, 3):
        encoder = make_speech_encoder(encoder_config(folder, "w2v-bert-2.0", layer=layer))
        with torch.no_grad():
            found = encoder.network(wave, torch.tensor([wave.shape[1]]))
        assert len(encoder.network.model.encoder.layers) == layer
        torch.testing.assert_close(found, states.hidden_states[layer], rtol=0, atol=1e-3)
