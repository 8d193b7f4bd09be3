"""Enrollment: a recording as the models read it, made once and spoken with many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.generate import Prompt
from gsv2.inference.references import Reference, VoiceError
from gsv2.inference.voice import Voice, fuse_pitches, voice_pitch
from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import Alignment, AlignmentError
from gsv2.models.quantizer.model import Quantizer
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.style import fuse_styles
from gsv2.text.normalize import normalize_text


@dataclass(frozen=True, kw_only=True)
class EnrolledReference:
    """A recording of a voice, of which only what speaks is kept."""

    style: Tensor
    """[1, dim] float32."""
    pitch_hz: float
    """Median pitch; 0 where none was found."""
    prompt: Prompt | None
    """Transcript and codes; None of a recording without a transcript."""
    weight: float = 1.0
    """Share in the fused voice, relative to the other references."""


class Enroller:
    """Turns recordings into what the models of one bundle read.

    Args:
        speech_encoder: encoder whose features the quantizer reads.
        quantizer: quantizer of the bundle.
        vits2: VITS2 of the bundle.
        aligner: its aligner, if it has one.
        needs_alignment: whether the GPT reads prompts by a pointer.
        device: device of all of them.
    """

    def __init__(
        self,
        speech_encoder: nn.Module,
        quantizer: Quantizer,
        vits2: VITS2,
        aligner: Aligner | None,
        *,
        needs_alignment: bool,
        device: torch.device,
    ) -> None:
        self._speech_encoder = speech_encoder
        self._quantizer = quantizer
        self._vits2 = vits2
        self._aligner = aligner
        self._needs_alignment = needs_alignment
        self._device = device

    def enroll(
        self, references: Sequence[Reference | EnrolledReference]
    ) -> list[EnrolledReference]:
        """Return references as the models read them; those that are enrolled stay.

        Raises:
            VoiceError: a transcript cannot be aligned with its recording, which a GPT that reads
                by a pointer asks for.
        """
        return [
            reference if isinstance(reference, EnrolledReference) else self._enroll(reference)
            for reference in references
        ]

    def voice(self, references: Sequence[Reference | EnrolledReference]) -> Voice:
        """Return the voice that references have together; transcripts do not matter."""
        weights = [reference.weight for reference in references]
        parts = [
            (reference.style, reference.pitch_hz)
            if isinstance(reference, EnrolledReference)
            else (self.style(reference.wave), voice_pitch(reference.wave, SAMPLE_RATE))
            for reference in references
        ]
        styles = torch.cat([style for style, _ in parts])
        return Voice(fuse_styles(styles, weights), fuse_pitches([hz for _, hz in parts], weights))

    @torch.inference_mode()
    def encode(self, wave: np.ndarray) -> Tensor:
        """Return the codes [K, T] of a recording [N] at 32 kHz."""
        batch = torch.from_numpy(wave)[None, None].to(self._device)
        lengths = torch.tensor([len(wave)], device=self._device)
        return self._quantizer.encode(*self._speech_encoder(batch, lengths))[0]

    @torch.inference_mode()
    def style(self, wave: np.ndarray) -> Tensor:
        """Return the style [1, dim] of a recording [N] at 32 kHz."""
        mel = self._vits2.mel(torch.from_numpy(wave)[None, None].to(self._device))
        mask = torch.ones(1, mel.shape[-1], dtype=torch.bool, device=self._device)
        return self._vits2.style(mel, mask)

    def align(self, codes: Tensor, text: str) -> Alignment | AlignmentError:
        """Align codes [K, T] with their text.

        Raises:
            VoiceError: the bundle has no aligner.
        """
        if self._aligner is None:
            raise VoiceError("a GPT that reads by a pointer needs a bundle with an aligner")
        lengths = torch.tensor([codes.shape[1]], device=self._device)
        normalized = normalize_text(text)
        return align_texts(self._aligner, codes[None].to(self._device), lengths, [normalized])[0]

    def _enroll(self, reference: Reference) -> EnrolledReference:
        return EnrolledReference(
            style=self.style(reference.wave),
            pitch_hz=voice_pitch(reference.wave, SAMPLE_RATE),
            prompt=None if reference.text is None else self._prompt(reference.text, reference.wave),
            weight=reference.weight,
        )

    def _prompt(self, text: str, wave: np.ndarray) -> Prompt:
        """Return a prompt, aligned if the GPT reads by a pointer."""
        codes = self.encode(wave)
        if not self._needs_alignment:
            return Prompt(text, codes)
        found = self.align(codes, text)
        if isinstance(found, AlignmentError):
            raise VoiceError(f"the ref-text {text[:60]!r} does not fit its recording: {found}")
        return Prompt(text, codes, torch.from_numpy(found.characters.astype(np.int64)))
