import pytest
import torch
from torch import Tensor

from gsv2.models.quantizer.codebooks import CodebookConfig, Codebooks
from gsv2.nn.codes import CodeConfig, CodeVectors

SHAPES = [(2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (1, 8)]
V = 8


def make_codebooks(groups: int = 1, levels: int = 2, **options: float) -> Codebooks:
    torch.manual_seed(0)
    codes = CodeConfig(groups=groups, levels=levels, codebook_size=V, dim=8)
    codebooks = Codebooks(codes, CodebookConfig(kmeans_iterations=10, **options))
    codebooks.initialise(torch.randn(500, 8), frames_per_step=40.0)
    return codebooks


def latents(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    mask = torch.arange(20)[None] < torch.tensor([[20], [13]])
    return scale * torch.randn(2, 20, 8), mask


@pytest.mark.parametrize(("groups", "levels"), SHAPES)
def test_residuals_end_with_what_the_code_vectors_leave(groups: int, levels: int) -> None:
    codebooks = make_codebooks(groups, levels)
    x, mask = latents()
    codes, residuals = codebooks(x, mask)
    assert codes.shape == (2, groups * levels, 20)
    assert residuals.shape == (groups, levels + 1, 2, 20, 8 // groups)
    vectors = CodeVectors(codebooks.codes)
    vectors.set_codebooks(codebooks.entries)
    left = torch.cat(residuals[:, -1].unbind(), dim=-1)
    torch.testing.assert_close((x - vectors(codes))[mask], left[mask])
    assert (residuals[:, -1].square().mean() < residuals[:, 0].square().mean()).item()


@pytest.mark.parametrize(("groups", "levels"), SHAPES)
def test_each_level_takes_the_nearest_entry(groups: int, levels: int) -> None:
    codebooks = make_codebooks(groups, levels)
    x, mask = latents()
    codes, residuals = codebooks(x, mask)
    given = residuals[:, :-1].reshape(groups * levels, 40, 8 // groups)
    nearest = torch.cdist(given, codebooks.entries).argmin(dim=-1).view(-1, 2, 20).transpose(0, 1)
    assert torch.equal(codes, nearest.masked_fill(~mask[:, None], -1))


def test_a_pass_changes_nothing_even_in_training_mode() -> None:
    codebooks = make_codebooks().train()
    before = {name: value.clone() for name, value in codebooks.state_dict().items()}
    codebooks(*latents())
    assert all(torch.equal(before[name], value) for name, value in codebooks.state_dict().items())
    assert not list(codebooks.parameters())


def test_use_before_initialisation_is_an_error_and_does_not_initialise() -> None:
    codebooks = Codebooks(CodeConfig(codebook_size=V, dim=8), CodebookConfig())
    with pytest.raises(ValueError, match="must be initialised or loaded"):
        codebooks(*latents())
    assert not codebooks.initialised


def test_k_means_needs_a_frame_an_entry() -> None:
    codebooks = Codebooks(CodeConfig(codebook_size=V, dim=8), CodebookConfig())
    with pytest.raises(ValueError, match=r"codebook_size \(8\) code frames, but the data holds 7"):
        codebooks.initialise(torch.randn(7, 8), frames_per_step=1.0)


def test_a_loaded_state_is_initialised() -> None:
    codebooks = make_codebooks()
    loaded = Codebooks(codebooks.codes, codebooks.config)
    loaded.load_state_dict(codebooks.state_dict())
    assert loaded.initialised
    assert torch.equal(loaded(*latents()).codes, codebooks(*latents()).codes)


def test_averages_start_at_the_scale_of_a_step() -> None:
    codebooks = make_codebooks()
    torch.testing.assert_close(codebooks.cluster_sizes.sum(dim=1), torch.full((2,), 40.0))


def test_entries_follow_their_frames_by_the_moving_average() -> None:
    codebooks = make_codebooks(decay=0.9, dead_share=0.0)
    x, mask = latents()
    quantized = codebooks(x, mask)
    entries, sizes = codebooks.entries, codebooks.cluster_sizes
    codebooks.update(codebooks.statistics(quantized, mask))
    first = x[mask]
    for v in range(V):
        mine = first[quantized.codes.transpose(0, 1)[0][mask] == v]
        size = 0.9 * sizes[0, v] + 0.1 * len(mine)
        mean = (0.9 * sizes[0, v] * entries[0, v] + 0.1 * mine.sum(dim=0)) / size
        torch.testing.assert_close(codebooks.cluster_sizes[0, v], size)
        torch.testing.assert_close(codebooks.entries[0, v], mean, rtol=1e-3, atol=1e-4)


def test_dead_entries_revive_and_are_used_again() -> None:
    codebooks = make_codebooks(decay=0.5, dead_share=0.1)
    for library in codebooks._libraries():
        library.embed[:, V // 2 :] = 1e3  # half of the entries far from everything
        library.embed_avg.copy_(library.embed * library.cluster_size[..., None])
    x, mask = latents()
    assert codebooks(x, mask).codes.max() < V // 2
    for _ in range(12):
        codebooks.update(codebooks.statistics(codebooks(x, mask), mask))
    assert (codebooks.revived >= V // 2).all()
    assert codebooks.entries.abs().max() < 100
    assert codebooks(x, mask).codes[:, 0].max() >= V // 2


def test_statistics_that_are_not_finite_are_left_out() -> None:
    codebooks = make_codebooks()
    x, mask = latents()
    statistics = codebooks.statistics(codebooks(x, mask), mask)
    entries = codebooks.entries
    codebooks.update(statistics._replace(sums=statistics.sums * float("nan")))
    assert torch.equal(codebooks.entries, entries)


@pytest.mark.parametrize(("field", "value"), [("decay", 1.0), ("dead_share", -0.1)])
def test_values_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"codebooks\.{field} must lie .* but is {value}"):
        CodebookConfig(**{field: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_k_means_refuses_frames_that_are_not_finite(value: float) -> None:
    codebooks = Codebooks(make_codebooks().codes, CodebookConfig())
    frames = torch.randn(500, 8)
    frames[3, 1] = value
    with pytest.raises(ValueError, match="1 of 500 hold NaN or infinite values"):
        codebooks.initialise(frames, frames_per_step=40.0)
    assert not codebooks.initialised
