import pytest
import torch
from vector_quantize_pytorch import GroupedResidualVQ

from gsv2.nn.codes import CodeConfig, CodeVectors

SHAPES = [(2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (1, 8)]


@pytest.mark.parametrize(("groups", "levels"), SHAPES)
def test_vectors_equal_those_of_the_library(groups: int, levels: int) -> None:
    config = CodeConfig(groups=groups, levels=levels, codebook_size=7, dim=8)
    library = GroupedResidualVQ(dim=8, groups=groups, num_quantizers=levels, codebook_size=7).eval()
    vectors = CodeVectors(config)
    vectors.set_codebooks(library.codebooks.flatten(0, 1))
    codes = torch.randint(7, (3, config.num_codebooks, 5))
    indices = codes.view(3, groups, levels, 5).permute(1, 0, 3, 2)
    torch.testing.assert_close(vectors(codes), library.get_output_from_indices(indices))


def test_padding_has_the_zero_vector() -> None:
    vectors = CodeVectors(CodeConfig(groups=2, levels=2, codebook_size=7, dim=8))
    vectors.set_codebooks(torch.randn(4, 7, 4))
    codes = torch.randint(7, (2, 4, 5))
    codes[1, :, 3:] = -1
    assert not vectors(codes)[1, 3:].any()
    assert vectors(codes)[1, :3].all()


def test_the_lookup_is_a_buffer_that_is_saved_and_never_trains() -> None:
    vectors = CodeVectors(CodeConfig(dim=8))
    assert list(vectors.state_dict()) == ["codebooks"]
    assert not list(vectors.parameters())


def test_codebooks_of_another_shape_are_refused() -> None:
    vectors = CodeVectors(CodeConfig(groups=2, levels=1, codebook_size=7, dim=8))
    with pytest.raises(ValueError, match=r"\(2, 7, 4\), but have \(2, 7, 8\)"):
        vectors.set_codebooks(torch.zeros(2, 7, 8))


def test_groups_that_do_not_divide_the_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match=r"groups must divide dim \(8\), but is 3"):
        CodeConfig(groups=3, dim=8)
