"""Inputs of the networks of the VITS2 stage, from a micro-batch."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.models.vits2.decoded import CodesWithText, TextToAlign
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.text_tokens import TokenEncoder
from gsv2.text.encoders.interface import TextTokens
from gsv2.text.encoders.vector_input import VectorInput


class VITS2Inputs(NamedTuple):
    """A micro-batch of C clips."""

    wave: Tensor
    """[C, 1, N]."""
    codes: Tensor | None
    """[C, K, T_codes] int64, -1 at padding; None for a prior of text."""
    code_lengths: Tensor | None
    """[C] int64."""
    text: TextTokens | None
    """Tokens of the texts; None where the prior reads codes alone."""
    magnitude: Tensor
    """[C, num_bins, T]: linear spectrogram."""
    mel: Tensor
    """[C, num_mels, T]: log-mel."""
    lengths: Tensor
    """[C] int64, in frames."""
    sequence: Tensor
    """[C] int64: the same-speaker sequence of each clip."""

    def content(self, alignment_noise: float) -> Tensor | CodesWithText | TextToAlign:
        """Return what the prior reads, texts with the noise of their alignment."""
        if self.codes is not None:
            return self.codes if self.text is None else CodesWithText(self.codes, self.text)
        assert self.text is not None
        return TextToAlign(self.text, alignment_noise)


def make_inputs(batch: Batch, model: VITS2) -> VITS2Inputs:
    """Compute spectrograms and check that codes and audio belong together.

    Args:
        batch: batch of at least one clip, with audio, and codes if the prior reads them.
        model: network that the spectrograms are for.

    Raises:
        ValueError: a clip has another number of code frames than its audio needs.
    """
    assert batch.wave is not None
    assert batch.wave_lengths is not None
    hop = model.config.mel.hop_length
    lengths = batch.wave_lengths // hop
    frames, reads_codes = batch.wave.shape[-1] // hop, model.text_prior is None
    if reads_codes:
        frames = min(frames, _checked_frames(batch, lengths, model.config.frames_per_code))
    encoder = model.text_encoder
    text = None if encoder is None else _tokens(batch, encoder)
    magnitude = model.mel.spectrogram(batch.wave)[..., :frames]
    return VITS2Inputs(
        wave=batch.wave,
        codes=batch.codes if reads_codes else None,
        code_lengths=batch.code_lengths if reads_codes else None,
        text=text,
        magnitude=magnitude,
        mel=model.mel.from_spectrogram(magnitude),
        lengths=lengths,
        sequence=batch.sequence,
    )


def _checked_frames(batch: Batch, lengths: Tensor, per_code: int) -> int:
    """Return how many frames the codes cover, all clips padded.

    Args:
        lengths: [C] int64, frames of the audio.
        per_code: frames that one code frame covers.

    Raises:
        ValueError: a clip has another number of code frames than its audio needs.
    """
    assert batch.codes is not None
    assert batch.code_lengths is not None
    expected = (lengths + per_code - 1) // per_code
    if not torch.equal(expected, batch.code_lengths):
        wrong = int((expected != batch.code_lengths).nonzero()[0])
        raise ValueError(
            f"clip {batch.keys[wrong]}: {int(lengths[wrong])} frames of audio need "
            f"{int(expected[wrong])} code frames, but it has {int(batch.code_lengths[wrong])}"
        )
    return batch.codes.shape[-1] * per_code


def _tokens(batch: Batch, encoder: TokenEncoder) -> TextTokens:
    """Return the texts of a batch, on its device."""
    if isinstance(encoder, VectorInput):
        assert batch.text_vectors is not None, "the stage reads them"
        assert batch.text_vector_lengths is not None
        return TextTokens(batch.text_vectors, batch.text_vector_lengths)
    ids, lengths = encoder.tokenize(batch.texts)
    return TextTokens(ids.to(batch.sequence.device), lengths.to(batch.sequence.device))


def text_lengths(batch: Batch, model: VITS2) -> list[int] | None:
    """Return the tokens of each text of a batch on the host; None where a model reads none."""
    encoder = model.text_encoder
    return None if encoder is None else _tokens(batch, encoder).lengths.tolist()


def silent_batch(batch: Batch, model: VITS2, device: torch.device) -> Batch:
    """Return `batch`, which has no clip, with one silent clip of a few frames.

    A rank without a clip still runs every network, so that no other waits for it; the caller
    takes the losses times 0.
    """
    hop, per_code = model.config.mel.hop_length, model.config.frames_per_code
    num_codes = 4
    length = num_codes * per_code * hop
    shape = (1, model.config.codes.num_codebooks, num_codes)
    vectors = model.config.text_vectors
    dim = None if vectors is None else vectors.dim
    return replace(
        batch,
        keys=("silence",),
        texts=(".",),
        text_vectors=None if dim is None else torch.zeros(1, 1, dim, device=device),
        text_vector_lengths=None
        if dim is None
        else torch.ones(1, dtype=torch.int64, device=device),
        sequence=torch.zeros(1, dtype=torch.int64, device=device),
        wave=torch.zeros(1, 1, length, device=device),
        wave_lengths=torch.tensor([length], device=device),
        codes=torch.zeros(shape, dtype=torch.int64, device=device),
        code_lengths=torch.tensor([num_codes], device=device),
    )
