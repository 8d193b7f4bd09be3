import json

import numpy as np

from gsv2.data.plan.window import ComponentMark, LaneMark, Window


def test_a_mark_survives_json():
    mark = LaneMark(3, 17, 2, (ComponentMark(1, 4, 5, 0.1 + 0.2), ComponentMark(0, 0, 0, 1e-17)))
    assert LaneMark.from_plain(json.loads(json.dumps(mark.to_plain()))) == mark


def test_drafts_and_the_following_window_are_made_once_and_only_when_asked_for():
    calls = []

    def window(place):
        mark = LaneMark(0, place, 0, ())
        return Window(
            mark,
            np.arange(2),
            lambda: calls.append("draft") or ["a", "b", "c"],
            lambda num_drafts: calls.append("cut") or window(place + num_drafts),
        )

    first = window(5)
    assert calls == []
    assert first.following is first.following
    assert first.following.mark.place == 8
    assert calls == ["draft", "cut"]
