import json

import numpy as np

from gsv2.data.plan.window import LanePosition, PartPosition, Window


def test_a_position_survives_json():
    position = LanePosition(
        3, 17, 2, (PartPosition(1, 4, 5, 0.1 + 0.2), PartPosition(0, 0, 0, 1e-17))
    )
    assert LanePosition.from_plain(json.loads(json.dumps(position.to_plain()))) == position


def test_drafts_and_the_following_window_are_made_once_and_only_when_asked_for():
    calls = []

    def window(place):
        position = LanePosition(0, place, 0, ())
        return Window(
            position,
            np.arange(2),
            lambda: calls.append("batch") or ["a", "b", "c"],
            lambda num_batches: calls.append("cut") or window(place + num_batches),
        )

    first = window(5)
    assert calls == []
    assert first.following is first.following
    assert first.following.position.place == 8
    assert calls == ["batch", "cut"]
