import numpy as np
import torch

from gsv2.inference.speech import Speech, SpeechWarning, Timeline
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


def test_of_nothing_a_moment_of_silence_is_left():
    timeline = Timeline()
    timeline.add(piece(0), 0.0)
    assert timeline.whole().wave.tolist() == [0.0] * 200
