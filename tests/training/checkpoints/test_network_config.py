from __future__ import annotations

from dataclasses import dataclass

from gsv2.training.checkpoints.network_config import compare_configs


@dataclass(frozen=True, kw_only=True)
class Sizes:
    dim: int
    path: str = ""
    later: int = 3


def differences(saved: dict[str, object], own: dict[str, object]) -> dict[str, tuple[object, ...]]:
    found = compare_configs(saved, own, Sizes)
    return {key: (there, here) for key, there, here in found if there != here}


def test_fields_that_came_later_have_their_defaults_and_places_are_free() -> None:
    own = {"dim": 4, "path": "here", "later": 3}
    assert differences({"dim": 4, "path": "there"}, own) == {}
    assert differences({"dim": 4}, own | {"later": 5}) == {"later": (3, 5)}
    assert differences({"dim": 4, "gone": 1}, own) == {"gone": (1, None), "later": (None, 3)}
