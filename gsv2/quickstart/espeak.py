"""espeak-ng as a function from text to wave, through the library that espeakng-loader ships.

espeak-ng keeps state from one utterance to the next (its noise and flutter positions are static
variables that no call resets), so the same sentence would sound different each time. `speak`
therefore loads the library afresh for every utterance, which takes three milliseconds and makes
it a pure function of its arguments. It must not run in two threads at once.
"""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 22_050
"""Rate of the library's speech, in Hz."""

# From espeak-ng/speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_PARAMETER_RATE, _PARAMETER_VOLUME, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 2, 3, 4
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_EVENT_END, _EVENT_WORD = 0, 1
_VOLUME = 50  # of 0..200, 100 is its default: loud variants would clip inside the library


class _Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class EspeakError(ValueError):
    """espeak-ng is not installed, or refused a voice or a text."""


@dataclass(frozen=True, kw_only=True)
class EspeakVoice:
    """One speaker, in any language."""

    variant: str
    """Name of a voice variant of espeak-ng: formants and voice quality."""
    rate: int = 175
    """Speed in words a minute."""
    pitch: int = 50
    """Pitch, 0..99; 50 = that of the variant."""
    pitch_range: int = 50
    """Range of the pitch, 0..99; 0 = monotone."""


class SpokenWord(NamedTuple):
    """A word as espeak-ng begins it."""

    place: int
    """Place of its first character in the text."""
    start_sec: float
    """Time of its beginning in the wave."""


class EspeakSpeech(NamedTuple):
    """A spoken sentence."""

    wave: NDArray[np.float32]
    """[N] at `SAMPLE_RATE`, within -1..1."""
    words: tuple[SpokenWord, ...]
    """What espeak-ng takes for words, in the order of time."""


def speak(text: str, language: str, voice: EspeakVoice, *, seed: int = 0) -> NDArray[np.float32]:
    """Return the wave of `speak_words`."""
    return speak_words(text, language, voice, seed=seed).wave


def speak_words(text: str, language: str, voice: EspeakVoice, *, seed: int = 0) -> EspeakSpeech:
    """Speak one sentence.

    Args:
        text: sentence to say.
        language: name of a language of espeak-ng, e.g. `en-us`, `cmn`.
        voice: voice that says it.
        seed: seed of the library's noise.

    Raises:
        EspeakError: the library is missing, or knows no such language or variant.
    """
    chunks: list[NDArray[np.int16]] = []
    words: list[SpokenWord] = []

    @_Callback
    def collect(
        samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]
    ) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        words.extend(_words(events))
        return 0

    loader = _loader()
    name = f"{language}+{voice.variant}"
    if not (Path(loader.get_data_path()) / "voices" / "!v" / voice.variant).is_file():
        raise EspeakError(f"espeak-ng knows no voice {name!r}")  # it would take the default's
    with _library(loader) as library:
        library.espeak_SetSynthCallback(collect)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        ctypes.CDLL(None).srand(ctypes.c_uint(seed))  # breathy Klatt variants draw from libc
        if library.espeak_SetVoiceByName(name.encode()) != 0:
            raise EspeakError(f"espeak-ng knows no voice {name!r}")
        for parameter, value in (
            (_PARAMETER_RATE, voice.rate),
            (_PARAMETER_VOLUME, _VOLUME),
            (_PARAMETER_PITCH, voice.pitch),
            (_PARAMETER_RANGE, voice.pitch_range),
        ):
            library.espeak_SetParameter(parameter, value, 0)
        _synthesise(library, text)
    wave = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int16)
    if not wave.any():
        raise EspeakError(f"espeak-ng said nothing for {text!r} in voice {name!r}")
    return EspeakSpeech(wave.astype(np.float32) / 32768.0, tuple(words))


def _words(events: ctypes._Pointer[_Event]) -> Iterator[SpokenWord]:
    """Yield the words of a list of events, which its end event closes."""
    place = 0
    while events and (event := events[place]).type != _EVENT_END:
        if event.type == _EVENT_WORD:
            yield SpokenWord(event.text_position - 1, event.audio_position / 1000)
        place += 1


def _synthesise(library: ctypes.CDLL, text: str) -> None:
    encoded = text.encode() + b"\0"
    status = library.espeak_Synth(
        ctypes.c_char_p(encoded),
        ctypes.c_size_t(len(encoded)),
        ctypes.c_uint(0),
        ctypes.c_int(_POSITION_CHARACTER),
        ctypes.c_uint(0),
        ctypes.c_uint(_CHARS_UTF8),
        None,
        None,
    )
    if status != 0:
        raise EspeakError(f"espeak-ng refused {text!r} (status {status})")


def _loader() -> ModuleType:
    try:
        import espeakng_loader
    except ImportError as error:
        raise EspeakError('the demo corpus needs espeak-ng: pip install "gsv2[demo]"') from error
    return espeakng_loader


@contextmanager
def _library(loader: ModuleType) -> Iterator[ctypes.CDLL]:
    """Lend a freshly loaded library, and unload it again."""
    library = ctypes.CDLL(loader.get_library_path())
    data = loader.get_data_path().encode()
    try:
        rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT)
        if rate != SAMPLE_RATE:
            raise EspeakError(f"espeak-ng cannot read its data in {data.decode()}")
        yield library
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)
