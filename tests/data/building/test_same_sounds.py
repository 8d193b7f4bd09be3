"""Search for recordings that are there in another encoding."""

from __future__ import annotations

import numpy as np
import pytest

from gsv2.audio.fingerprint import SIZE, likeness
from gsv2.data.building.same_sounds import MIN_LIKENESS, SameSounds

RNG = np.random.default_rng(0)


def prints(count: int) -> np.ndarray:
    return RNG.integers(-127, 128, (count, SIZE)).astype(np.int8)


def changed(found: np.ndarray, spread: float) -> np.ndarray:
    noisy = found + spread * RNG.standard_normal(SIZE)
    return noisy.clip(-127, 127).astype(np.int8)


@pytest.fixture
def sounds():
    found = SameSounds()
    yield found
    found.close()


def test_of_changed_ones_among_thousands_nearly_all_are_found_with_their_likeness(sounds):
    there = prints(3000)
    seconds = RNG.uniform(1, 20, len(there))
    for number, found in enumerate(there):
        assert sounds.first(found, seconds[number], f"clip{number}") is None
    missed = 0
    for number in range(0, 3000, 30):
        again = changed(there[number], 15.0)
        alike = likeness(again, there[number])
        assert alike > MIN_LIKENESS
        found = sounds.first(again, seconds[number] + 0.05, f"again{number}")
        missed += found is None
        assert found in (None, (f"clip{number}", pytest.approx(alike)))
    assert missed <= 6


def test_one_that_lasts_longer_or_is_less_alike_is_another(sounds):
    (found,) = prints(1)
    assert sounds.first(found, 5.0, "first") is None
    assert sounds.first(found, 5.3, "longer") is None
    far = changed(found, 60.0)
    assert likeness(far, found) < MIN_LIKENESS
    assert sounds.first(far, 5.0, "another") is None
    assert sounds.first(found, 5.05, "ü again")[0] == "first"
