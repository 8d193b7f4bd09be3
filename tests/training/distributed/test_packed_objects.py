from __future__ import annotations

from typing import Any

import pytest

from gsv2.training.distributed.packed_objects import pack, packed_length, unpack


@pytest.mark.parametrize("value", [None, "", ("a", 1.5), {"b": [2, None]}, ValueError("no")])
def test_what_has_room_comes_out_as_it_went_in(value: Any) -> None:
    box = pack(value, 200)
    assert box.shape == (208,)
    assert packed_length(box) <= 200
    assert repr(unpack(box)) == repr(value)


def test_a_box_of_any_size_tells_how_much_room_is_needed() -> None:
    value = "x" * 1000
    cut = pack(value, 10)
    assert len(cut) == 18
    needed = packed_length(cut)
    assert needed > 1000
    assert unpack(pack(value, needed)) == value
