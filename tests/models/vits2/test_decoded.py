"""Inputs and results of a training pass: each field has its shape, and is there when it should."""

from dataclasses import replace

import pytest
import torch

from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.decoded import Decoded, LiveCodes, TextToAlign, TrainedSegments
from gsv2.models.vits2.durations import DurationConfig
from gsv2.models.vits2.istft_generator import ISTFTConfig
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.text_prior import TextPriorConfig
from tests.models.vits2.conftest import TINY

SEGMENT, HOP, LATENT, T = 4, 640, 8, 12
LENGTHS = torch.tensor([12, 9])
TEXT = TextPriorConfig(
    durations=DurationConfig(channels=8, num_blocks=1, kernel_size=3, num_couplings=2)
)
HARMONIC = replace(
    TINY.generator,
    kind="istft",
    istft=ISTFTConfig(dim=16, num_blocks=1, source="harmonic"),
)


def make_codes() -> torch.Tensor:
    codes = torch.randint(16, (2, 2, 6), generator=torch.Generator().manual_seed(2))
    codes[1, :, 5:] = -1
    return codes


def make_model(config: VITS2Config) -> VITS2:
    torch.manual_seed(0)
    model = VITS2(config)
    if config.prior == "codes":
        model.code_vectors.set_codebooks(torch.randn_like(model.code_vectors.codebooks))
    return model.eval()


def make_magnitude() -> torch.Tensor:
    mask = torch.arange(T) < LENGTHS[:, None]
    return torch.rand(2, 1025, T, generator=torch.Generator().manual_seed(1)) * mask[:, None]


def train_pass(
    model: VITS2,
    content: torch.Tensor | LiveCodes | TextToAlign,
    segments: TrainedSegments | None = None,
) -> Decoded:
    segments = segments or TrainedSegments(torch.tensor([0, 2]), SEGMENT)
    magnitude = make_magnitude()
    mel = model.mel.from_spectrogram(magnitude)
    torch.manual_seed(3)
    return model(content, magnitude, LENGTHS, mel, LENGTHS, segments)


def check_shapes(decoded: Decoded) -> None:
    assert decoded.wave.shape == (2, 1, SEGMENT * HOP)
    assert decoded.wave.dtype == torch.float32
    for name in ("z_p", "m_p", "logs_p", "logs_q"):
        assert getattr(decoded, name).shape == (2, LATENT, T), name
    assert decoded.mask.dtype == torch.bool
    assert decoded.mask.sum(dim=1).tolist() == LENGTHS.tolist()


def test_codes_have_no_alignment_and_without_a_source_there_is_no_pitch() -> None:
    decoded = train_pass(make_model(TINY), make_codes())
    check_shapes(decoded)
    assert decoded.contour is None
    assert decoded.aligned is None


def test_live_vectors_are_what_their_codes_are() -> None:
    model = make_model(TINY)
    vectors = model.code_vectors(make_codes())
    assert vectors.shape == (2, 6, TINY.codes.dim)
    live, stored = train_pass(model, LiveCodes(vectors)), train_pass(model, make_codes())
    for name in ("wave", "z_p", "m_p", "logs_p", "logs_q"):
        assert torch.equal(getattr(live, name), getattr(stored, name)), name


def test_gradients_reach_live_vectors() -> None:
    vectors = make_model(TINY).code_vectors(make_codes()).requires_grad_()
    decoded = train_pass(make_model(TINY), LiveCodes(vectors))
    (decoded.m_p.square().mean() + decoded.logs_p.mean()).backward()
    assert vectors.grad is not None
    assert vectors.grad.any()


def test_texts_come_with_their_alignment_which_is_the_prior() -> None:
    model = make_model(replace(TINY, prior="text", text=TEXT))
    assert model.text_prior is not None
    text = model.text_prior.text_encoder.tokenize(["word", "ab"])
    decoded = train_pass(model, TextToAlign(text, 0.0))
    check_shapes(decoded)
    assert decoded.aligned is not None
    assert decoded.aligned.durations.sum(dim=1).tolist() == LENGTHS.tolist()
    assert torch.equal(decoded.m_p, decoded.aligned.mean)
    assert torch.equal(decoded.logs_p, decoded.aligned.log_std)


def test_a_harmonic_source_says_the_pitch_of_the_segments() -> None:
    model = make_model(replace(TINY, generator=HARMONIC))
    starts = torch.tensor([0, 2])
    pitch = torch.full((2, SEGMENT), 150.0)
    decoded = train_pass(model, make_codes(), TrainedSegments(starts, SEGMENT, pitch))
    check_shapes(decoded)
    assert decoded.contour is not None
    assert all(part.shape == (2, SEGMENT) for part in decoded.contour)


@pytest.mark.parametrize("starts", [[0, 0], [3, 1], [8, 5]])
def test_the_wave_is_the_latent_of_the_segments_decoded(starts: list[int]) -> None:
    model = make_model(TINY)
    decoded = train_pass(model, make_codes(), TrainedSegments(torch.tensor(starts), SEGMENT))
    magnitude = make_magnitude()
    style = model.style(model.mel.from_spectrogram(magnitude), decoded.mask)
    z = model.flow.inverse(decoded.z_p, decoded.mask, style)
    cut = torch.stack([row[:, at : at + SEGMENT] for row, at in zip(z, starts, strict=True)])
    torch.testing.assert_close(decoded.wave, model.generator(cut, style), rtol=0, atol=1e-5)
