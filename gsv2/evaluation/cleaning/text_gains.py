"""Text gains of single clips: what a GPT's loss is with the right text, and with other ones.

A text that is not what is said lowers the loss no more than that of another clip. Where the GPT
reads by a pointer, its aligner aligns every text, the right one and the others, so that none is
favoured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gsv2.data.corpus.decode import Clip
from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.collate import stack_codes, stack_vectors
from gsv2.inference.alignment import load_aligner
from gsv2.losses.code_figures import clip_nats
from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import AlignmentError
from gsv2.models.component import load_component
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from gsv2.models.quantizer.fingerprint import hash_of
from gsv2.stages.swapped_texts import with_swapped_texts
from gsv2.text.encoders.config import BGE_M3, QWEN2
from gsv2.text.encoders.interface import TextTokens
from gsv2.text.encoders.make import attach_text_encoder
from gsv2.training.checkpoints.checkpoint import find_component

NUM_OTHERS = 8
"""Other texts that a clip is compared with."""


class TextGain(NamedTuple):
    """Cross-entropy of the codes of one clip, all codebooks and the end together."""

    frames: int
    """Code frames of the clip."""
    nats: float
    """Cross-entropy with its own text."""
    other_nats: list[float]
    """Cross-entropies with other texts, up to `NUM_OTHERS`; fewer where the batch has no more."""


class TextGains:
    """Measures batches of clips by a trained GPT, each clip alone, without a prompt.

    Args:
        gpt: run, checkpoint, bundle or file of the GPT.
        aligner: the same of its aligner, which a GPT that reads by a pointer needs.
        device: device of both.

    Raises:
        ValueError: a component that is missing or damaged, or an aligner that is missing or not
            the one that the GPT was trained with.
    """

    def __init__(self, gpt: Path, aligner: Path | None, device: torch.device) -> None:
        component = load_component(find_component(gpt, "gpt"), "gpt")
        self.quantizer = component.provenance.get("quantizer")
        """Hash of the quantizer whose codes it reads."""
        self.identity = hash_of({"others": NUM_OTHERS}, component.tensors)
        """Hash of all that the figures depend on beside the clips."""
        self._device = device
        self._model = SemanticGPT.from_component(component).to(device)
        config = self._model.config
        self.members = ("codes", "text_vectors") if config.text_encoder == BGE_M3 else ("codes",)
        """Members of a clip that are read."""
        if config.text_encoder == QWEN2:
            reader = (config.text_vectors, config.tokenizer)
            attach_text_encoder(self._model.text_encoder, *reader, None, device)
        wanted = component.provenance.get("aligner")
        self._aligner = _aligner(gpt, aligner, wanted, device) if self._model.has_pointer else None

    @torch.no_grad()
    def measure(self, clips: Sequence[Clip]) -> list[TextGain | None]:
        """Return the figures of clips with codes; None for one whose text cannot be aligned."""
        batch = _make_batch(clips).to(self._device)
        own, is_measured = self._nats(batch)
        others: list[list[float]] = [[] for _ in clips]
        for distance in range(1, min(NUM_OTHERS, len(set(batch.texts)) - 1) + 1):
            swapped = with_swapped_texts(batch, distance)
            nats, is_there = self._nats(swapped)
            for place, value in enumerate(nats):
                if is_there[place]:
                    others[place].append(value)
        assert batch.code_lengths is not None
        frames = batch.code_lengths.tolist()
        rows = zip(frames, own, others, is_measured, strict=True)
        return [TextGain(*row) if there else None for *row, there in rows]

    def _nats(self, batch: Batch) -> tuple[list[float], list[bool]]:
        """Return the cross-entropy of each clip, and whether its text could be aligned."""
        batch, is_aligned = self._aligned(batch)
        assert batch.codes is not None
        assert batch.code_lengths is not None
        tokens = self._tokens(batch)
        output = self._model(
            GPTInputs(
                tokens.ids.to(self._device),
                tokens.lengths.to(self._device),
                batch.codes,
                batch.code_lengths,
                batch.sequence,
                batch.alignments,
            )
        )
        return clip_nats(output.logits, output.targets, batch.code_lengths).tolist(), is_aligned

    def _tokens(self, batch: Batch) -> TextTokens:
        if batch.text_vectors is None or batch.text_vector_lengths is None:
            return self._model.text_encoder.tokenize(batch.texts)
        return TextTokens(batch.text_vectors, batch.text_vector_lengths)

    def _aligned(self, batch: Batch) -> tuple[Batch, list[bool]]:
        """Return the batch with alignments of its texts, and which could be aligned."""
        if self._aligner is None:
            return batch, [True] * batch.num_clips
        assert batch.codes is not None
        assert batch.code_lengths is not None
        found = align_texts(self._aligner, batch.codes, batch.code_lengths, batch.texts)
        alignments = torch.full_like(batch.codes[:, 0], -1)
        for row, length, of_clip in zip(alignments, batch.code_lengths, found, strict=True):
            if isinstance(of_clip, AlignmentError):
                row[: int(length)] = 0
            else:
                row[: int(length)] = torch.from_numpy(of_clip.characters.astype(np.int64))
        is_aligned = [not isinstance(of_clip, AlignmentError) for of_clip in found]
        return replace(batch, alignments=alignments), is_aligned


def _aligner(gpt: Path, aligner: Path | None, wanted: str | None, device: torch.device) -> Aligner:
    """Return the aligner of a GPT that reads by a pointer."""
    if aligner is None:
        raise ValueError(f"GPT {gpt} reads by a pointer: name its aligner by --aligner")
    found = load_aligner(aligner, device)
    if found.fingerprint() != wanted:
        raise ValueError(
            f"aligner {aligner} must be the one that GPT {gpt} was trained with ({wanted}), but is "
            f"{found.fingerprint()}"
        )
    return found


def _make_batch(clips: Sequence[Clip]) -> Batch:
    """Return clips with codes as a batch, each a sequence of its own."""
    C = len(clips)
    codes, code_lengths = stack_codes([clip.codes for clip in clips if clip.codes is not None])
    vectors, vector_lengths = stack_vectors(clips)
    return Batch(
        micro_batch=0,
        lane=0,
        epoch=0,
        position=LanePosition(lane=0, place=0, window=0, parts=()),
        keys=tuple(clip.key for clip in clips),
        speakers=tuple(clip.speaker for clip in clips),
        languages=tuple(clip.language for clip in clips),
        texts=tuple(clip.text for clip in clips),
        mixture_parts=(0,) * C,
        epochs=(0,) * C,
        sequence=torch.arange(C),
        codes=codes,
        code_lengths=code_lengths,
        text_vectors=vectors,
        text_vector_lengths=vector_lengths,
    )
