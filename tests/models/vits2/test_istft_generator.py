import pytest
import torch

from gsv2.models.vits2.istft_generator import ISTFTConfig, ISTFTGenerator
from gsv2.nn.masks import length_mask
from gsv2.nn.recompute import mark_recomputed
from tests.support.recomputation import assert_recomputing_changes_nothing_but_memory

TINY = ISTFTConfig(dim=16, num_blocks=2)


def _generator(config: ISTFTConfig = TINY) -> ISTFTGenerator:
    torch.manual_seed(0)
    return ISTFTGenerator(6, config, style_dim=3)


@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 640), (1280, 640), (1024, 320), (1024, 321)])
@pytest.mark.parametrize("num_frames", [1, 5])
def test_t_frames_give_t_hops_of_samples(n_fft: int, hop: int, num_frames: int) -> None:
    generator = _generator(ISTFTConfig(dim=8, num_blocks=1, n_fft=n_fft, hop_length=hop))
    wave = generator(torch.randn(2, 6, num_frames), torch.randn(2, 3))
    assert wave.shape == (2, 1, num_frames * hop)
    assert wave.dtype == torch.float32
    assert wave.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_padding_does_not_change_the_samples_of_a_clip(num_frames: int) -> None:
    """To the last sample, where the window of the first padded frame would overlap."""
    generator, style = _generator(), torch.randn(1, 3)
    z = torch.randn(1, 6, num_frames)
    alone = generator(z, style)
    padded = torch.nn.functional.pad(z, (0, 4))
    mask = length_mask(torch.tensor([num_frames]), num_frames + 4)
    together = generator(padded, style, mask)
    size = num_frames * 640
    torch.testing.assert_close(together[..., :size], alone, rtol=0, atol=1e-5)
    assert together.isfinite().all()


@torch.no_grad()
def test_samples_depend_on_the_frames_that_the_kernels_reach_only() -> None:
    """Three frames on each side a layer, and those whose windows overlap."""
    generator, style = _generator(), torch.zeros(1, 3)
    z = torch.randn(1, 6, 40)
    changed = z.clone()
    changed[..., 30:] = 0
    difference = (generator(z, style) - generator(changed, style)).abs().amax(dim=(0, 1))
    reach = 3 * (1 + TINY.num_blocks) + 2
    assert (difference[: (30 - reach) * 640] == 0).all()
    assert (difference[30 * 640 :] > 0).any()


@torch.no_grad()
def test_a_new_generator_passes_latent_and_style_on_to_the_wave() -> None:
    generator = _generator(ISTFTConfig(dim=256, num_blocks=6))
    z, style = torch.randn(1, 6, 8), torch.randn(1, 3)
    wave = generator(z, style)
    for other in (generator(0 * z, style), generator(z, 0 * style)):
        assert 0.002 < (wave - other).std() < 0.7


def test_every_parameter_gets_a_gradient() -> None:
    generator = _generator()
    generator(torch.randn(2, 6, 5), torch.randn(2, 3)).square().mean().backward()
    assert [name for name, p in generator.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("log_magnitude", [-1000.0, 0.0, 1000.0])
def test_gradients_are_finite_at_silence_and_at_the_loudest(log_magnitude: float) -> None:
    generator = _generator()
    with torch.no_grad():
        generator.head.bias[: generator.config.n_fft // 2 + 1] = log_magnitude
    wave = generator(torch.zeros(1, 6, 5), torch.zeros(1, 3))
    assert wave.abs().max() == 0 or log_magnitude > -1000
    wave.square().mean().backward()
    assert wave.isfinite().all()
    for parameter in generator.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_under_autocast_the_head_computes_in_fp32() -> None:
    generator = _generator()
    x = torch.randn(1, 5, 16)
    spectra = generator.head(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(generator.head(x), spectra)
        wave = generator(torch.randn(1, 6, 5), torch.randn(1, 3))
    assert wave.dtype == torch.float32
    assert spectra.dtype == torch.complex64


def test_recomputed_blocks_have_the_same_gradients() -> None:
    class Recomputed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = _generator(ISTFTConfig(dim=32, num_blocks=8, n_fft=128, hop_length=64))

        def recompute_activations(self) -> None:
            mark_recomputed(self.generator.blocks)

    model = Recomputed()

    def loss() -> torch.Tensor:
        torch.manual_seed(2)
        return model.generator(torch.randn(2, 6, 20), torch.randn(2, 3)).square().mean()

    assert_recomputing_changes_nothing_but_memory(model, loss)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dim", 0, "dim must be at least 1, but is 0"),
        ("num_blocks", 0, "num_blocks must be at least 1, but is 0"),
        ("expansion", 0, "expansion must be at least 1, but is 0"),
        ("kernel_size", 6, "kernel_size must be odd and above 0, but is 6"),
        ("n_fft", 1279, r"n_fft must be even and at least twice hop_length \(640\), but is 1279"),
        ("n_fft", 1278, r"at least twice hop_length \(640\), but is 1278"),
        ("hop_length", 0, r"at least twice hop_length \(0\), but is 2048"),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=rf"generator\.istft\..*{message}"):
        ISTFTConfig(**{name: value})
