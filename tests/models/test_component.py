from dataclasses import asdict, dataclass, field, replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gsv2.models.component import (
    Component,
    ComponentError,
    load_component,
    read_description,
    save_component,
)


def save(path, module=None):
    save_component(
        path,
        module or nn.Linear(3, 2),
        kind="gpt",
        config={"model_dim": 3},
        provenance={"quantizer": "abc"},
    )


def test_a_component_comes_back_with_all_that_describes_it(tmp_path):
    module = nn.BatchNorm1d(4)  # parameters and buffers of several dtypes
    save(tmp_path / "gpt.safetensors", module)
    component = load_component(tmp_path / "gpt.safetensors", "gpt")
    assert component.config == {"model_dim": 3}
    assert component.provenance == {"quantizer": "abc"}
    assert component.tensors.keys() == module.state_dict().keys()
    for name, value in module.state_dict().items():
        assert torch.equal(component.tensors[name], value)


def test_equal_parts_are_equal_files(tmp_path):
    module = nn.Linear(3, 2)
    for name in "ab":
        save(tmp_path / name, module)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ComponentError, match=r"gpt file .*nowhere.* does not exist"):
        load_component(tmp_path / "nowhere", "gpt")


def test_another_kind_is_refused(tmp_path):
    save(tmp_path / "gpt.safetensors")
    with pytest.raises(ComponentError, match="must hold a vits2, but holds 'gpt'"):
        load_component(tmp_path / "gpt.safetensors", "vits2")


def test_a_truncated_file_is_called_damaged(tmp_path):
    path = tmp_path / "gpt.safetensors"
    save(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ComponentError, match="damaged"):
        load_component(path, "gpt")


def test_what_a_file_is_can_be_read_without_its_tensors(tmp_path):
    path = tmp_path / "gpt.safetensors"
    save(path)
    wanted = {"kind": "gpt", "config": {"model_dim": 3}, "provenance": {"quantizer": "abc"}}
    assert read_description(path) == wanted
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ComponentError, match="damaged"):
        read_description(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ComponentError, match="no component file"):
        read_description(path)
    with pytest.raises(ComponentError, match="nowhere does not exist"):
        read_description(tmp_path / "nowhere")


@dataclass(frozen=True, kw_only=True)
class Inner:
    rates: tuple[tuple[int, int], ...] = ((1, 2), (3, 4))


@dataclass(frozen=True, kw_only=True)
class Outer:
    width: int = 3
    inner: Inner = field(default_factory=Inner)


def test_a_config_comes_back_as_the_dataclass_it_was_written_from(tmp_path):
    written = Outer(width=5, inner=Inner(rates=((7, 8),)))
    path = tmp_path / "gpt.safetensors"
    save_component(path, nn.Linear(1, 1), kind="gpt", config=asdict(written), provenance={})
    assert load_component(path, "gpt").read_config(Outer) == written


def test_a_config_of_another_version_names_the_key():
    component = Component(kind="gpt", config={"depth": 1}, provenance={}, tensors={})
    with pytest.raises(ComponentError, match="Outer has no depth"):
        component.read_config(Outer)
    with pytest.raises(ComponentError, match="Inner has no speed"):
        replace(component, config={"inner": {"speed": 1}}).read_config(Outer)
