from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.config import config_to_dict
from gsv2.models.component import load_component, save_component
from gsv2.models.quantizer.codebooks import CodebookConfig
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig

SHAPES = [(2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (1, 8)]
LENGTHS = (30, 17, 1, 8)


def make_features(seed: int = 1) -> SpeechFeatures:
    torch.manual_seed(seed)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    smooth = torch.randn(4, 33, 10).unfold(1, 4, 1).mean(dim=-1)
    return SpeechFeatures((3.0 * smooth + 2.0) * mask.unsqueeze(-1), mask)


def make_quantizer(groups: int = 1, levels: int = 2, rate_hz: float = 25.0) -> Quantizer:
    torch.manual_seed(0)
    config = QuantizerConfig(
        codes=CodeConfig(groups=groups, levels=levels, codebook_size=8, dim=8, rate_hz=rate_hz),
        codebooks=CodebookConfig(kmeans_iterations=5),
        speech_encoder=SpeechEncoderConfig(num_mels=5),
        width=16,
        num_blocks=1,
        kernel_size=3,
    )
    quantizer = Quantizer(config)
    quantizer.initialise([make_features(0), make_features(1)], frames_per_step=28.0)
    return quantizer


@pytest.mark.parametrize(("groups", "levels"), SHAPES)
def test_codes_have_k_codebooks_and_decode_to_features(groups: int, levels: int) -> None:
    quantizer = make_quantizer(groups, levels)
    features, mask = make_features()
    codes = quantizer.encode(features, mask)
    assert codes.shape == (4, groups * levels, 15)
    assert (codes[:, 0] >= 0).sum(dim=1).tolist() == [15, 9, 1, 4]
    assert ((codes >= 0) == (codes[:, :1] >= 0)).all()
    assert codes.max() < 8
    assert quantizer.decode(codes).shape == (4, 30, 10)


@pytest.mark.parametrize("rate_hz", [25.0, 50.0])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_odd_even_and_single_frames_go_round(rate_hz: float, length: int) -> None:
    quantizer = make_quantizer(rate_hz=rate_hz)
    features, mask = torch.randn(1, length, 10), torch.ones(1, length, dtype=torch.bool)
    num_codes = -(-length // quantizer.config.stride)
    codes = quantizer.encode(features, mask)
    assert codes.shape == (1, 2, num_codes)
    assert (codes >= 0).all()
    assert quantizer.decode(codes).shape == (1, num_codes * quantizer.config.stride, 10)


def test_codes_and_reconstruction_of_a_clip_do_not_depend_on_its_batch() -> None:
    quantizer = make_quantizer()
    features, mask = make_features()
    noisy = torch.where(mask.unsqueeze(-1), features, 1e3)
    codes, decoded = quantizer.encode(noisy, mask), quantizer.decode(quantizer.encode(noisy, mask))
    for i, length in enumerate(LENGTHS):
        alone = quantizer.encode(features[i : i + 1, :length], mask[i : i + 1, :length])
        assert torch.equal(codes[i, :, : alone.shape[-1]], alone[0])
        torch.testing.assert_close(
            decoded[i, :length], quantizer.decode(alone)[0, :length], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("levels", [2, 8])
def test_codes_do_not_depend_on_the_number_of_threads(levels: int) -> None:
    quantizer, before = make_quantizer(1, levels), torch.get_num_threads()
    codes = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            codes.append(quantizer.encode(*make_features()))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, codes[0]) for one in codes)


def test_level_dropout_reconstructs_from_the_first_levels_in_training_alone() -> None:
    plain = make_quantizer(2, 2)
    dropping = Quantizer(replace(plain.config, level_dropout=1.0))
    dropping.load_state_dict(plain.state_dict())
    features, mask = make_features()
    expected = plain.eval()(features, mask)
    assert torch.equal(dropping.eval()(features, mask).reconstruction, expected.reconstruction)
    dropped = dropping.train()(features, mask)
    assert torch.equal(dropped.codes, expected.codes)
    assert torch.equal(dropped.commitment, expected.commitment)
    first = expected.codes.clone()
    first[:, 1::2] = -1  # group-major: the second level of each of the two groups
    vectors = plain.code_vectors()(first)
    slow_mask = first[:, 0] >= 0
    decoded = plain.decoder(vectors, slow_mask)[:, : features.shape[1]]
    torch.testing.assert_close(dropped.reconstruction[mask], decoded[mask], rtol=1e-4, atol=1e-4)
    states = []
    for mode in (True, False):  # without dropout no number more is drawn
        torch.manual_seed(0)
        plain.train(mode)(features, mask)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_level_dropout_of_one_level_is_refused() -> None:
    config = make_quantizer(2, 1).config
    with pytest.raises(ValueError, match=r"level_dropout must be 0 where codes\.levels is 1"):
        replace(config, level_dropout=0.5)


def test_padding_enters_neither_normalisation_nor_statistics_nor_losses() -> None:
    features, mask = make_features()
    wild = torch.where(mask.unsqueeze(-1), features, 1e3)
    torch.manual_seed(0)
    clean = make_quantizer()
    for given in (features, wild):
        quantizer = Quantizer(clean.config)
        quantizer.load_state_dict(clean.state_dict())
        output = quantizer(given, mask)
        output.commitment.backward()
        if given is features:
            expected, weight = output, quantizer.encoder.out.weight.grad
    assert torch.equal(output.codes, expected.codes)
    torch.testing.assert_close(output.statistics.sums, expected.statistics.sums)
    torch.testing.assert_close(quantizer.encoder.out.weight.grad, weight)
    assert output.statistics.counts.sum(dim=1).tolist() == [29.0, 29.0]


def test_normalised_features_have_mean_0_and_variance_1() -> None:
    quantizer = make_quantizer()
    frames = torch.cat(
        [quantizer(*make_features(seed)).target[make_features(seed).mask] for seed in (0, 1)]
    )
    torch.testing.assert_close(frames.mean(dim=0), torch.zeros(10), rtol=0, atol=1e-5)
    torch.testing.assert_close(frames.std(dim=0), torch.ones(10), rtol=0, atol=1e-5)


def test_decoding_the_codes_gives_the_reconstruction_in_feature_units() -> None:
    quantizer = make_quantizer(2, 2)
    features, mask = make_features()
    output = quantizer(features, mask)
    decoded = quantizer.decode(output.codes)
    expected = output.reconstruction * quantizer.feature_std + quantizer.feature_mean
    torch.testing.assert_close(decoded[mask], expected[mask], rtol=1e-4, atol=1e-4)


def test_gradients_pass_straight_through_to_every_parameter() -> None:
    quantizer = make_quantizer()
    features, mask = make_features()
    output = quantizer(features, mask)
    (output.reconstruction[mask].square().mean() + output.commitment).backward()
    assert all(p.grad is not None and p.grad.any() for p in quantizer.parameters())


def test_residual_energy_falls_from_level_to_level() -> None:
    energy = make_quantizer(1, 4)(*make_features()).residual_energy
    assert energy.shape == (4,)
    assert (energy[1:] < energy[:-1]).all()
    assert energy[0] < 1


def test_it_is_initialised_once() -> None:
    quantizer = make_quantizer()
    state = {name: value.clone() for name, value in quantizer.state_dict().items()}
    with pytest.raises(ValueError, match="initialised once"):
        quantizer.initialise([make_features(2)], frames_per_step=1.0)
    assert all(torch.equal(state[name], value) for name, value in quantizer.state_dict().items())


def test_the_fingerprint_changes_with_the_codebooks_and_with_nothing_else() -> None:
    quantizer = make_quantizer()
    before = quantizer.fingerprint()
    with torch.no_grad():
        quantizer.decoder.up.weight.add_(1.0)
    quantizer.eval()
    assert quantizer.fingerprint() == before
    quantizer.update_codebooks(quantizer(*make_features()).statistics)
    assert quantizer.fingerprint() != before


def saved(quantizer: Quantizer, path: Path) -> Quantizer:
    config = config_to_dict(quantizer.config)
    save_component(path, quantizer, kind="quantizer", config=config, provenance={})
    return Quantizer.from_component(load_component(path, "quantizer"))


def test_a_component_file_brings_back_the_same_codes(tmp_path: Path) -> None:
    quantizer = make_quantizer(2, 2)
    loaded = saved(quantizer, tmp_path / "quantizer.safetensors")
    assert loaded.config == quantizer.config
    assert loaded.fingerprint() == quantizer.fingerprint()
    assert torch.equal(loaded.encode(*make_features()), quantizer.encode(*make_features()))
    assert torch.equal(loaded.code_vectors().codebooks, quantizer.codebooks.entries)


def test_a_frozen_quantizer_cannot_be_moved(tmp_path: Path) -> None:
    quantizer = saved(make_quantizer(), tmp_path / "quantizer.safetensors")
    state = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer.train()
    assert not any(module.training for module in quantizer.modules())
    assert not any(parameter.requires_grad for parameter in quantizer.parameters())
    output = quantizer(*make_features())
    with pytest.raises(ValueError, match="frozen quantizer must not be updated"):
        quantizer.update_codebooks(output.statistics)
    assert all(torch.equal(state[name], value) for name, value in quantizer.state_dict().items())


def test_it_computes_in_fp32_under_autocast() -> None:
    quantizer = make_quantizer()
    features, mask = make_features()
    plain: Tensor = quantizer(features, mask).reconstruction
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = quantizer(features, mask)
        codes = quantizer.encode(features, mask)
    assert output.reconstruction.dtype == torch.float32
    assert torch.equal(output.reconstruction, plain)
    assert torch.equal(codes, quantizer.encode(features, mask))


def test_a_rate_that_does_not_divide_50_hz_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rate_hz must divide 50\.0, but is 30"):
        QuantizerConfig(codes=CodeConfig(rate_hz=30.0))
