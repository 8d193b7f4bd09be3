import pytest
import torch

from gsv2.losses.pitch import pitch_loss
from gsv2.models.vits2.istft_generator import ISTFTConfig, ISTFTGenerator
from gsv2.nn.masks import length_mask
from gsv2.nn.recompute import mark_recomputed
from tests.support.recomputation import assert_recomputing_changes_nothing_but_memory

TINY = ISTFTConfig(dim=16, num_blocks=2)
HARMONIC = ISTFTConfig(dim=16, num_blocks=2, source="harmonic")
FOUR = ISTFTConfig(dim=16, num_blocks=2, source="harmonic", n_fft=512, spectra_per_frame=4)


def _generator(config: ISTFTConfig = TINY) -> ISTFTGenerator:
    torch.manual_seed(0)
    return ISTFTGenerator(6, config, style_dim=3, sample_rate=32_000)


@pytest.mark.parametrize(
    ("n_fft", "hop", "spectra"),
    [(2048, 640, 1), (1280, 640, 1), (1024, 320, 1), (1024, 321, 1), (512, 640, 4), (640, 640, 2)],
)
@pytest.mark.parametrize("num_frames", [1, 5])
def test_t_frames_give_t_hops_of_samples(
    n_fft: int, hop: int, spectra: int, num_frames: int
) -> None:
    config = ISTFTConfig(
        dim=8, num_blocks=1, n_fft=n_fft, hop_length=hop, spectra_per_frame=spectra
    )
    generator = _generator(config)
    wave = generator(torch.randn(2, 6, num_frames), torch.randn(2, 3))
    assert wave.shape == (2, 1, num_frames * hop)
    assert wave.dtype == torch.float32
    assert wave.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("config", [TINY, HARMONIC, FOUR])
@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_padding_does_not_change_the_samples_of_a_clip(
    num_frames: int, config: ISTFTConfig
) -> None:
    """To the last sample, where the window of the first padded frame would overlap."""
    generator, style = _generator(config).eval(), torch.randn(1, 3)
    pitch = padded_pitch = None
    if config is FOUR:  # a pitch of its own differs in its last bits, and the last harmonic in more
        pitch = torch.rand(1, num_frames) * 400 + 60
        padded_pitch = torch.nn.functional.pad(pitch, (0, 4))
    if config is HARMONIC:
        torch.nn.init.normal_(generator.pitch.project.weight, std=0.1)  # 60 to 500 Hz
    z, median = torch.randn(1, 6, num_frames), torch.tensor([180.0])
    alone, _ = generator.speak(z, style, pitch=pitch, median_hz=median)
    padded = torch.nn.functional.pad(z, (0, 4))
    mask = length_mask(torch.tensor([num_frames]), num_frames + 4)
    together, _ = generator.speak(padded, style, mask, pitch=padded_pitch, median_hz=median)
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


@torch.no_grad()
def test_a_harmonic_source_speaks_with_the_pitch_that_is_asked_for_or_its_own() -> None:
    generator = _generator(HARMONIC).eval()
    generator.head.bias.zero_()[2 * 1025 :] = -20  # hardly any noise, and a flat filter
    generator.head.weight.zero_()
    z, style = torch.randn(1, 6, 50), torch.randn(1, 3)
    for hz, pitch in ((200.0, torch.full((1, 50), 200.0)), (150.0, None)):
        if pitch is None:
            generator.pitch.project.bias[1] = 5.0  # voiced, at the pitch of an untrained head
        wave, contour = generator.speak(z, style, pitch=pitch)
        spectrum = torch.fft.rfft(wave[0, 0]).abs()  # of one second: bins of 1 Hz
        harmonics = spectrum[int(hz) :: int(hz)][:40]
        assert harmonics.min() > 100 * spectrum[: 40 * int(hz)].median()
        assert contour is not None
        torch.testing.assert_close(contour.log_hz.exp(), torch.full((1, 50), 150.0))


