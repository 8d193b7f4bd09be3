import pytest
import torch
from torch import nn

from gsv2.models.initial_weights import fold_numbers, take_weights


class Net(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, width) for _ in range(2))
        self.embedding = nn.Embedding(4, 2)
        self.register_buffer("told", torch.zeros(2))


def test_every_tensor_is_taken_missing_unfit_or_unused_and_buffers_stay():
    source = Net().state_dict()
    source["told"] = torch.ones(2)
    source["layers.1.bias"] = torch.ones(9)
    source["layers.0.gain"] = source.pop("layers.0.weight")
    net = Net()
    kept = net.layers[1].bias.clone()
    found = take_weights(net, source, where="init.gpt X")
    assert found.taken == ("layers.0.bias", "layers.1.weight", "embedding.weight")
    assert found.missing == ("layers.0.weight",)
    assert found.unfit == ("layers.1.bias [3], [9]",)
    assert found.unused == ("layers.0.gain",)
    assert torch.equal(net.layers[1].weight, source["layers.1.weight"])
    assert torch.equal(net.layers[1].bias, kept)
    assert not net.told.any()
    assert [line.split(":")[0] for line in found.lines()] == [
        "3 taken",
        "1 not in the source, start afresh",
        "1 of another shape, start afresh",
        "1 of the source not used",
    ]


def test_a_table_takes_its_first_rows_where_it_may():
    source = {"embedding.weight": torch.randn(9, 2, dtype=torch.bfloat16)}
    net = Net()
    with pytest.raises(ValueError, match=r"init X: no tensor fits.*embedding.weight \[4, 2\]"):
        take_weights(net, source, where="init X")
    found = take_weights(net, source, where="init X", slices=("embedding.weight",))
    assert found.taken == ("embedding.weight",)
    assert torch.equal(net.embedding.weight, source["embedding.weight"][:4].float())


def test_a_source_without_a_name_in_common_or_with_nan_is_refused_and_changes_nothing():
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match="no tensor has the name of a parameter here"):
        take_weights(net, {"other": torch.ones(2)}, where="init X")
    bad = dict(Net().state_dict())
    bad["layers.1.bias"] = torch.full((3,), torch.nan)
    with pytest.raises(ValueError, match=r"init X: layers.1.bias holds NaN"):
        take_weights(net, bad, where="init X")
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_names_of_layers_are_one_name_with_all_numbers():
    names = [f"b.layers.{i}.norm" for i in (0, 1, 2, 5)] + ["b.norm", "c.3.weight"]
    assert fold_numbers(names) == ["b.layers.{0-2,5}.norm", "b.norm", "c.3.weight"]
