"""Enrollment: a recording as the models read it, made once and spoken with many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

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
from gsv2.models.vits2.wave_stream import spoken_pitch
from gsv2.text.normalize import normalize_text


class BundleHashes(NamedTuple):
    """Hashes of the parts of a bundle that read recordings."""

    quantizer: str
    """Hash of its codebooks and of all that stands before them."""
    vits2: str
    """SHA-256 of the file of the VITS2."""


@dataclass(frozen=True, kw_only=True)
class EnrolledReference:
    """A recording of a voice, of which only what speaks is kept."""

    style: Tensor
    """[1, dim] float32."""
    pitch_hz: float
    """Median pitch; 0 where none was found."""
    prompt: Prompt | None
    """Transcript and codes; None of a recording without a transcript."""
    own_hz: float = 0.0
    """Median pitch with which the waveform model speaks the prompt's codes in this style; 0 = not
    known."""
    weight: float = 1.0
    """Share in the fused voice, relative to the other references."""
    origin: BundleHashes | None = None
    """Bundle whose models have read it; None = those of this synthesizer."""
    speaker: str = ""
    """Name that tells the speakers of several references apart; empty = nobody has said."""
    source: str = ""
    """File that it was read from, for messages."""


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
        self.hashes: BundleHashes | None = None
        """Hashes of the bundle, by which references of another one are refused."""

    def enroll(
        self, references: Sequence[Reference | EnrolledReference]
    ) -> list[EnrolledReference]:
        """Return references as the models read them; those of weight 0 are left out.

        Raises:
            VoiceError: a transcript cannot be aligned with its recording, which a GPT that reads
                by a pointer asks for; a reference of another bundle; all weights are 0.
        """
        heard = [reference for reference in references if reference.weight > 0]
        if not heard:
            raise VoiceError("at least one reference must have a weight above 0")
        return [
            self._adopt(reference)
            if isinstance(reference, EnrolledReference)
            else self._enroll(reference)
            for reference in heard
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
        own = [r.own_hz if isinstance(r, EnrolledReference) else 0.0 for r in references]
        return Voice(
            fuse_styles(styles, weights),
            fuse_pitches([hz for _, hz in parts], weights),
            fuse_pitches(own, weights),
        )

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
        prompt, style = None, self.style(reference.wave)
        if reference.text is not None:
            prompt = self._aligned(Prompt(reference.text, self.encode(reference.wave)))
        return EnrolledReference(
            style=style,
            pitch_hz=voice_pitch(reference.wave, SAMPLE_RATE),
            prompt=prompt,
            own_hz=self._own_pitch(prompt, style),
            weight=reference.weight,
            origin=self.hashes,
        )

    def _adopt(self, reference: EnrolledReference) -> EnrolledReference:
        """Return a reference that was enrolled before, if it was by these models."""
        for name in BundleHashes._fields:
            wanted, found = (getattr(of, name, None) for of in (self.hashes, reference.origin))
            if wanted is not None and found is not None and wanted != found:
                raise VoiceError(
                    f"voice {reference.source} does not fit the bundle: its {name} is {found[:16]},"
                    f" the bundle's {wanted[:16]}; make it again with this one"
                )
        dim, V = self._vits2.config.style.dim, self._quantizer.config.codes.codebook_size
        prompt = reference.prompt
        if reference.style.shape != (1, dim) or (prompt and int(prompt.codes.max()) >= V):
            raise VoiceError(
                f"voice {reference.source} is damaged: its style must be [1, {dim}], its codes "
                f"below {V}"
            )
        style = reference.style.to(self._device)
        own_hz = reference.own_hz or self._own_pitch(prompt, style)
        prompt = prompt and self._aligned(prompt)
        return replace(reference, style=style, prompt=prompt, own_hz=own_hz)

    def _own_pitch(self, prompt: Prompt | None, style: Tensor) -> float:
        return 0.0 if prompt is None else spoken_pitch(self._vits2, prompt.codes, style)

    def _aligned(self, prompt: Prompt) -> Prompt:
        """Return a prompt with its alignment, if the GPT reads by a pointer."""
        if not self._needs_alignment or prompt.alignment is not None:
            return prompt
        found = self.align(prompt.codes, prompt.text)
        if isinstance(found, AlignmentError):
            raise VoiceError(
                f"the ref-text {prompt.text[:60]!r} does not fit its recording: {found}"
            )
        return prompt._replace(alignment=torch.from_numpy(found.characters.astype(np.int64)))
