"""Listening test of the GPT: held-out sentences, spoken freely and read back by the aligner.

A loss falls while nobody could understand a word; the errors of what the aligner reads in
generated codes do not. Each sentence is spoken twice: after another of the held-out clips, and
after its own recording, which holds the answer. A model that copies its prompt instead of reading
the text does well with its own alone (`leak`).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.inference.generate import Prompt, Utterance, generate
from gsv2.inference.reading import CHAR_ERRORS, ENDED, LEAK, RECORDED, HeldOutReading
from gsv2.inference.sampling import SamplingConfig
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.reading_errors import count_errors
from gsv2.models.gpt.model import SemanticGPT
from gsv2.text.encoders.make import share_text_encoder

_LOSS = "validation/gpt/loss"
_CLEARLY = 0.1
"""Character errors above the least so far from which reading has got worse."""


class HeldOutClip(NamedTuple):
    """A held-out clip."""

    key: str
    language: str
    text: str
    codes: Tensor
    """[K, T] int64, on the host."""
    alignment: Tensor | None
    """[T] int64, on the host; for a GPT that reads by a pointer."""

    def prompt(self) -> Prompt:
        """Return the clip as one to speak after."""
        return Prompt(self.text, self.codes, self.alignment)


class GPTListeningTest:
    """Has a GPT speak held-out sentences, and counts the errors that the aligner hears.

    Figures: `char_errors`, edits from what is read in the generated codes to the text, over the
    characters of the texts, after another clip of the test, of whatever voice, with another text;
    `char_errors_recorded`, the same of the recordings' codes; `ended`, share of sentences that the
    GPT ended itself; `leak`, `char_errors` minus those after the sentence's own recording.

    Args:
        model: bare network.
        aligner: judge, on the same device.
        num_sentences: sentences of a validation.
        autocast: precision of the network on a device.
    """

    trainable = "gpt"

    def __init__(
        self,
        model: SemanticGPT,
        aligner: Aligner,
        num_sentences: int,
        autocast: Callable[[torch.device], AbstractContextManager[Any]],
    ) -> None:
        self._model = model
        self._aligner = aligner
        self._num_sentences = num_sentences
        self._autocast = autocast
        self._best: tuple[float, float] | None = None  # least errors, and the loss there

    def candidates(self, batch: Batch) -> list[HeldOutClip]:
        """Return the clips of a micro-batch."""
        if batch.codes is None or batch.code_lengths is None or not batch.weight:
            return []
        return [
            HeldOutClip(
                batch.keys[i],
                batch.languages[i],
                batch.texts[i],
                batch.codes[i, :, :length].clone(),
                None if batch.alignments is None else batch.alignments[i, :length].clone(),
            )
            for i, length in enumerate(batch.code_lengths.tolist())
        ]

    def choose(self, offered: Sequence[HeldOutClip]) -> list[HeldOutClip]:
        """Return sentences of all languages in turn, by the hash of their keys."""
        places: Counter[str] = Counter()
        ranked = []
        for sentence in sorted(offered, key=lambda s: (zlib.crc32(s.key.encode()), s.key)):
            ranked.append((places[sentence.language], sentence))
            places[sentence.language] += 1
        ranked.sort(key=lambda item: item[0])  # stable: by their hashes among equals
        return [sentence for _, sentence in ranked[: self._num_sentences]]

    def hear(
        self,
        chosen: Sequence[HeldOutClip],
        part: int,
        parts: int,
        weights: Mapping[str, Tensor] | None = None,
    ) -> dict[str, tuple[float, float]]:
        """Return the sums and weights of the figures over every `parts`-th sentence."""
        places = range(part, len(chosen), parts)
        if not places:
            return {}
        mine = [chosen[place] for place in places]
        after_others = [
            Utterance(text=s.text, prompts=_other(chosen, p))
            for s, p in zip(mine, places, strict=True)
        ]
        after_own = [Utterance(text=s.text, prompts=(s.prompt(),)) for s in mine]
        streams = [place + shift for shift in (0, len(chosen)) for place in places]
        model = self._whole(weights)
        with self._autocast(model.text_start.device):
            made = generate(model, after_others + after_own, SamplingConfig(), streams)
        codes = [c[:, :n] for c, n in zip(made.codes, made.lengths.tolist(), strict=True)]
        errors, own_errors, recorded = (
            self._errors(mine, of)
            for of in (codes[: len(mine)], codes[len(mine) :], [s.codes for s in mine])
        )
        num_characters = float(sum(len(s.text) for s in mine))
        return {
            CHAR_ERRORS: (errors, num_characters),
            RECORDED: (recorded, num_characters),
            LEAK: (errors - own_errors, num_characters),
            ENDED: (float(made.ended[: len(mine)].sum()), float(len(mine))),
        }

    def review(self, record: Mapping[str, Any]) -> str | None:
        """Warn if speech is read clearly worse than it was, by a model whose loss has fallen."""
        reading, loss = HeldOutReading.from_record(record), record.get(_LOSS)
        if reading is None or loss is None:
            return None
        errors = reading.char_errors
        if self._best is None or errors < self._best[0]:
            self._best = (errors, loss)
        best, loss_there = self._best
        if errors <= best + _CLEARLY or loss >= loss_there:
            return None
        return (
            f"reading gets worse while the loss falls: character errors {errors:.2f} were "
            f"{best:.2f}, {_LOSS} {loss:.3f} was {loss_there:.3f}; the model fits codes, not text"
        )

    def verdict(self, record: Mapping[str, Any]) -> str | None:
        """Return whether the model reads."""
        reading = HeldOutReading.from_record(record)
        return None if reading is None else f"the model {reading}"

    def _errors(self, sentences: Sequence[HeldOutClip], codes: Sequence[Tensor]) -> float:
        """Return the edits from what is read in codes [K, T] each to the texts."""
        return float(
            sum(
                count_errors([sentence.text], self._read(sentence.text, of))
                for sentence, of in zip(sentences, codes, strict=True)
            )
        )

    def _read(self, text: str, codes: Tensor) -> list[str]:
        """Read codes [K, T] at the rate at which they could hold the text."""
        if codes.shape[1] == 0:
            return [""]
        lengths = torch.tensor([codes.shape[1]], device=self._model.text_start.device)
        is_doubled = self._aligner.needs_halves([text], lengths)
        return self._aligner.read(codes[None].to(lengths.device), lengths, is_doubled)

    def _whole(self, weights: Mapping[str, Tensor] | None) -> SemanticGPT:
        """Return the network, or a copy of it with weights that it holds in pieces."""
        if weights is None:
            return self._model
        copy = SemanticGPT(self._model.config).to(self._model.text_start.device)
        copy.load_state_dict({**self._model.state_dict(), **weights})
        share_text_encoder(copy.text_encoder, self._model.text_encoder)
        return copy.eval()


def _other(sentences: Sequence[HeldOutClip], place: int) -> tuple[Prompt, ...]:
    """Return the next sentence with another text; nothing if there is none."""
    following = (*sentences[place + 1 :], *sentences[:place])
    return tuple(s.prompt() for s in following if s.text != sentences[place].text)[:1]
