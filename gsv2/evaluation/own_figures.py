"""Figures of a sentence that need no judge from outside: aligner, mel, pitch, rate, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gsv2.audio.distances import cepstral_distortion, pitch_errors
from gsv2.audio.pitch import median_pitch, track_pitch
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.estimates import Measurement
from gsv2.evaluation.sentence import Sentence
from gsv2.evaluation.sentence_result import Measures
from gsv2.evaluation.spoken_errors import spoken_form
from gsv2.inference.sentences import MAX_SENTENCE_BYTES
from gsv2.inference.speech import Speech
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_synthesizer import TextSynthesizer
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.reading_errors import count_errors
from gsv2.text.normalize import normalize_text, split_sentences

CODES, SOUND = "char_errors", "char_errors_of_sound"
"""Character errors by the aligner: of the codes that were generated, of those of the sound."""
_SEMITONES = 12


class Reading(NamedTuple):
    """What an aligner reads in codes, and its errors."""

    text: str
    errors: Measurement


def read_codes(aligner: Aligner, codes: Sequence[Tensor], texts: Sequence[str]) -> Reading:
    """Let the aligner read codes [K, T_i] that were to say `texts`, one after the other."""
    device = next(aligner.parameters()).device
    read, errors = [], 0
    for part, text in zip(codes, texts, strict=True):
        lengths = torch.tensor([part.shape[1]], device=device)
        is_doubled = aligner.needs_halves([text], lengths)
        batch = part[None].to(device)
        read += aligner.read(batch, lengths, is_doubled) if part.shape[1] else [""]
        errors += count_errors([text], read[-1:])
    return Reading(" ".join(read), Measurement(errors, sum(map(len, texts))))


def aligner_readings(
    synthesizer: Synthesizer | TextSynthesizer,
    sentence: Sentence,
    speech: Speech,
    waves: Mapping[str, np.ndarray],
) -> dict[str, dict[str, Reading]]:
    """Return figure -> source -> what the bundle's aligner reads; nothing without one.

    Args:
        synthesizer: synthesizer of the bundle that spoke.
        sentence: what was to be said.
        speech: what was said, with its codes.
        waves: source -> [N] at 32 kHz.
    """
    if isinstance(synthesizer, TextSynthesizer) or synthesizer.aligner is None:
        return {}
    aligner = synthesizer.aligner
    text = normalize_text(sentence.text)
    parts = [normalize_text(part) for part in split_sentences(text, MAX_SENTENCE_BYTES)]
    by_sound = {
        source: read_codes(aligner, [synthesizer.encode(wave)], [text])
        for source, wave in waves.items()
    }
    by_codes = {"generated": read_codes(aligner, speech.codes, parts)}
    if "recording" in by_sound:
        by_codes["recording"] = by_sound["recording"]
    return {CODES: by_codes, SOUND: by_sound}


def sound_measures(
    synthesizer: Synthesizer | TextSynthesizer,
    sentence: Sentence,
    waves: Mapping[str, np.ndarray],
) -> Measures:
    """Return pitch, speaking rate and mel distance.

    Args:
        synthesizer: synthesizer of the bundle, whose mel it is.
        sentence: what was to be said.
        waves: source -> [N] at 32 kHz.
    """
    said = len(spoken_form(sentence.text, sentence.language).replace(" ", ""))
    measures: Measures = {
        "rate": {
            source: Measurement(said, len(wave) / SAMPLE_RATE) for source, wave in waves.items()
        }
    }
    prompts = [median_pitch(prompt.wave, SAMPLE_RATE) for prompt in sentence.prompts]
    voiced = [pitch for pitch in prompts if pitch is not None]
    for source, wave in waves.items():
        pitch = median_pitch(wave, SAMPLE_RATE)
        if pitch is None:
            continue
        measures.setdefault("pitch_hz", {})[source] = Measurement(pitch)
        if voiced:
            off = abs(_SEMITONES * np.log2(pitch / np.mean(voiced)))
            measures.setdefault("pitch_off_semitones", {})[source] = Measurement(float(off))
    if "resynthesis" in waves:
        distances = _distances(synthesizer, waves["resynthesis"], waves["recording"])
        measures |= {name: {"resynthesis": found} for name, found in distances.items()}
    return measures


@torch.inference_mode()
def _distances(
    synthesizer: Synthesizer | TextSynthesizer, wave: np.ndarray, recording: np.ndarray
) -> dict[str, Measurement]:
    """Return distances from a recording of a wave with the same frames."""
    length = min(len(wave), len(recording))
    pair = torch.from_numpy(np.stack([wave[:length], recording[:length]]))[:, None]
    mel = synthesizer.vits2.mel
    one, other = mel(pair.to(synthesizer.device)).split(1)
    mask = torch.ones(1, one.shape[-1], dtype=torch.bool, device=one.device)
    pitches = track_pitch(pair[:, 0], mel.config.sample_rate, mel.config.hop_length)
    errors = pitch_errors(pitches[:1], pitches[1:], mask.cpu())
    values = {
        "mel_l1": (one - other).abs().mean(),
        "mcd_db": cepstral_distortion(one, other, mask),
        "pitch_error_semitones": errors.semitones,
        "voicing_error": errors.voicing,
    }
    return {name: Measurement(float(value)) for name, value in values.items()}