@torch.no_grad()
def test_more_spectra_with_a_shorter_window_tell_more_exactly_when_a_burst_is() -> None:
    """A frame that alone is loud: how far from its middle does its energy lie?"""
    spreads = []
    for n_fft, spectra in ((2048, 1), (512, 4)):
        config = ISTFTConfig(
            dim=16, num_blocks=1, source="harmonic", n_fft=n_fft, spectra_per_frame=spectra
        )
        generator = _generator(config).eval()
        generator.head.weight.zero_()
        generator.head.bias.zero_()
        generator.head.weight[:, 0] = 20.0  # loud where the first channel is
        generator.blocks = torch.nn.ModuleList()
        generator.output_norm = torch.nn.Identity()
        loud = torch.zeros(1, 9, 16)
        loud[:, :, 0], loud[:, 4, 0] = -1.0, 0.2
        generator.input_norm = torch.nn.Identity()
        generator.input.register_forward_hook(lambda *_, loud=loud: loud.transpose(1, 2))
        generator.style.register_forward_hook(lambda *_: torch.zeros(1, 16))
        wave, _ = generator.speak(torch.zeros(1, 6, 9), torch.zeros(1, 3), pitch=torch.zeros(1, 9))
        energy = wave[0, 0].square()
        middle = 4.5 * 640
        distance = torch.arange(9 * 640) + 0.5 - middle
        spreads.append((energy * distance.square()).sum().div(energy.sum()).sqrt())
    assert spreads[1] < 0.7 * spreads[0]


@torch.no_grad()
def test_noise_of_a_source_is_new_in_training_and_the_same_outside_of_it() -> None:
    generator, z, style = _generator(HARMONIC), torch.randn(2, 6, 600), torch.randn(2, 3)
    assert not torch.equal(generator(z, style), generator(z, style))
    generator.eval()
    assert torch.equal(generator(z, style), generator(z, style))
    torch.testing.assert_close(generator(z, style)[:1], generator(z[:1], style[:1]))


@pytest.mark.parametrize("config", [TINY, HARMONIC, FOUR])
def test_every_parameter_gets_a_gradient(config: ISTFTConfig) -> None:
    generator = _generator(config)
    pitch = torch.full((2, 5), 120.0)
    wave, contour = generator.speak(torch.randn(2, 6, 5), torch.randn(2, 3), pitch=pitch)
    loss = wave.square().mean()
    if contour is not None:
        loss = loss + pitch_loss(*contour, pitch)
    loss.backward()
    assert [name for name, p in generator.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("config", [TINY, HARMONIC])
@pytest.mark.parametrize("log_magnitude", [-1000.0, 0.0, 1000.0])
def test_gradients_are_finite_at_silence_and_at_the_loudest(
    log_magnitude: float, config: ISTFTConfig
) -> None:
    generator = _generator(config)
    num_bins = config.n_fft // 2 + 1
    with torch.no_grad():
        generator.head.bias[:num_bins] = log_magnitude
        generator.head.bias[2 * num_bins :] = log_magnitude
    pitch = torch.full((1, 5), 120.0)
    wave, contour = generator.speak(torch.zeros(1, 6, 5), torch.zeros(1, 3), pitch=pitch)
    assert wave.abs().max() == 0 or log_magnitude > -1000
    loss = wave.square().mean() + (0 if contour is None else pitch_loss(*contour, pitch))
    loss.backward()
    assert wave.isfinite().all()
    for parameter in generator.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_under_autocast_a_wave_is_fp32() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert _generator()(torch.randn(1, 6, 5), torch.randn(1, 3)).dtype == torch.float32


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
        ("n_fft", 1279, r"n_fft must be even and at least twice .* \(640\), but is 1279"),
        ("n_fft", 1278, r"at least twice .* \(640\), but is 1278"),
        ("source", "noise", "source must be none or harmonic, but is 'noise'"),
        ("hop_length", 0, r"at least twice .* \(0\), but is 2048"),
        ("spectra_per_frame", 3, r"spectra_per_frame must divide hop_length \(640\), but is 3"),
        ("spectra_per_frame", 0, "spectra_per_frame must be at least 1, but is 0"),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=rf"generator\.istft\..*{message}"):
        ISTFTConfig(**{name: value})
