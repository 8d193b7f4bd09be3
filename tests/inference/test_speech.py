import numpy as np
import pyloudnorm
import pytest
import torch

from gsv2.inference.speech import Speech, SpeechWarning, Timeline, join_pieces, level_speech
from gsv2.inference.spoken_times import Spoken, SpokenText

RATE = 1000


def piece(length: int, *warnings: SpeechWarning) -> Speech:
    spoken = (Spoken("a", 0.0, length / RATE),)
    times = SpokenText(spoken, spoken, length / RATE) if length else None
    codes = (torch.zeros(1, length, dtype=torch.int64),)
    return Speech(np.ones(length, dtype=np.float32), RATE, not warnings, times, codes, warnings)


def test_pieces_stand_after_their_pauses_and_so_do_their_times():
    timeline = Timeline()
    first = timeline.add(piece(10), 0.005)
    second = timeline.add(piece(20), 0.1, 0.05)
    whole = timeline.whole()
    assert np.array_equal(whole.wave, np.concatenate([first.wave, second.wave]))
    assert whole.wave.nonzero()[0].tolist() == [*range(5, 15), *range(115, 135)]
    assert len(whole.wave) == 185
    found = [(s.start_sec, round(s.end_sec, 9)) for s in whole.times.words]
    assert found == [(0.005, 0.015), (0.115, 0.135)]
    assert whole.ended


def test_pieces_of_a_sentence_join_without_a_pause_and_its_times_come_with_the_last():
    def part(length: int, *, is_end: bool) -> Speech:
        whole = piece(30)
        spoken = whole._replace(wave=whole.wave[:length], is_end=is_end)
        return spoken if is_end else Speech(spoken.wave, RATE, True, is_end=False)

    timeline = Timeline()
    timeline.add(piece(10), 0.0)
    parts = [timeline.add(part(n, is_end=n == 5), 0.1, 0.02) for n in (10, 15, 5)]
    assert [len(p.wave) for p in parts] == [110, 15, 25]
    assert parts[2].times.words[0].start_sec == 0.11  # from where the first piece sounds
    assert timeline.whole().times.words[1].end_sec == pytest.approx(0.14)
    assert timeline.add(piece(1), 0.0).times.words[0].start_sec == 0.16
    joined = join_pieces([piece(10), *parts])
    assert len(joined.wave) == 160
    assert len(joined.codes) == 2


def test_what_was_decided_is_said_of_the_whole():
    timeline = Timeline()
    warning = SpeechWarning("empty", 1, "hm")
    timeline.add(piece(10), 0.0)
    timeline.add(piece(0, warning), 0.5)
    whole = timeline.whole()
    assert whole.warnings == (warning,)
    assert str(warning) == "sentence 2 was not spoken, since its end came first: 'hm'"
    assert not whole.ended
    assert len(whole.wave) == 10  # no pause before what is not there
    assert [codes.shape[1] for codes in whole.codes] == [10, 0]


@pytest.mark.parametrize("seconds", [0.1, 0.3, 2.0])
@pytest.mark.parametrize("loudness", [0.003, 0.3])
def test_speech_has_the_loudness_of_corpora_however_short_it_is(seconds, loudness):
    """By pyloudnorm itself; of less than a block, by that of the speech repeated."""
    rate = 32_000
    noise = np.random.default_rng(0).standard_normal(int(seconds * rate)).astype(np.float32)
    wave = np.concatenate([loudness * noise, np.zeros(int(seconds * rate), dtype=np.float32)])
    speech = level_speech(Speech(wave, rate, True))
    assert np.allclose(speech.wave, wave * np.float32(speech.gain))
    repeated = np.tile(speech.wave, 1 if seconds >= 0.4 else 20)
    heard = pyloudnorm.Meter(rate).integrated_loudness(repeated.astype(np.float64))
    assert heard == pytest.approx(-23, abs=0.1 if seconds >= 0.4 else 1.5)


def test_no_peak_is_clipped_for_loudness_and_silence_stays_silent():
    click = np.zeros(32_000, dtype=np.float32)
    click[100] = 0.5
    click[5000:] = 1e-3
    assert np.abs(level_speech(Speech(click, 32_000, True)).wave).max() == pytest.approx(0.99)
    silence = Speech(np.zeros(32_000, dtype=np.float32), 32_000, True)
    assert level_speech(silence) is silence


def test_of_nothing_a_moment_of_silence_is_left():
    timeline = Timeline()
    timeline.add(piece(0), 0.0)
    assert timeline.whole().wave.tolist() == [0.0] * 200
