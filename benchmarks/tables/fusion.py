"""Fusion of two voices: how like each of them speech is, along the weights between them.

    python benchmarks/tables/fusion.py BUNDLE A.wav "What A says." B.wav "What B says."

Prints, for each weight of B, the cosine to both recordings by the voice encoder that comes with
gsv2, over some sentences of the grammar of the demo corpus.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gsv2.evaluation.voice_encoder import VoiceEncoder
from gsv2.inference.references import Reference, load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEXTS = (
    "The train to Rome leaves at ten on Monday.",
    "The train to Delhi leaves at three on Friday.",
    "The train to Cairo leaves at six on Monday.",
)
"""Sentences of the demo corpus' grammar."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    for name in ("a", "b"):
        parser.add_argument(f"{name}_wav", type=Path)
        parser.add_argument(f"{name}_text")
    options = parser.parse_args()
    voices = [
        load_reference(options.a_wav, options.a_text),
        load_reference(options.b_wav, options.b_text),
    ]
    encoder = VoiceEncoder()
    centres = [encoder.embed(voice.wave) for voice in voices]
    synthesizer = Synthesizer.from_bundle(options.bundle)
    print("weight of B   like A   like B")
    for weight in WEIGHTS:
        waves = [speak(synthesizer, voices, weight, text) for text in TEXTS]
        vectors = [encoder.embed(wave) for wave in waves]
        like = [np.mean([float(vector @ centre) for vector in vectors]) for centre in centres]
        print(f"{weight:11.2f}   {like[0]:6.3f}   {like[1]:6.3f}", flush=True)


def speak(
    synthesizer: Synthesizer, voices: list[Reference], weight: float, text: str
) -> np.ndarray:
    """Return a text in the mixture of two voices."""
    shares = (1 - weight, weight)
    mixed = [
        Reference(wave=voice.wave, text=voice.text, weight=share)
        for voice, share in zip(voices, shares, strict=True)
    ]
    sampling = SamplingConfig(prompt_fusion="average", candidates=2)
    return synthesizer.synthesize(text, mixed, seed=0, sampling=sampling).wave


if __name__ == "__main__":
    main()
