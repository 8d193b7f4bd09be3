"""PocketSphinx: a small recogniser of American English that comes in one wheel with its models.

It hears open English with 15 to 70 % word errors, and is a judge of small vocabularies with a
closed grammar. Synthetic speech has a floor of noise put under it: on digital silence its
estimates of noise and channel fail (closed-grammar word errors of a held-out espeak-ng voice .93
without, .04 with it and the options below).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from gsv2.audio.wave import resample
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.judges import JudgeMissingError

_RATE_HZ = 16_000
_LANGUAGE = "en"
_FULL_SCALE = 32767
_PAUSE_SEC = 0.3
"""Pause before and after the speech, which the acoustic model expects."""
_FLOOR = 1e-3
"""Standard deviation of the noise, -60 dB below full scale."""
_GRAMMAR_OPTIONS = {
    "lm": None,
    "lw": 2.0,
    "beam": 1e-120,
    "wbeam": 1e-100,
    "pbeam": 1e-120,
    "bestpath": False,
}
"""Chosen on 24 sentences of six voices of the demo corpus: word errors .006, by default .49."""
_NAMED = 10
"""Words that an error names."""
_RULE_OR_WORD = re.compile(r"<[^>]*>|[^\W_]+(?:'[^\W_]+)*")


class PocketSphinx:
    """Recogniser of English, with its own language model or a closed grammar."""

    def __init__(self, grammar: str | None = None, name: str | None = None) -> None:
        """Load the acoustic model and the dictionary, a second or two.

        Args:
            grammar: JSGF, see `gsv2.evaluation.grammar`; None = the language model of the wheel.
            name: name in the figures; default `pocketsphinx`, or `pocketsphinx-grammar`.

        Raises:
            JudgeMissingError: pocketsphinx is not installed.
            ValueError: a grammar that cannot be read, or has words without a pronunciation.
        """
        self._decoder = _make_decoder(has_grammar=grammar is not None)
        digest = ""
        if grammar is not None:
            self._use(grammar)
            digest = f" {hashlib.sha256(grammar.encode()).hexdigest()[:16]}"
        self.name = name or ("pocketsphinx" if grammar is None else "pocketsphinx-grammar")
        self.identity = f"pocketsphinx{digest}"

    def supports(self, language: str) -> bool:
        """See `gsv2.evaluation.judges.Recognizer`."""
        return language.split("-")[0] == _LANGUAGE

    def transcribe(self, wave: np.ndarray, language: str) -> str:
        """See `gsv2.evaluation.judges.Recognizer`."""
        pause = round(_PAUSE_SEC * _RATE_HZ)
        padded = np.pad(resample(wave, SAMPLE_RATE, _RATE_HZ), (pause, pause))
        heard = padded + _FLOOR * np.random.default_rng(0).standard_normal(len(padded))
        samples = (np.clip(heard, -1, 1) * _FULL_SCALE).astype(np.int16)
        self._decoder.reinit_feat()  # it learns the channel from one utterance to the next
        self._decoder.start_utt()
        self._decoder.process_raw(samples.tobytes(), full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return "" if hypothesis is None else str(hypothesis.hypstr)

    def _use(self, grammar: str) -> None:
        tokens = _RULE_OR_WORD.findall(grammar.partition(";\n")[2].partition(";\n")[2])
        words = {token for token in tokens if not token.startswith("<")} - {"public"}
        if unknown := sorted(w for w in words if self._decoder.lookup_word(w) is None):
            raise ValueError(
                "every word of a grammar must be in pocketsphinx's dictionary, but not there are: "
                + ", ".join(unknown[:_NAMED])
            )
        try:
            self._decoder.add_jsgf_string("grammar", grammar)
            self._decoder.activate_search("grammar")
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"the grammar cannot be read as JSGF: {error}") from error


def pronounceable(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the words that pocketsphinx's dictionary has, and those that it has not.

    Raises:
        JudgeMissingError: pocketsphinx is not installed.
    """
    decoder = _make_decoder(has_grammar=True)
    known: tuple[list[str], list[str]] = ([], [])
    for word in words:
        known[decoder.lookup_word(word) is None].append(word)
    return known


def _make_decoder(*, has_grammar: bool) -> Any:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise JudgeMissingError(
            "no judge pocketsphinx: it is not installed (pip install 'gsv2[judges]')"
        ) from error
    options = _GRAMMAR_OPTIONS if has_grammar else {}
    return Decoder(samprate=_RATE_HZ, loglevel="FATAL", **options)
