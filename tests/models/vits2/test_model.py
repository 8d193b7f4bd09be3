import pytest
import torch

from gsv2.models.vits2.decoded import Decoded, TrainedSegments
from gsv2.models.vits2.model import VITS2
from gsv2.nn.masks import length_mask
from tests.support.recomputation import assert_recomputing_changes_nothing_but_memory

SEGMENT = 4


def _train_pass(model: VITS2, lengths: torch.Tensor, extra: int = 0) -> Decoded:
    """Run a training pass on clips that depend on the seed alone, padded by `extra` frames."""
    generator = torch.Generator().manual_seed(1)
    B, T = len(lengths), int(lengths.max())
    mask = length_mask(lengths, T + extra)
    code_mask = length_mask((lengths + 1) // 2, (T + extra + 1) // 2)
    codes = torch.randint(16, (B, 2, (T + 1) // 2), generator=generator)
    codes = torch.nn.functional.pad(codes, (0, code_mask.shape[1] - codes.shape[-1]))
    magnitude = torch.rand(B, 1025, T, generator=generator)
    magnitude = torch.nn.functional.pad(magnitude, (0, extra)) * mask.unsqueeze(1)
    mel = model.mel.from_spectrogram(magnitude)
    return model(
        codes.masked_fill(~code_mask.unsqueeze(1), -1),
        magnitude,
        lengths,
        mel,
        lengths,
        TrainedSegments(torch.zeros_like(lengths), SEGMENT),
    )


def test_training_shapes_and_a_gradient_for_every_parameter(tiny_vits2: VITS2) -> None:
    decoded = _train_pass(tiny_vits2.train(), torch.tensor([9, 5, 3]))
    assert decoded.wave.shape == (3, 1, SEGMENT * 640)
    assert decoded.z_p.shape == decoded.m_p.shape == decoded.logs_q.shape == (3, 8, 9)
    distances = (decoded.z_p - decoded.m_p).square() + decoded.logs_p - decoded.logs_q
    (decoded.wave.square().mean() + distances.mean()).backward()
    assert [name for name, p in tiny_vits2.named_parameters() if p.grad is None] == []


def test_padding_does_not_change_training(
    tiny_vits2: VITS2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # noise depends on the shape
    lengths = torch.tensor([6])
    short, long = _train_pass(tiny_vits2, lengths), _train_pass(tiny_vits2, lengths, extra=4)
    torch.testing.assert_close(long.wave, short.wave, rtol=0, atol=1e-5)
    for name in ("z_p", "m_p", "logs_p", "logs_q"):
        torch.testing.assert_close(
            getattr(long, name)[..., :6], getattr(short, name), rtol=0, atol=1e-4
        )


def test_speech_of_a_clip_does_not_depend_on_its_batch(tiny_vits2: VITS2) -> None:
    codes = torch.randint(16, (2, 2, 5))
    codes[1, :, 3:] = -1
    style = torch.randn(2, 6)
    together = tiny_vits2.infer(codes, torch.tensor([5, 3]), style, noise_scale=0.0)
    alone = tiny_vits2.infer(codes[1:, :, :3], torch.tensor([3]), style[1:], noise_scale=0.0)
    assert together.shape == (2, 1, 5 * 2 * 640)
    torch.testing.assert_close(together[1:, :, : 6 * 640], alone, rtol=0, atol=1e-5)
    assert (together[1, :, 6 * 640 :] == 0).all()


def test_noise_changes_speech_and_comes_from_the_default_generator(tiny_vits2: VITS2) -> None:
    codes, lengths, style = torch.randint(16, (1, 2, 3)), torch.tensor([3]), torch.randn(1, 6)
    waves = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        waves.append(tiny_vits2.infer(codes, lengths, style, noise_scale=1.0))
    assert torch.equal(waves[0], waves[1])
    assert not torch.equal(waves[0], waves[2])


def test_the_decoder_inverts_what_the_flow_did(tiny_vits2: VITS2) -> None:
    lengths = torch.tensor([8])
    magnitude = torch.rand(1, 1025, 8)
    style, mask = torch.randn(1, 6), torch.ones(1, 8).bool()
    m_q, _ = tiny_vits2.posterior_encoder(magnitude.clamp(min=1e-5).log(), mask, style)
    z = tiny_vits2.flow.inverse(tiny_vits2.flow(m_q, mask, style), mask, style)
    torch.testing.assert_close(z, m_q, rtol=0, atol=1e-5)
    wave = tiny_vits2.reconstruct(magnitude, lengths, style)
    torch.testing.assert_close(wave, tiny_vits2.generator(m_q, style), rtol=0, atol=1e-5)


def test_recomputed_blocks_have_the_same_gradients_with_noise(tiny_vits2: VITS2) -> None:
    def loss() -> torch.Tensor:
        torch.manual_seed(2)
        decoded = _train_pass(tiny_vits2, torch.tensor([9, 5]))
        return decoded.wave.square().mean() + (decoded.z_p - decoded.m_p - decoded.logs_p).mean()

    assert_recomputing_changes_nothing_but_memory(tiny_vits2, loss)
