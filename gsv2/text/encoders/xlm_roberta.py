"""XLM-RoBERTa (arXiv 1911.02116) as a frozen text encoder: `bge-m3` (arXiv 2402.03216).

A text becomes the last hidden state of each of its subwords; those of the markers `<s>` and `</s>`
are left out. The network takes 8192 subwords at a time, markers included. A longer text is cut
before the last subword that begins a word and still fits, or, where a word fills a window, after as
many as fit; each piece is encoded by itself, and its vectors follow those of the piece before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gsv2.pretrained import load_network
from gsv2.text.encoders.config import TOKENIZER

_WORD_START = "\u2581"
"""First character of a subword that begins a word (sentencepiece)."""
_NUM_MARKERS = 2
_MAX_BATCH_SUBWORDS = 16_384
"""Most subwords of a batch, padding included; a longer piece stands alone."""


class _Piece(NamedTuple):
    """A piece of a text."""

    text: int
    """Number of its text."""
    ids: list[int]
    """Subwords, without markers."""


class XlmRoberta(nn.Module):
    """Texts -> vectors of their subwords, which do not depend on the batch.

    Args:
        folder: folder with config.json, tokenizer.json and safetensors.

    Raises:
        ValueError: it holds no such model.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from tokenizers import Tokenizer
        from transformers import XLMRobertaConfig, XLMRobertaModel

        settings = XLMRobertaConfig.from_pretrained(str(folder))
        self.model: Any = load_network(XLMRobertaModel, folder, settings, add_pooling_layer=False)
        self.tokenizer: Any = Tokenizer.from_file(str(folder / TOKENIZER))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.dim = int(settings.hidden_size)
        self._pad = int(settings.pad_token_id)
        self._start, self._end = int(settings.bos_token_id), int(settings.eos_token_id)
        # Positions count from the one after that of padding.
        self.max_subwords = int(settings.max_position_embeddings) - self._pad - 1

    def train(self, mode: bool = True) -> XlmRoberta:
        """Stay in evaluation mode: the network is frozen."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """Return the vectors of texts.

        Args:
            texts: texts, at least one, any scripts, mixed at will.

        Returns:
            [S, dim] float32 of each, S its number of subwords, on the network's device.
        """
        pieces = [
            _Piece(number, ids)
            for number, encoding in enumerate(
                self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
            )
            for ids in self.cut(encoding.ids, encoding.tokens)
        ]
        found: list[Tensor | None] = [None] * len(pieces)
        for places in _batches([len(piece.ids) + _NUM_MARKERS for piece in pieces]):
            for place, vectors in zip(
                places, self._run([pieces[place].ids for place in places]), strict=True
            ):
                found[place] = vectors
        of_text: list[list[Tensor]] = [[] for _ in texts]
        for piece, part in zip(pieces, found, strict=True):
            assert part is not None, "every piece is in a batch"
            of_text[piece.text].append(part)
        return [torch.cat(parts) for parts in of_text]

    def character_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters from..to of `text` that each of its subwords stands for."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return [(int(start), int(end)) for start, end in encoding.offsets]

    def cut(self, ids: Sequence[int], tokens: Sequence[str]) -> Iterator[list[int]]:
        """Yield the pieces of a text that the network takes one at a time.

        Args:
            ids: subwords of the text.
            tokens: the same as they are written.
        """
        most = self.max_subwords - _NUM_MARKERS
        start = 0
        while len(ids) - start > most:
            stop = start + most
            for place in range(stop, start, -1):
                if tokens[place].startswith(_WORD_START):
                    stop = place
                    break
            yield list(ids[start:stop])
            start = stop
        yield list(ids[start:])

    def _run(self, pieces: Sequence[list[int]]) -> list[Tensor]:
        """Return the vectors [S_i, dim] of pieces in one padded batch."""
        device = next(self.model.parameters()).device
        longest = max(map(len, pieces)) + _NUM_MARKERS
        ids = torch.full((len(pieces), longest), self._pad)
        for row, piece in zip(ids, pieces, strict=True):
            row[: len(piece) + _NUM_MARKERS] = torch.tensor([self._start, *piece, self._end])
        ids = ids.to(device)
        lengths = torch.tensor([len(piece) for piece in pieces], device=device) + _NUM_MARKERS
        mask = torch.arange(longest, device=device) < lengths[:, None]
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        return [row[1 : len(piece) + 1] for row, piece in zip(hidden, pieces, strict=True)]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of like length whose padded batch is small enough."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if batch and (len(batch) + 1) * lengths[place] > _MAX_BATCH_SUBWORDS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
