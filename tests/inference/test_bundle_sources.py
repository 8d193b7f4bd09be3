import pytest
import torch

from gsv2.inference.bundle import BundleError, export_bundle, load_bundle
from gsv2.models.component import ComponentError, load_component, save_component
from gsv2.models.gpt.model import SemanticGPT
from tests.support.tiny_bundle import save_parts


def test_a_missing_part_and_a_part_twice_are_named(tmp_path):
    save_parts(tmp_path / "a")
    with pytest.raises(BundleError, match=r"exactly one run must hold a quantizer, but 2 do"):
        export_bundle([tmp_path / "a", save_parts(tmp_path / "b")], tmp_path / "bundle")
    (tmp_path / "a" / "gpt.safetensors").unlink()
    with pytest.raises(BundleError, match=r"exactly one run must hold a gpt, but 0 do"):
        export_bundle([tmp_path / "a"], tmp_path / "bundle")
    with pytest.raises(BundleError, match="nowhere does not exist"):
        export_bundle([tmp_path / "nowhere"], tmp_path / "bundle")


def test_a_damaged_part_is_an_error_not_a_missing_one(tmp_path):
    file = save_parts(tmp_path / "a") / "gpt.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ComponentError, match="damaged"):
        export_bundle([tmp_path / "a"], tmp_path / "bundle")


def test_averages_of_weights_are_taken_where_there_are_any_unless_told_otherwise(tmp_path):
    run = save_parts(tmp_path / "run")
    with pytest.raises(BundleError, match="run holds no average of the weights of the gpt"):
        export_bundle([run], tmp_path / "bundle", averaged=True)
    last = load_component(run / "gpt.safetensors", "gpt")
    average = SemanticGPT.from_component(last)
    torch.nn.init.ones_(average.text_start)
    about = {"kind": "gpt", "config": last.config, "provenance": last.provenance}
    save_component(run / "gpt.ema.safetensors", average, **about)
    starts = [
        load_bundle(export_bundle([run], tmp_path / "bundle", averaged=averaged))["gpt"].tensors[
            "text_start"
        ]
        for averaged in (None, False)
    ]
    assert torch.equal(starts[0], torch.ones_like(starts[0]))
    assert torch.equal(starts[1], last.tensors["text_start"])


def test_a_bundle_is_a_source_of_all_its_parts(tiny_bundle, tmp_path):
    again = load_bundle(export_bundle([tiny_bundle], tmp_path / "again"))
    for kind, part in load_bundle(tiny_bundle).items():
        assert part.config == again[kind].config
        for name, tensor in part.tensors.items():
            assert torch.equal(tensor, again[kind].tensors[name]), name
