"""Judges by their names on a command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from gsv2.evaluation.grammar import vocabulary, vocabulary_grammar
from gsv2.evaluation.judges import JudgeMissingError, Judges, Recognizer, SpeakerEncoder
from gsv2.evaluation.pocketsphinx_recognizer import PocketSphinx, pronounceable


@dataclass(frozen=True)
class NamedRecognizer:
    """Recogniser that is loaded where it is needed, once in each process.

    Args:
        name: see `load_judges`.
    """

    name: str

    def load(self) -> Recognizer:
        """Return the recogniser, on the CPU.

        Raises:
            ValueError: no such recogniser, or its package is not installed.
        """
        return _recognizer(self.name, torch.device("cpu"), [], [])


DEFAULT_RECOGNIZERS = ("pocketsphinx",)
DEFAULT_ENCODERS = ("resemblyzer",)
_ENGLISH = "en"
Judge = TypeVar("Judge")


def load_judges(
    recognizers: Sequence[str] = DEFAULT_RECOGNIZERS,
    encoders: Sequence[str] = DEFAULT_ENCODERS,
    *,
    device: torch.device | None = None,
    english: Iterable[str] = (),
) -> Judges:
    """Load judges; one whose package is not installed is a note, and the others judge.

    Args:
        recognizers: `whisper:FOLDER`, `pocketsphinx` (its own language model of English),
            `pocketsphinx:vocabulary` (the words of `english` in any order) or
            `pocketsphinx:FILE` (a grammar in JSGF).
        encoders: `resemblyzer` or `wavlm:FOLDER`.
        device: device of Whisper and the encoders; the CPU by default.
        english: English sentences that will be judged.

    Raises:
        ValueError: no such judge, or a folder or grammar that cannot be used.
    """
    device = device or torch.device("cpu")
    notes: list[str] = []
    sentences = list(english)
    heard = _load(recognizers, lambda name: _recognizer(name, device, sentences, notes), notes)
    seen = _load(encoders, lambda name: _encoder(name, device), notes)
    return Judges(recognizers=heard, encoders=seen, notes=notes)


def _load(names: Sequence[str], make: Callable[[str], Judge], notes: list[str]) -> list[Judge]:
    judges = []
    for name in names:
        try:
            judges.append(make(name))
        except JudgeMissingError as error:
            notes.append(str(error))
    return judges


def _recognizer(
    name: str, device: torch.device, english: Sequence[str], notes: list[str]
) -> Recognizer:
    kind, _, argument = name.partition(":")
    if kind == "whisper" and argument:
        from gsv2.evaluation.whisper import Whisper  # transformers takes seconds

        return Whisper(Path(argument), device)
    if name == "pocketsphinx":
        return PocketSphinx()
    if name == "pocketsphinx:vocabulary":
        known, unknown = pronounceable(vocabulary(english))
        if unknown:
            notes.append(f"{name} does not know how these words are said: {', '.join(unknown)}")
        return PocketSphinx(vocabulary_grammar(known), "pocketsphinx-vocabulary")
    if kind == "pocketsphinx" and argument:
        path = Path(argument)
        if not path.is_file():
            raise ValueError(f"the grammar {path} of recogniser {name} does not exist")
        return PocketSphinx(path.read_text(encoding="utf-8"))
    raise ValueError(
        "a recogniser must be whisper:FOLDER, pocketsphinx, pocketsphinx:vocabulary or "
        f"pocketsphinx:GRAMMAR.jsgf, but is {name!r}"
    )


def _encoder(name: str, device: torch.device) -> SpeakerEncoder:
    kind, _, argument = name.partition(":")
    if kind == "wavlm" and argument:
        from gsv2.evaluation.wavlm import WavLM

        return WavLM(Path(argument), device)
    if name == "resemblyzer":
        from gsv2.evaluation.voice_encoder import VoiceEncoder

        return VoiceEncoder(device)
    raise ValueError(f"a speaker encoder must be resemblyzer or wavlm:FOLDER, but is {name!r}")
