from __future__ import annotations

import pytest

from gsv2.fit.steps import num_shifts


@pytest.mark.parametrize(
    ("gpt_sec", "hours", "count"),
    [
        (200, 1.0, 0),  # the quickstart
        (420, 0.78, 0),
        (1266, 0.78, 3),  # 40 minutes on 47 of speech
        (1266, 2.0, 0),
        (3600, 2.0, 3),
        (1900, 2.0, 1),
        (60, 0.0, 3),
    ],
)
def test_codes_are_made_again_where_the_gpt_would_learn_them_by_heart(gpt_sec, hours, count):
    assert num_shifts(gpt_sec, hours) == count
