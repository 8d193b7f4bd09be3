import json
import shutil

import pytest
import torch

from gsv2.inference.bundle import BundleError, export_bundle, load_bundle
from gsv2.models.vits2.folded_norms import fold_weight_norms
from tests.support.tiny_bundle import save_parts, tiny_modules


def test_a_bundle_holds_the_weights_of_its_runs(tmp_path):
    bundle = export_bundle([save_parts(tmp_path / "run")], tmp_path / "bundle")
    parts = load_bundle(bundle)
    modules = tiny_modules()
    fold_weight_norms(modules["generator"])  # it only speaks
    for kind, name in {"quantizer": "quantizer", "gpt": "gpt", "vits2": "generator"}.items():
        for key, value in modules[name].state_dict().items():
            assert torch.equal(parts[kind].tensors[key], value), (kind, key)


def test_parts_may_come_from_several_runs(tmp_path):
    parts = save_parts(tmp_path / "all")
    runs = []
    for name in ("quantizer", "gpt", "generator"):
        runs.append(tmp_path / name)
        runs[-1].mkdir()
        shutil.copy(parts / f"{name}.safetensors", runs[-1])
    assert load_bundle(export_bundle(runs, tmp_path / "bundle")).keys() == {
        "quantizer",
        "gpt",
        "vits2",
    }


def test_parts_of_different_quantizers_are_refused_by_name(tmp_path):
    save_parts(tmp_path / "a")
    save_parts(tmp_path / "b", provenance={"quantizer": "another"})
    (tmp_path / "a" / "gpt.safetensors").unlink()
    for name in ("quantizer", "generator"):
        (tmp_path / "b" / f"{name}.safetensors").unlink()
    with pytest.raises(BundleError, match=r"same quantizer, but are not: .*gpt .*another"):
        export_bundle([tmp_path / "a", tmp_path / "b"], tmp_path / "bundle")


def test_an_older_bundle_is_replaced_but_nothing_else(tmp_path):
    parts = save_parts(tmp_path / "a")
    export_bundle([parts], tmp_path / "bundle")
    export_bundle([save_parts(tmp_path / "b", seed=1)], tmp_path / "bundle")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "bundle"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is not a bundle; choose another folder"):
        export_bundle([parts], tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").exists()


def test_a_bundle_is_checked_when_it_is_read(tmp_path):
    bundle = export_bundle([save_parts(tmp_path / "a")], tmp_path / "bundle")
    file = bundle / "vits2.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"vits2\.safetensors is damaged"):
        load_bundle(bundle)
    file.unlink()
    with pytest.raises(BundleError, match=r"vits2\.safetensors is missing"):
        load_bundle(bundle)
    description = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**description, "format_version": 99}))
    with pytest.raises(BundleError, match="format must be 1, but is 99"):
        load_bundle(bundle)
    with pytest.raises(BundleError, match="is not a bundle"):
        load_bundle(tmp_path)
