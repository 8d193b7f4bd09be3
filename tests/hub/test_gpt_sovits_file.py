import collections
import fractions

import pytest
import torch

from gsv2.hub.gpt_sovits_file import read_sovits_file, whole_weight
from tests.support.sovits_checkpoint import RATES, generator_tensors, save_checkpoint


def test_tensors_and_settings_are_read_without_the_class_of_the_settings(tmp_path):
    tensors = generator_tensors()
    found = read_sovits_file(save_checkpoint(tmp_path / "a.pth", tensors))
    assert found.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found.tensors[name], tensor.half().float()), name
    assert found.setting("upsample_rates") == list(RATES)
    assert found.setting("n_speakers") is None


def test_a_training_checkpoint_and_a_marked_release_are_read_too(tmp_path):
    tensors = {"a.weight": torch.ones(2)}
    torch.save({"model": tensors, "iteration": 3, "learning_rate": 1e-4}, tmp_path / "G.pth")
    assert torch.equal(read_sovits_file(tmp_path / "G.pth").tensors["a.weight"], torch.ones(2))
    content = save_checkpoint(tmp_path / "a.pth", tensors).read_bytes()
    (tmp_path / "b.pth").write_bytes(b"01" + content[2:])
    assert read_sovits_file(tmp_path / "b.pth").tensors.keys() == tensors.keys()


def test_a_norm_and_a_direction_are_what_torch_makes_of_them():
    torch.manual_seed(0)
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(3, 4, 5))
    old = {
        "up.weight_g": layer.parametrizations.weight.original0.detach() * 2,
        "up.weight_v": layer.parametrizations.weight.original1.detach(),
    }
    assert torch.allclose(whole_weight(old, "up"), layer.weight.detach() * 2)


@pytest.mark.parametrize("value", [fractions.Fraction(1, 2), collections.deque([1])])
def test_objects_of_other_classes_are_refused_unread(tmp_path, value):
    torch.save({"weight": {"a": torch.ones(1)}, "config": value}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth is no checkpoint of tensors and settings alone"):
        read_sovits_file(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weight": {}}, "holds no weights"),
        ({"optimizer": {}}, "holds no weights"),
        ({"weight": {"a": 1}}, "a must be a tensor of finite numbers"),
        ({"weight": {"a": torch.tensor([float("nan")])}}, "a must be a tensor of finite numbers"),
    ],
)
def test_what_holds_no_weights_is_named(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=message):
        read_sovits_file(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 cut"])
def test_what_is_no_checkpoint_is_one_line(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pth") as error:
        read_sovits_file(tmp_path / "a.pth")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="does not exist"):
        read_sovits_file(tmp_path / "b.pth")
