"""How a bundle speaks, in figures for the report: fusion of two voices, streaming, the server."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np

from gsv2.data.config import SourceConfig
from gsv2.evaluation.sentence import Sentence
from gsv2.evaluation.voice_encoder import VoiceEncoder
from gsv2.fit.sentences import HeldOutSentences
from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.quickstart.report_data import FusionPoint, SpeakingFigures

Serve = Callable[[Synthesizer, str, Sequence[EnrolledReference]], AbstractContextManager[int]]
"""Serves a voice of a synthesizer on loopback by its name; gives the port."""
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_FUSED = ("The train to Rome leaves at ten on Monday.", "The train to Cairo leaves at six.")
_LONG = (
    "The train to Rome leaves at ten on Monday, the train to Cairo leaves at six on Friday, and "
    "the train to Delhi leaves at three."
)
"""Sentences of the demo corpus' grammar."""
_SOUGHT = 60
"""Held-out sentences among which two English voices are sought."""
_TIMEOUT_SEC = 120.0
_VOICE = "held-out"


def measure_speaking(
    bundle: Path, heldout: Path, seed: int, serve: Serve | None = None
) -> SpeakingFigures | None:
    """Return the figures; None where no two held-out voices speak English.

    Args:
        bundle: bundle with a GPT.
        heldout: corpus of held-out clips.
        seed: seed of all speech.
        serve: serves a voice; None = the server is not measured.
    """
    voices = _find_voices(heldout)
    if len(voices) < 2:
        return None
    synthesizer = Synthesizer.from_bundle(bundle)
    sampling = SamplingConfig(seed=seed, candidates=1)
    fusion = _fuse(synthesizer, voices, sampling)  # first, since a first speech takes longer
    references = synthesizer.enroll(voices[0].prompts)
    start = time.perf_counter()
    whole = synthesizer.synthesize(_LONG, references, seed=seed, sampling=sampling)
    whole_sec = time.perf_counter() - start
    start = time.perf_counter()
    next(synthesizer.stream(_LONG, references, seed=seed, sampling=sampling))
    first_sec = time.perf_counter() - start
    first_byte_sec, answer_sec = None, None
    if serve is not None:
        with serve(synthesizer, _VOICE, references) as port:
            first_byte_sec, answer_sec = _ask(port, seed)
    return SpeakingFigures(
        voices=(voices[0].speaker, voices[1].speaker),
        fusion=fusion,
        audio_sec=len(whole.wave) / whole.sample_rate,
        whole_sec=whole_sec,
        first_sec=first_sec,
        first_byte_sec=first_byte_sec,
        answer_sec=answer_sec,
    )


def _find_voices(heldout: Path) -> list[Sentence]:
    """Return a sentence of each of two voices; of fewer, if no more speak English."""
    found: dict[str, Sentence] = {}
    for sentence in HeldOutSentences(SourceConfig(path=str(heldout)), _SOUGHT):
        if sentence.language == "en":
            found.setdefault(sentence.speaker, sentence)
        if len(found) == 2:
            break
    return list(found.values())


def _fuse(
    synthesizer: Synthesizer, voices: Sequence[Sentence], sampling: SamplingConfig
) -> list[FusionPoint]:
    """Return how like each of two voices speech is, along the weights between them."""
    sampling, encoder = replace(sampling, prompt_fusion="average"), VoiceEncoder()
    enrolled = [synthesizer.enroll(voice.prompts)[0] for voice in voices]
    centres = [encoder.embed(voice.prompts[0].wave) for voice in voices]
    points = []
    for weight in _WEIGHTS:
        mixed = [
            replace(reference, weight=share)
            for reference, share in zip(enrolled, (1 - weight, weight), strict=True)
        ]
        vectors = [
            encoder.embed(synthesizer.synthesize(text, mixed, sampling=sampling).wave)
            for text in _FUSED
        ]
        like = [float(np.mean([vector @ centre for vector in vectors])) for centre in centres]
        points.append(FusionPoint(weight=weight, like_first=like[0], like_second=like[1]))
    return points


def _ask(port: int, seed: int) -> tuple[float, float]:
    """Return the seconds to the first byte of a speech, and to its last, from a server."""
    body = {"model": "gsv2", "voice": _VOICE, "input": _LONG, "response_format": "pcm"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SEC)
    try:
        start = time.perf_counter()
        text = json.dumps({**body, "seed": seed})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/audio/speech", text, headers)
        answer = connection.getresponse()
        answer.read(1)
        first_sec = time.perf_counter() - start
        answer.read()
        return first_sec, time.perf_counter() - start
    finally:
        connection.close()
