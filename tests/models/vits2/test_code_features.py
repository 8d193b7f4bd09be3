import pytest
import torch

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.models.vits2.code_features import CodeFeatures, CodeFeaturesConfig
from gsv2.nn.codes import CodeConfig
from gsv2.nn.masks import length_mask

CODES = CodeConfig(codebook_size=16, dim=6)


def _quantizer() -> Quantizer:
    torch.manual_seed(0)
    config = QuantizerConfig(
        codes=CODES,
        speech_encoder=SpeechEncoderConfig(num_mels=5),
        width=8,
        num_blocks=2,
        kernel_size=3,
    )
    quantizer = Quantizer(config).freeze()
    quantizer.codebooks.entries.copy_(torch.randn_like(quantizer.codebooks.entries))
    quantizer.feature_mean.normal_()
    quantizer.feature_std.uniform_(0.5, 2.0)
    return quantizer


def _features(width: int = 8) -> CodeFeatures:
    sizes = CodeFeaturesConfig(num_features=10, width=width, num_blocks=2, kernel_size=3)
    return CodeFeatures(sizes, code_dim=6, frames_per_code=2)


def test_features_are_those_that_the_quantizer_decodes() -> None:
    quantizer, features = _quantizer(), _features()
    features.set_decoder(quantizer.decoder.state_dict())
    codes = torch.randint(16, (2, 2, 7))
    codes[1, :, 4:] = -1
    made = features(quantizer.code_vectors()(codes), length_mask(torch.tensor([7, 4]), 7))
    decoded = (quantizer.decode(codes) - quantizer.feature_mean) / quantizer.feature_std
    for clip, length in enumerate((14, 8)):
        torch.testing.assert_close(made[clip, :length], decoded[clip, :length])


def test_nothing_of_it_trains_and_all_of_it_is_saved() -> None:
    features = _features()
    assert list(features.parameters()) == []
    assert set(features.decoder.state_dict()) == set(_quantizer().decoder.state_dict())


def test_another_decoder_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        _features(width=9).set_decoder(_quantizer().decoder.state_dict())
