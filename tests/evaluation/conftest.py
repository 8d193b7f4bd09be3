from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gsv2.evaluation.sentence import Sentence
from gsv2.inference.bundle import export_bundle
from gsv2.inference.references import Reference
from tests.support.pointer_bundle import save_aligner, save_run
from tests.support.tiny_corpus import synthetic_wave

TEXTS = {"en": "Hello there number {}.", "zh": "今天是第{}个好天气。"}


@pytest.fixture(scope="session")
def pointer_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained bundle with an aligner, whose GPT reads by a pointer."""
    root = tmp_path_factory.mktemp("evaluated")
    (root / "run").mkdir()
    aligner = save_aligner(root / "run")
    return export_bundle(
        [save_run(root / "run", "pointer", aligner.fingerprint())], root / "bundle"
    )


@pytest.fixture(scope="session")
def make_sentences() -> Callable[..., list[Sentence]]:
    """`make_sentences(count, with_recordings=True)`: voices 0 and 1 speak en, voice 2 zh."""

    def make(count: int, with_recordings: bool = True) -> list[Sentence]:
        rng = np.random.default_rng(0)
        made = []
        for number in range(count):
            voice = number % 3
            language = "zh" if voice == 2 else "en"
            prompt, recording = (
                synthetic_wave(rng.uniform(0.8, 1.2), 100.0 + 60.0 * voice, rng) for _ in range(2)
            )
            made.append(
                Sentence(
                    key=f"sentence/{number}",
                    text=TEXTS[language].format(number),
                    language=language,
                    speaker=f"voice{voice}",
                    prompts=(Reference(wave=prompt, text="a voice"),),
                    recording=recording if with_recordings else None,
                )
            )
        return made

    return make
