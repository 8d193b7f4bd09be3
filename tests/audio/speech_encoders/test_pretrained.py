import pytest
import torch
from torch import Tensor

from gsv2.audio.speech_encoders.make import make_speech_encoder, resolve_speech_encoder
from gsv2.audio.speech_encoders.pretrained import PretrainedEncoder, SpeechNetwork
from tests.support.tiny_speech_encoders import DIM, NAMES, encoder_config, save_speech_encoder

HOP = 640
LENGTHS = (40 * HOP + 17, 12 * HOP, HOP, 25 * HOP + 639, 12 * HOP, HOP - 1)


@pytest.fixture(scope="module", params=NAMES)
def encoder(request, tmp_path_factory) -> PretrainedEncoder:
    folder = save_speech_encoder(tmp_path_factory.mktemp("encoder"), request.param)
    return make_speech_encoder(resolve_speech_encoder(encoder_config(folder, request.param)))


def padded_batch(lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    waves = torch.zeros(len(lengths), 1, max(lengths))
    for wave, length in zip(waves, lengths, strict=True):
        wave[0, :length] = 0.1 * torch.randn(length)
    return waves, torch.tensor(lengths)


def test_features_of_a_clip_do_not_depend_on_its_batch_or_its_padding(encoder) -> None:
    waves, lengths = padded_batch()
    features, mask = encoder(waves, lengths)
    assert features.shape == (len(LENGTHS), max(LENGTHS) // HOP, encoder.dim)
    assert features.dtype == torch.float32
    assert not features[~mask].any()
    for wave, length, together, valid in zip(waves, LENGTHS, features, mask, strict=True):
        alone, all_valid = encoder(wave[None, :, :length], torch.tensor([length]))
        assert all_valid.all()
        assert valid.sum() == alone.shape[1] == length // HOP
        torch.testing.assert_close(together[valid], alone[0], rtol=0, atol=1e-4)
        if length >= 12 * HOP:  # and they are features of the clip, not a constant
            assert alone.std(dim=1).mean() > 0.05


def test_there_are_n_over_640_frames_for_any_length(encoder) -> None:
    for length in (1, 639, 640, 641, 1279, 1280, 1281, 1919, 3 * HOP + 320, 5 * HOP + 321):
        features, mask = encoder(torch.randn(1, 1, length), torch.tensor([length]))
        assert features.shape == (1, length // HOP, DIM)
        assert mask.sum() == length // HOP
        assert features.isfinite().all()


def test_what_lies_beyond_a_clips_length_is_not_heard(encoder) -> None:
    waves, lengths = padded_batch()
    noisy = waves.clone()
    noisy[1, 0, LENGTHS[1] :] = 10 * torch.randn(max(LENGTHS) - LENGTHS[1])
    noisy[2, 0, LENGTHS[2] :] = torch.nan
    quiet, heard = encoder(waves, lengths), encoder(noisy.nan_to_num(5.0), lengths)
    torch.testing.assert_close(heard.features, quiet.features, rtol=0, atol=2e-5)


def test_the_network_is_frozen_and_stays_in_evaluation_mode(encoder) -> None:
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    wave = torch.randn(1, 1, 4 * HOP, requires_grad=True)
    assert not encoder(wave, torch.tensor([4 * HOP])).features.requires_grad


def test_half_precision_by_autocast_gives_fp32_features_near_those_of_fp32(encoder) -> None:
    waves, lengths = padded_batch()
    exact = encoder(waves, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder(waves, lengths)
    assert rough.features.dtype == torch.float32
    assert torch.equal(rough.mask, exact.mask)
    error = (rough.features - exact.features).square().mean()
    assert 0 < error < 0.05 * exact.features.square().mean()


class Overflowing(SpeechNetwork):
    """Gives the clip's peak; infinite in half precision if loud, and always if louder still."""

    dim = 1

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.calls: list[int] = []

    sizes = None

    def forward(self, wave: Tensor, lengths: Tensor) -> Tensor:
        self.calls.append(len(wave))
        limit = 1.0 if torch.is_autocast_enabled("cpu") else 10.0
        peak = wave.abs().amax(dim=1)
        value = torch.where(peak > limit, torch.nan, peak)
        return value[:, None, None].expand(-1, wave.shape[1] // 320, 1)


def test_a_clip_that_overflows_in_half_precision_is_run_again_in_fp32_then_refused(caplog) -> None:
    network = Overflowing()
    encoder = PretrainedEncoder("overflowing", network)
    peaks = torch.tensor([0.5, 5.0, 50.0])
    waves = peaks[:, None, None] * torch.ones(3, 1, 8 * HOP)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, mask = encoder(waves, torch.full((3,), 8 * HOP))
    assert network.calls == [3, 2]
    assert mask.sum(dim=1).tolist() == [8, 8, 0]
    assert features.isfinite().all()
    assert (features[1] > 4).all()
    assert not features[2].any()
    assert "overflowing: the features of 1 clips are not finite" in caplog.text
    network.calls.clear()
    encoder(waves, torch.full((3,), 8 * HOP))
    assert network.calls == [3]
