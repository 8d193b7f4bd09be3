import pytest
from torch import nn

from gsv2.models.freezing import freeze_modules


def make_network() -> nn.Module:
    return nn.ModuleDict({"head": nn.Linear(2, 2), "heads": nn.ModuleList([nn.Linear(2, 2)] * 2)})


def test_what_is_named_is_frozen_and_nothing_that_begins_alike():
    network = make_network()
    freeze_modules(network, ["head", "heads.0.bias"], "model.freeze")
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert frozen == ["head.weight", "head.bias", "heads.0.bias"]


def test_an_unknown_name_and_a_network_with_nothing_left_are_refused():
    with pytest.raises(ValueError, match=r"model.freeze .* has 'hed'; there are head, heads"):
        freeze_modules(make_network(), ["hed"], "model.freeze")
    with pytest.raises(ValueError, match="must leave something to train, but head, heads is all"):
        freeze_modules(make_network(), ["head", "heads"], "model.freeze")
