from __future__ import annotations

import numpy as np
import pytest

from gsv2.evaluation.sentence import Sentence, wave_hash
from gsv2.inference.references import Reference

PROMPT = Reference(wave=np.zeros(4, np.float32), text="hi")


@pytest.mark.parametrize(("key", "prompts"), [("", (PROMPT,)), ("a", ())])
def test_a_sentence_has_a_key_and_a_prompt(key: str, prompts: tuple[Reference, ...]) -> None:
    with pytest.raises(ValueError, match="must have a key and at least one prompt"):
        Sentence(key=key, text="x", speaker="s", prompts=prompts)


def test_a_recording_is_known_again_by_its_samples() -> None:
    wave = np.linspace(-1, 1, 9, dtype=np.float32)
    other = wave.copy()
    other[4] += 1e-6
    assert wave_hash(wave) == wave_hash(wave.copy()) == wave_hash(wave.astype(np.float64))
    assert wave_hash(wave) != wave_hash(other)
