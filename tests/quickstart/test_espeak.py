import builtins

import numpy as np
import pytest

from gsv2.quickstart.espeak import SAMPLE_RATE, EspeakError, EspeakVoice, speak, speak_words

TEXT = "It will be sunny in Rome."
LOW, HIGH = EspeakVoice(variant="m1"), EspeakVoice(variant="f3")


def pitch_hz(wave: np.ndarray) -> float:
    """Median over voiced frames of the strongest autocorrelation between 60 and 450 Hz."""
    size, shortest, longest = 1024, SAMPLE_RATE // 450, SAMPLE_RATE // 60
    pitches = []
    for start in range(0, len(wave) - size, size // 2):
        frame = wave[start : start + size] - wave[start : start + size].mean()
        spectrum = np.abs(np.fft.rfft(frame * np.hanning(size), 2 * size)) ** 2
        correlation = np.fft.irfft(spectrum)[:size]
        lag = shortest + int(correlation[shortest:longest].argmax())
        if frame.std() > 0.01 and correlation[lag] > 0.4 * correlation[0]:
            pitches.append(SAMPLE_RATE / lag)
    return float(np.median(pitches))


@pytest.mark.parametrize("variant", ["f3", "klatt3", "Reed"])  # each another synthesiser
def test_speech_is_a_pure_function_of_its_arguments(variant):
    voice = EspeakVoice(variant=variant)
    first = speak(TEXT, "en-us", voice)
    speak("Гром и дождь.", "ru", voice, seed=3)  # moves every static variable of the library
    np.testing.assert_array_equal(speak(TEXT, "en-us", voice), first)


def test_speech_lasts_seconds_and_does_not_clip():
    wave = speak(TEXT, "en-us", HIGH)
    assert 1.0 < len(wave) / SAMPLE_RATE < 3.0
    assert 0.1 < np.abs(wave).max() < 0.99


def test_female_variants_speak_higher_than_male_ones():
    assert pitch_hz(speak(TEXT, "en-us", HIGH)) > 1.5 * pitch_hz(speak(TEXT, "en-us", LOW))


def test_rate_shortens_and_pitch_raises():
    slow, fast = (speak(TEXT, "en-us", EspeakVoice(variant="m3", rate=r)) for r in (120, 240))
    assert len(slow) > 1.5 * len(fast)
    low, high = (speak(TEXT, "en-us", EspeakVoice(variant="m3", pitch=p)) for p in (30, 70))
    assert pitch_hz(high) > 1.2 * pitch_hz(low)


@pytest.mark.parametrize(
    ("language", "variant"), [("en-us", "no-such-variant"), ("no-such-language", "f1")]
)
def test_an_unknown_voice_is_named(language, variant):
    with pytest.raises(EspeakError, match=rf"{language}\+{variant}"):
        speak(TEXT, language, EspeakVoice(variant=variant))


def test_a_text_without_speech_is_an_error():
    with pytest.raises(EspeakError, match="said nothing"):
        speak("", "en-us", LOW)


def test_without_the_package_one_line_says_how_to_install_it(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "espeakng_loader":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(EspeakError, match=r'pip install "gsv2\[demo\]"'):
        speak(TEXT, "en-us", LOW)


def test_words_begin_in_order_within_the_speech_and_where_the_sound_does():
    """The second word follows a comma: it begins where the silence of that ends."""
    text = "Yes, Rome."
    wave, words = speak_words(text, "en-us", LOW)
    assert [text[word.place :][:3] for word in words] == ["Yes", "Rom"]
    starts = [word.start_sec for word in words]
    assert starts == sorted(starts)
    assert starts[0] == 0
    window = SAMPLE_RATE // 100
    power = np.square(wave[: len(wave) // window * window]).reshape(-1, window).mean(axis=1)
    is_silent = power < 1e-4 * power.max()
    middle = int(np.flatnonzero(is_silent[10:-10])[-1]) + 10  # last silence within the speech
    assert starts[1] == pytest.approx((middle + 1) / 100, abs=0.03)


@pytest.mark.parametrize(("language", "text"), [("cmn", "今天天气好"), ("ru", "Гром и дождь")])
def test_words_of_any_script_are_places_of_characters(language, text):
    words = speak_words(text, language, HIGH).words
    assert words[0].place == 0
    assert all(0 <= word.place < len(text) for word in words)
    assert len({word.place for word in words}) == len(words) >= 3
