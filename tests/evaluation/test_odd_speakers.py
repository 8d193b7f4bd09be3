"""Who differs from the others is named with the figure; who does not is not."""

from __future__ import annotations

from gsv2.data.building.statistics import SpeakerTotals
from gsv2.evaluation.odd_speakers import odd_speakers


def totals(**means: float) -> SpeakerTotals:
    return SpeakerTotals(
        clips=4,
        seconds=9.0,
        sums={name: 4 * mean for name, mean in means.items()},
        counts=dict.fromkeys(means, 4),
    )


def test_the_farthest_comes_first():
    speakers = {f"s{n}": totals(snr_db=40.0 + n, letters_per_sec=12.0 + 0.1 * n) for n in range(9)}
    speakers["phone"] = totals(snr_db=4.0, letters_per_sec=12.0)
    speakers["swapped"] = totals(snr_db=41.0, letters_per_sec=40.0)
    speakers[""] = totals(snr_db=-20.0, letters_per_sec=90.0)
    found = odd_speakers(speakers)
    assert [(odd.speaker, odd.figure) for odd in found] == [
        ("swapped", "letters_per_sec"), ("phone", "snr_db")
    ]  # fmt: skip
    assert found[1].mean == 4.0
    assert 40 <= found[1].median <= 46


def test_among_few_or_equal_speakers_nobody_is_odd():
    assert odd_speakers({f"s{n}": totals(snr_db=30.0 * n) for n in range(4)}) == []
    assert odd_speakers({f"s{n}": totals(snr_db=30.0) for n in range(9)}) == []
