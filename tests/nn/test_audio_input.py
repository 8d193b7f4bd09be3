import pytest
import torch

from gsv2.nn.audio_input import VectorInput, make_audio_input
from gsv2.nn.codes import NO_CODE, CodeConfig

V = 16
CODES = CodeConfig(groups=2, levels=2, codebook_size=V, dim=8)


@pytest.mark.parametrize("name", ["vq", "learned"])
def test_every_code_and_its_absence_changes_the_vector(name):
    torch.manual_seed(0)
    audio_input = make_audio_input(name, 12, CODES)
    audio_input.set_codebooks(torch.randn(4, V, 4))
    steps = torch.randint(V - 1, (1, 4, 1))
    vector = audio_input(steps)
    assert vector.shape == (1, 1, 12)
    for k in range(4):
        for other in (NO_CODE, int(steps[0, k, 0]) + 1):
            changed = steps.clone()
            changed[0, k, 0] = other
            assert not torch.allclose(audio_input(changed), vector)


def test_quantizer_vectors_of_any_scale_enter_with_unit_variance():
    audio_input = VectorInput(12, CODES)
    audio_input.set_codebooks(torch.randn(4, V, 4) * 7)
    vectors = audio_input.vectors(torch.randint(V, (1, 4, 4000))) * audio_input.scale
    assert float(vectors.std()) == pytest.approx(1, rel=0.2)


def test_quantizer_vectors_never_train():
    names = [name for name, _ in VectorInput(12, CODES).named_parameters()]
    assert names == ["project.weight", "project.bias"]
