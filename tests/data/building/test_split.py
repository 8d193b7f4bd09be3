"""A part depends on the clip alone, and parts share no speaker, or no text."""

from __future__ import annotations

import numpy as np
import pytest

from gsv2.data.building.encode import ClipRecord
from gsv2.data.building.split import SplitConfig

WAVE = np.zeros(1, np.float32)


def clip(speaker: str, text: str, source: str = "") -> ClipRecord:
    return ClipRecord(key="a", wave=WAVE, text=text, language="en", speaker=speaker, source=source)


def parts(config: SplitConfig, clips: list[ClipRecord]) -> list[str]:
    return [config.part_of(clip) for clip in clips]


def test_parts_have_their_shares_and_no_speaker_in_common():
    clips = [clip(f"s{number % 3000}", f"text {number}") for number in range(6000)]
    config = SplitConfig(validation=0.1, test=0.05)
    of_speaker: dict[str, set[str]] = {}
    for one, part in zip(clips, parts(config, clips), strict=True):
        of_speaker.setdefault(one.speaker, set()).add(part)
    assert all(len(found) == 1 for found in of_speaker.values())
    counts = {name: sum(name in found for found in of_speaker.values()) for name in config.parts}
    assert counts["validation"] == pytest.approx(300, abs=60)
    assert counts["test"] == pytest.approx(150, abs=45)


def test_a_larger_share_of_tests_keeps_those_that_there_were():
    clips = [clip(f"s{number}", "a") for number in range(1000)]
    small, large = (parts(SplitConfig(test=share), clips) for share in (0.05, 0.2))
    assert all(b == "test" for a, b in zip(small, large, strict=True) if a == "test")


def test_one_label_of_two_sources_is_two_speakers():
    config = SplitConfig(test=0.5)
    pairs = [(clip(str(n), "a", "x"), clip(str(n), "a", "y")) for n in range(50)]
    assert any(config.part_of(a) != config.part_of(b) for a, b in pairs)


def test_by_text_one_text_is_in_one_part_whoever_says_it_and_however_it_is_written():
    config = SplitConfig(validation=0.5, by="text")
    for number in range(20):
        a, b = clip("anna", f"Hello, you {number}!"), clip("bert", f"hello you {number}")
        assert config.part_of(a) == config.part_of(b)
    unknown = SplitConfig(validation=0.5)
    texts = [clip("", f"text {number}") for number in range(50)]
    assert set(parts(unknown, texts)) == {"train", "validation"}


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match="below 1 together"):
        SplitConfig(validation=0.6, test=0.4)
    with pytest.raises(ValueError, match="by speaker or text"):
        SplitConfig(by="length")
    assert SplitConfig().parts == ("train",)
