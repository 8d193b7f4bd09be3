import torch

from benchmarks.older_bundle import copy_for_older
from gsv2.inference.bundle import load_bundle


def test_a_copy_without_keys_of_default_values_is_the_same_bundle(tiny_bundle, tmp_path):
    """And loads: its hashes are its own."""
    before, after = (
        load_bundle(tiny_bundle),
        load_bundle(copy_for_older(tiny_bundle, tmp_path / "b")),
    )
    assert before.keys() == after.keys()
    assert "content_text" in before["vits2"].config
    assert "content_text" not in after["vits2"].config
    for kind, part in before.items():
        assert part.provenance == after[kind].provenance
        for name, tensor in part.tensors.items():
            assert torch.equal(tensor, after[kind].tensors[name]), name
