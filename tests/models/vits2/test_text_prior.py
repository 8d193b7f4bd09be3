"""Text prior: where a text lies along its frames, in training and in speech."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gsv2.models.vits2.durations import DurationConfig
from gsv2.models.vits2.text_prior import NUM_EDGES, AlignedText, TextPrior, TextPriorConfig
from gsv2.nn.transformer import BlockConfig, TransformerConfig
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.interface import TextTokens

CHANNELS, LATENT, STYLE = 16, 6, 4
DURATIONS = DurationConfig(channels=8, num_blocks=1, kernel_size=3, num_couplings=2)
CONTENT = TransformerConfig(
    num_layers=2, style_layer=1, block=BlockConfig(num_heads=2, ffn_dim=16, dropout=0.0)
)


def make_prior(config: TextPriorConfig | None = None) -> TextPrior:
    torch.manual_seed(0)
    config = config or TextPriorConfig(durations=DURATIONS)
    return TextPrior(config, CHANNELS, CONTENT, LATENT, STYLE).eval()


def align(prior: TextPrior, texts: list[str], lengths: list[int], noise: float = 0) -> AlignedText:
    generator = torch.Generator().manual_seed(1)
    z_p = torch.randn(len(texts), LATENT, max(lengths), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    style = torch.ones(len(texts), STYLE)
    return prior.align(prior.text_encoder.tokenize(texts), z_p, mask, style, noise)


def test_each_frame_has_the_prior_of_the_likeliest_token() -> None:
    """The frames are noise around the means of tokens in order, and are found again."""
    prior = make_prior()
    with torch.no_grad():  # all tokens are equally narrow
        prior.output.weight[LATENT:] = 0
        prior.output.bias[LATENT:] = -3
    text = prior.text_encoder.tokenize(["seven"])
    style = torch.ones(1, STYLE)
    wanted = torch.tensor([[3, 1, 2, 5, 1, 4, 2]])
    token = torch.repeat_interleave(torch.arange(7), wanted[0])
    means = align(prior, ["seven"], [7]).mean[..., :7]  # a frame a token
    z_p = means[..., token] + 1e-3 * torch.randn(1, LATENT, 18)
    found = prior.align(text, z_p, torch.ones(1, 18, dtype=torch.bool), style, 0.0)
    assert found.durations.equal(wanted)
    torch.testing.assert_close(found.mean, means[..., token])


def test_padding_of_texts_and_frames_changes_nothing() -> None:
    prior = make_prior()
    both = align(prior, ["ab", "longer text"], [9, 20])
    z_alone = torch.randn(2, LATENT, 20, generator=torch.Generator().manual_seed(1))[:1, :, :9]
    alone = prior.align(
        prior.text_encoder.tokenize(["ab"]),
        z_alone,
        torch.ones(1, 9, dtype=torch.bool),
        torch.ones(1, STYLE),
        0.0,
    )
    assert both.durations[0, :4].equal(alone.durations[0])
    torch.testing.assert_close(both.mean[0, :, :9], alone.mean[0])
    assert (both.mean[0, :, 9:] == 0).all()
    assert (both.log_std[0, :, 9:] == 0).all()


def test_a_text_longer_than_its_audio_is_no_target() -> None:
    prior = make_prior()
    found = align(prior, ["far too long for this", "ab"], [5, 12])
    assert found.learnt.any(dim=1).tolist() == [False, True]
    assert found.durations.sum(dim=1).tolist() == [5, 12]
    assert torch.isfinite(found.mean).all()
    assert torch.isfinite(found.duration_loss)


def test_noise_changes_the_path_and_every_parameter_learns() -> None:
    prior = make_prior()
    plain, noisy = (align(prior, ["a few words"], [60], noise) for noise in (0.0, 3.0))
    assert not plain.durations.equal(noisy.durations)
    (plain.mean.sum() + plain.log_std.sum() + plain.duration_loss).backward()
    assert [name for name, p in prior.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("kind", ["stochastic", "deterministic"])
def test_speech_is_as_long_as_its_durations_and_a_rate_shortens_it(kind: str) -> None:
    prior = make_prior(TextPriorConfig(durations=replace(DURATIONS, kind=kind)))
    frames = math.log(6)
    with torch.no_grad():
        if kind == "stochastic":
            prior.durations.flow.shift[0] = -frames
        else:
            prior.durations.output.bias.fill_(frames)
    text = prior.text_encoder.tokenize(["a longer text of words", "ab"])
    style = torch.ones(2, STYLE)
    spoken = prior.speak(text, style, 0.0, 1.0)
    assert spoken.mask.sum(dim=1).equal(spoken.durations.sum(dim=1))
    assert spoken.mean.shape == (2, LATENT, int(spoken.durations.sum(dim=1).max()))
    assert (spoken.durations[1, 2 + NUM_EDGES :] == 0).all()
    faster = prior.speak(text, style, 0.0, 2.0).durations.sum(dim=1)
    torch.testing.assert_close(faster * 2.0, spoken.durations.sum(dim=1) * 1.0, rtol=0, atol=1.01)
    hasty = prior.speak(text, style, 0.0, 50.0).durations
    assert (hasty == (spoken.durations > 0)).all(), "each token has a frame, and no more"


def test_vectors_of_a_frozen_encoder_take_the_place_of_bytes() -> None:
    vectors = TextVectorsConfig(dim=12, sha256="0" * 64)
    config = TextPriorConfig(encoder="bge-m3", vectors=vectors, durations=DURATIONS)
    prior = make_prior(config)
    text = TextTokens(torch.randn(2, 5, 12), torch.tensor([5, 3]))
    z_p, mask = torch.randn(2, LATENT, 20), torch.ones(2, 20, dtype=torch.bool)
    found = prior.align(text, z_p, mask, torch.ones(2, STYLE), 0.0)
    assert (found.durations > 0).sum(dim=1).tolist() == [5 + NUM_EDGES, 3 + NUM_EDGES]
