from dataclasses import replace

import numpy as np
import pytest
import torch

from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.inference.references import Reference, load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.text.normalize import TextError

SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle):
    return Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))


def test_the_same_seed_speaks_the_same(synthesizer, voice):
    reference = load_reference(voice, "a voice")
    first, again, other = (
        synthesizer.synthesize("hello there", [reference], seed=seed, sampling=SHORT)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first.wave, again.wave)
    assert first.wave.shape != other.wave.shape or not np.array_equal(first.wave, other.wave)
    assert first.sample_rate == 32_000
    assert np.isfinite(first.wave).all()
    assert np.abs(first.wave).max() <= 1


def test_sentences_of_a_long_text_are_joined(synthesizer, voice):
    text = "One sentence. " * 40
    speech = synthesizer.synthesize(text, [load_reference(voice)], sampling=SHORT)
    assert len(speech.wave) > 2 * HOP_LENGTH


def test_a_stream_joined_is_the_speech_as_a_whole(synthesizer, voice):
    references = synthesizer.enroll([load_reference(voice, "a voice")])
    text = "One. Two, three. Four!"
    whole = synthesizer.synthesize(text, references, seed=3, sampling=SHORT)
    steps = []
    pieces = synthesizer.stream(
        text, references, seed=3, sampling=SHORT, each_step=lambda: steps.append(1)
    )
    first = next(pieces)
    of_first = len(steps)
    rest = list(pieces)
    assert len(steps) > of_first > 0  # the others were not made before the first was heard
    joined = np.concatenate([first.wave, *(p.wave for p in rest)])
    assert np.array_equal(joined * np.float32(whole.gain), whole.wave)
    codes = [code for piece in (first, *rest) for code in piece.codes]
    assert all(map(torch.equal, codes, whole.codes))


@pytest.mark.parametrize("length", [16_000, 64_000])
@pytest.mark.parametrize("text", ["a", "no", "你"])
def test_one_word_is_said_from_its_first_sample_to_its_last_without_its_reference(
    synthesizer, voice, text, length
):
    """All of its codes are heard, their first and last 20 ms too, and none of the prompt's are."""
    wave = np.resize(load_reference(voice).wave, length)
    said = synthesizer.enroll([Reference(wave=wave, text="a voice")])
    sampling = replace(SHORT, min_sec_per_byte=0.2, max_sec_per_byte=0.4, retries=0)
    speech = synthesizer.synthesize(text, said, seed=1, sampling=sampling)
    (codes,) = speech.codes
    least, most = 0.2 * len(text.encode()) * 25, (0.4 * len(text.encode()) + 0.2) * 25
    assert round(least) <= codes.shape[1] <= round(most)  # whatever the prompt's length
    heard = synthesizer.decoder.start(synthesizer.voice(said), 1, text).push(codes, is_last=True)
    expected = heard.numpy() * np.float32(speech.gain)
    assert len(speech.wave) == codes.shape[1] * 2 * HOP_LENGTH
    for edge in (slice(None, 640), slice(-640, None)):
        assert np.abs(expected[edge]).max() > 0
        assert np.array_equal(speech.wave[edge], expected[edge])


def test_pauses_and_warnings_are_in_the_result(synthesizer, voice):
    references = synthesizer.enroll([load_reference(voice, "a voice")])
    text = '<speak>One.<break time="1s"/><prosody rate="fast">Two.</prosody></speak>'
    speech = synthesizer.synthesize(text, references, sampling=SHORT)
    lengths = [codes.shape[1] * 2 * HOP_LENGTH for codes in speech.codes]
    assert len(speech.wave) == sum(lengths) + 32_000
    assert not speech.wave[lengths[0] : lengths[0] + 32_000].any()
    kinds = {(warning.kind, warning.sentence) for warning in speech.warnings}
    assert ("rate", 1) in kinds  # this model reads by attention
    assert ("rate", 0) not in kinds
    assert speech.ended == (not any(kind == "cut" for kind, _ in kinds))


def test_what_each_step_raises_ends_the_speech(synthesizer, voice):
    def leave() -> None:
        raise KeyboardInterrupt

    pieces = synthesizer.stream("One.", [load_reference(voice)], each_step=leave)
    with pytest.raises(KeyboardInterrupt):
        next(pieces)


def test_a_text_in_an_unseen_script_is_spoken(synthesizer, voice):
    speech = synthesizer.synthesize("ᚠᚢᚦᚨᚱᚲ", [load_reference(voice)], sampling=SHORT)
    assert np.isfinite(speech.wave).all()


@pytest.mark.parametrize("text", ["", "  \n", "?!…"])
def test_a_text_without_speech_is_an_error(synthesizer, voice, text):
    with pytest.raises(TextError):
        synthesizer.synthesize(text, [load_reference(voice)])
