import pytest
import torch

from gsv2.nn.key_value_cache import KeyValueCache


@pytest.mark.parametrize("num_places", [1, 4, 100])
def test_what_comes_back_is_what_was_put_in_whatever_memory_was_taken(num_places):
    torch.manual_seed(0)
    cache = KeyValueCache(num_places)
    whole = {layer: torch.randn(2, 2, 3, 9, 4) for layer in range(2)}  # keys and values
    start = 0
    for size in (5, 1, 1, 2):
        for layer, tensors in whole.items():
            new = tensors[:, :, :, start : start + size]
            found = cache.update(new[0], new[1], layer)
            for part, expected in zip(found, tensors, strict=True):
                assert torch.equal(part, expected[:, :, : start + size])
        start += size
        assert cache.get_seq_length() == start


def test_kept_rows_go_on():
    cache = KeyValueCache(8)
    key, value = torch.randn(3, 1, 2, 4), torch.randn(3, 1, 2, 4)
    cache.update(key, value, 0)
    cache.keep(torch.tensor([2, 0]))
    more = torch.randn(2, 1, 1, 4)
    keys, values = cache.update(more, more, 0)
    assert torch.equal(keys, torch.cat([key[[2, 0]], more], dim=2))
    assert torch.equal(values, torch.cat([value[[2, 0]], more], dim=2))
