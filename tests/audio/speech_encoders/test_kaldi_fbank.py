import numpy as np
import torch
from transformers import SeamlessM4TFeatureExtractor

from gsv2.audio.speech_encoders.kaldi_fbank import KaldiFilterBank, normalise_bands


def test_the_filter_bank_is_that_of_the_published_feature_extractor() -> None:
    torch.manual_seed(0)
    wave = 0.1 * torch.randn(3, 16_000)
    bank = KaldiFilterBank(80)(wave)
    assert bank.shape == (3, 98, 80)
    found = normalise_bands(bank, torch.tensor([98, 98, 98])).reshape(3, 49, 160)
    reference = SeamlessM4TFeatureExtractor()(
        list(wave.numpy()), sampling_rate=16_000, return_tensors="np"
    )
    np.testing.assert_allclose(found, reference["input_features"], atol=2e-3)


def test_padding_enters_no_band() -> None:
    torch.manual_seed(0)
    bank = torch.randn(2, 10, 4)
    found = normalise_bands(bank, torch.tensor([6, 10]))
    alone = normalise_bands(bank[:1, :6], torch.tensor([6]))
    torch.testing.assert_close(found[0, :6], alone[0])
    assert not found[0, 6:].any()
    torch.testing.assert_close(found[1].std(dim=0), torch.ones(4), rtol=1e-4, atol=0)
