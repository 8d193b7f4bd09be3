"""Own voice with planted vectors."""

import numpy as np
import pytest

from gsv2.evaluation.own_voice import voice_measures
from gsv2.evaluation.sentence_result import SentenceResult

AXES = np.eye(8)


def result(key, speaker, generated, prompt, recording=None, encoder="planted", prompt_id=None):
    prompt_id = prompt_id or f"prompt of {key}"
    voices = {"generated": generated, prompt_id: prompt}
    if recording is not None:
        voices[f"recording of {key}"] = recording
    return SentenceResult(
        key=key,
        text="a",
        language="en",
        speaker=speaker,
        fingerprint="",
        prompt_ids=[prompt_id],
        recording_id=None if recording is None else f"recording of {key}",
        voices={encoder: {name: np.asarray(v).tolist() for name, v in voices.items()}},
    )


def unit(*parts):
    vector = np.asarray(parts + (0,) * (8 - len(parts)), dtype=float)
    return vector / np.linalg.norm(vector)


def shares(results, source="generated"):
    measures = voice_measures(results, "planted")
    return [measures[r.key]["own_voice/planted"][source].numerator for r in results]


def test_the_share_is_that_of_the_sentences_nearest_to_their_speaker():
    results = [
        result("a1", "a", unit(1, 0.1), AXES[0], AXES[0]),
        result("a2", "a", unit(0.1, 1), AXES[0], AXES[0]),  # in b's voice
        result("b1", "b", unit(0.1, 1), AXES[1], AXES[1]),
        result("b2", "b", unit(0, 1), AXES[1], AXES[1]),
    ]
    assert shares(results) == [1, 0, 1, 1]
    assert shares(results, "recording") == [1, 1, 1, 1]


def test_a_copy_of_the_prompt_gains_nothing():
    results = [
        result("a1", "a", AXES[2], AXES[2], AXES[0]),  # speaks as its prompt does, which is odd
        result("a2", "a", AXES[0], AXES[0], AXES[0]),
        result("b1", "b", AXES[1], unit(0, 1, 0.5), AXES[1]),
    ]
    measures = voice_measures(results, "planted")["a1"]
    assert measures["prompt_similarity/planted"]["generated"].numerator == pytest.approx(1)
    assert measures["similarity/planted"]["generated"].numerator == pytest.approx(0)
    assert measures["own_voice/planted"]["generated"].numerator == 0  # nearer to b's channel
    assert measures["similarity/planted"]["recording"].numerator == pytest.approx(1)


def test_a_speaker_without_other_recordings_is_his_prompts():
    results = [result("a", "a", unit(1, 0.2), AXES[0]), result("b", "b", unit(1, 0.2), AXES[1])]
    assert shares(results) == [1, 0]
    cosine = voice_measures(results, "planted")["a"]["similarity/planted"]["generated"].numerator
    assert cosine == pytest.approx(1 / np.sqrt(1.04))


def test_further_recordings_tell_what_a_voice_is():
    results = [
        result("a", "a", AXES[2], AXES[0], AXES[0]),
        result("b", "b", AXES[1], AXES[1], AXES[1]),
    ]
    results[0].voices["planted"]["more"] = AXES[2].tolist()
    assert voice_measures(results, "planted")["a"]["similarity/planted"]["generated"].numerator == 0
    results[0].further_ids = ["more"]
    measures = voice_measures(results, "planted")["a"]
    assert measures["similarity/planted"]["generated"].numerator == pytest.approx(1)
    assert measures["own_voice/planted"]["generated"].numerator == 1


def test_one_speaker_alone_has_no_share():
    results = [result(key, "a", AXES[0], AXES[0], AXES[0]) for key in ("a1", "a2")]
    assert "own_voice/planted" not in voice_measures(results, "planted")["a1"]


def test_a_prompt_that_several_sentences_share_counts_once():
    results = [
        result(f"a{i}", "a", AXES[0], AXES[2], AXES[0], prompt_id="shared") for i in range(5)
    ]
    results.append(result("last", "a", AXES[0], AXES[3], AXES[0]))
    found = voice_measures(results, "planted")["last"]["similarity/planted"]["generated"].numerator
    assert found == pytest.approx(5 / np.sqrt(26))  # five recordings and one prompt


def test_sentences_that_an_encoder_has_not_judged_are_left_out():
    results = [
        result("a", "a", AXES[0], AXES[0]),
        result("b", "b", AXES[1], AXES[1], encoder="another"),
    ]
    assert list(voice_measures(results, "planted")) == ["a"]
