import numpy as np
import pytest
import torch

from gsv2.evaluation.own_figures import read_codes, sound_measures
from gsv2.inference.synthesizer import Synthesizer
from gsv2.models.aligner.reading_errors import count_errors
from tests.support.tiny_aligner import V, make_aligner


def test_parts_are_read_one_by_one_and_a_dense_text_at_twice_the_rate():
    aligner = make_aligner()
    torch.manual_seed(0)
    codes = [torch.randint(V, (2, length)) for length in (30, 6, 0)]
    texts = ["a short text", "more characters than frames", "unsaid"]
    expected = [
        aligner.read(part[None], torch.tensor([part.shape[1]]), torch.tensor([doubled]))[0]
        for part, doubled in zip(codes[:2], (False, True), strict=True)
    ]
    reading = read_codes(aligner, codes, texts)
    assert reading.text == " ".join([*expected, ""])
    assert reading.errors.numerator == count_errors(texts, [*expected, ""])
    assert reading.errors.denominator == sum(map(len, texts))


def test_rate_pitch_and_mel_distance_are_those_of_the_sounds(tiny_bundle, make_sentences):
    synthesizer = Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))
    (sentence,) = make_sentences(1)
    recording = sentence.recording
    waves = {"generated": recording[::2].copy(), "recording": recording, "resynthesis": recording}
    measures = sound_measures(synthesizer, sentence, waves)
    assert measures["rate"]["recording"].numerator == len("HellothereNumber0")
    rates = [n / d for n, d in (measures["rate"][name] for name in ("generated", "recording"))]
    assert rates[0] == pytest.approx(2 * rates[1], rel=1e-3)
    assert measures["pitch_hz"]["generated"].numerator == pytest.approx(
        2 * measures["pitch_hz"]["recording"].numerator, rel=0.02
    )
    assert measures["pitch_off_semitones"]["generated"].numerator == pytest.approx(12, abs=1.5)
    assert measures["mel_l1"] == {"resynthesis": (0.0, 1.0)}
    waves["resynthesis"] = (recording * np.float32(np.e)).astype(np.float32)
    louder = sound_measures(synthesizer, sentence, waves)
    assert louder["mel_l1"]["resynthesis"].numerator == pytest.approx(1, abs=0.02)  # one neper
    assert louder["mcd_db"]["resynthesis"].numerator < 0.1  # a level is no distortion
    assert louder["pitch_error_semitones"]["resynthesis"].numerator == pytest.approx(0, abs=0.01)
    assert louder["voicing_error"]["resynthesis"].numerator < 0.05
