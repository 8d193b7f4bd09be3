"""Limits of a server are checked when they are made."""

from dataclasses import fields

import pytest

from gsv2.serve.limits import ServerLimits

MAY_BE_ZERO = ("max_waiting", "max_voices")


@pytest.mark.parametrize("name", [field.name for field in fields(ServerLimits)])
def test_each_limit_leaves_something(name):
    least = 0 if name in MAY_BE_ZERO else 1
    assert getattr(ServerLimits(**{name: least}), name) == least
    for value in (least - 1, float("nan")):
        with pytest.raises(ValueError, match=f"{name} must be at least {least}, but is {value}"):
            ServerLimits(**{name: value})
