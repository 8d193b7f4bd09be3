from __future__ import annotations

import pytest
import torch

from gsv2.training.engines.host_copies import HostCopies, copy_to_host


def test_a_copy_is_equal_contiguous_and_on_its_own() -> None:
    source = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    copies = HostCopies()
    for copy in (copies.copy("x", source), copy_to_host("x", source)):
        assert torch.equal(copy, source)
        assert copy.is_contiguous()
        assert not copy.requires_grad
        assert copy.data_ptr() != source.data_ptr()


def test_the_memory_is_used_again() -> None:
    copies = HostCopies()
    places = {copies.copy("x", torch.full((3,), value)).data_ptr() for value in (1.0, 2.0)}
    assert len(places) == 1
    assert torch.equal(copies.copy("x", torch.zeros(3)), torch.zeros(3))
    assert copies.num_bytes == 12


def test_a_tensor_that_changed_its_shape_or_dtype_gets_new_memory() -> None:
    copies = HostCopies()
    copies.copy("x", torch.zeros(3))
    assert copies.copy("x", torch.ones(4)).tolist() == [1] * 4
    assert copies.copy("x", torch.ones(4, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert copies.num_bytes == 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_copies_of_a_gpu_are_complete_after_finish() -> None:
    copies = HostCopies()
    source = torch.randn(1 << 24, device="cuda")
    copy = copies.copy("x", source)
    copies.finish()
    expected = source.cpu()
    source.zero_()
    torch.cuda.synchronize()
    assert copy.is_pinned()
    assert torch.equal(copy, expected)
