"""Voice file: a voice as the models of one bundle read it, with its licence and consent.

A safetensors file `NAME.voice.safetensors`: the codes `codes.I` [K, T] and the style `style.I`
[1, dim] of each recording, and one JSON object in the header. It holds no audio. Made once, it is
spoken with at once, and mixed with others by weight.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gsv2.files import atomic_file
from gsv2.inference.enrollment import BundleHashes, EnrolledReference
from gsv2.inference.generate import Prompt
from gsv2.inference.references import VoiceError, check_weight
from gsv2.models.component import ComponentError, parse_object
from gsv2.models.config_values import build_config

SUFFIX = ".voice.safetensors"
"""End of the name of every voice file."""
FORMAT_VERSION = 1
_HEADER = "gsv2_voice"
"""Metadata key of the safetensors file."""
_MAX_BYTES = 64 << 20
"""A larger file is no voice."""


@dataclass(frozen=True, kw_only=True)
class VoiceNotes:
    """What people say of a voice."""

    name: str
    """Name for people."""
    licence: str
    """Licence of the recordings, as an SPDX identifier or in words."""
    consent: str
    """Who has agreed that this voice speaks, and where that is written."""

    def __post_init__(self) -> None:
        """Check that nothing is left open."""
        for field in ("name", "licence", "consent"):
            if not getattr(self, field).strip():
                raise VoiceError(f"the {field} of a voice must be said, but is empty")


@dataclass(frozen=True, kw_only=True)
class VoiceFile:
    """The content of a voice file."""

    notes: VoiceNotes
    origin: BundleHashes
    """Bundle whose models have read the recordings."""
    references: tuple[EnrolledReference, ...]
    """Its recordings; weights of several voices are relative to each other."""

    def weighted(self, weight: float) -> list[EnrolledReference]:
        """Return the references with weights of a given sum, and with the name of their speaker."""
        total = sum(reference.weight for reference in self.references)
        return [
            replace(r, weight=weight * (r.weight / total), speaker=r.speaker or self.notes.name)
            for r in self.references
        ]


@dataclass(frozen=True, kw_only=True)
class _ReferenceHeader:
    text: str | None
    pitch_hz: float
    weight: float
    speaker: str = ""


@dataclass(frozen=True, kw_only=True)
class _Header:
    format_version: int
    notes: VoiceNotes
    quantizer: str
    vits2: str
    references: tuple[_ReferenceHeader, ...]


def is_voice_file(path: str | Path) -> bool:
    """Tell a voice file from a recording, by its name."""
    return str(path).endswith(SUFFIX)


def save_voice(path: Path, voice: VoiceFile) -> None:
    """Write a voice file, whole or not at all.

    Raises:
        VoiceError: the name has another end.
        OSError: the disk does not take it.
    """
    check_voice_path(path)
    tensors: dict[str, Tensor] = {}
    headers = []
    for number, reference in enumerate(voice.references):
        tensors[f"style.{number}"] = reference.style.float().cpu().contiguous()
        prompt = reference.prompt
        if prompt is not None:
            tensors[f"codes.{number}"] = prompt.codes.to(torch.int32).cpu().contiguous()
        text = None if prompt is None else prompt.text
        headers.append(
            _ReferenceHeader(
                text=text,
                pitch_hz=reference.pitch_hz,
                weight=reference.weight,
                speaker=reference.speaker,
            )
        )
    header = _Header(
        format_version=FORMAT_VERSION,
        notes=voice.notes,
        quantizer=voice.origin.quantizer,
        vits2=voice.origin.vits2,
        references=tuple(headers),
    )
    content = json.dumps(asdict(header), ensure_ascii=False)
    with atomic_file(path, SafetensorError) as aside:
        save_file(tensors, aside, metadata={_HEADER: content})


def check_voice_path(path: Path) -> None:
    """Check that a voice file can have a name.

    Raises:
        VoiceError: it ends in something else, or there is no such folder.
    """
    if not is_voice_file(path):
        raise VoiceError(f"a voice file must end in {SUFFIX}, but is {path}")
    if not path.parent.is_dir():
        raise VoiceError(f"{path} cannot be written: {path.parent} is no folder")


def load_voice(path: str | Path) -> VoiceFile:
    """Read a voice file; nothing of it is unpickled.

    Raises:
        VoiceError: no voice file, or a damaged one; names it.
    """
    path = Path(path)
    if not path.is_file():
        raise VoiceError(f"voice {path} does not exist")
    if path.stat().st_size > _MAX_BYTES:
        raise VoiceError(f"voice {path} must have at most {_MAX_BYTES} bytes, but has more")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if _HEADER not in metadata:
            raise VoiceError(f"{path} is a safetensors file, but no voice")
        header = build_config(_Header, parse_object(metadata[_HEADER], str(path)), "voice")
        if header.format_version != FORMAT_VERSION:
            raise VoiceError(
                f"voice {path}: format_version must be {FORMAT_VERSION}, "
                f"but is {header.format_version}"
            )
        return _build(path, header, tensors)
    except VoiceError:
        raise
    except (SafetensorError, ComponentError, ValueError, KeyError, RuntimeError) as error:
        raise VoiceError(f"voice {path} is damaged: {' '.join(str(error).split())}") from error


def mix_voices(voices: Sequence[VoiceFile], weights: Sequence[float], name: str) -> VoiceFile:
    """Return the voice that voices of one bundle make together.

    Args:
        voices: voices, at least two.
        weights: one a voice, of positive sum; a voice of weight 0 leaves nothing behind.
        name: name of the mixture.

    Raises:
        VoiceError: numbers or weights that cannot be meant, or voices of different bundles.
    """
    if len(voices) < 2 or len(weights) != len(voices):
        raise VoiceError(
            f"there must be at least two voices and one weight each, but there are {len(voices)} "
            f"voices and {len(weights)} weights"
        )
    for voice, weight in zip(voices, weights, strict=True):
        check_weight(voice.notes.name, weight)
        if voice.origin != voices[0].origin:
            raise VoiceError(
                f"voices must be of one bundle, but {voices[0].notes.name!r} is of "
                f"{voices[0].origin}, {voice.notes.name!r} of {voice.origin}"
            )
    if not sum(weights) > 0:
        raise VoiceError(f"weights must have a positive sum, but are {list(weights)}")
    kept = [pair for pair in zip(voices, weights, strict=True) if pair[1] > 0]
    notes = VoiceNotes(
        name=name,
        licence="; ".join(dict.fromkeys(voice.notes.licence for voice, _ in kept)),
        consent="; ".join(dict.fromkeys(voice.notes.consent for voice, _ in kept)),
    )
    references = tuple(r for voice, weight in kept for r in voice.weighted(weight))
    return VoiceFile(notes=notes, origin=voices[0].origin, references=references)


def _build(path: Path, header: _Header, tensors: dict[str, Tensor]) -> VoiceFile:
    """Return the voice of a header and its tensors, each of which must be there and fit."""
    origin = BundleHashes(header.quantizer, header.vits2)
    references = []
    for number, described in enumerate(header.references):
        style, codes = tensors.pop(f"style.{number}"), None
        if described.text is not None:
            codes = tensors.pop(f"codes.{number}").long()
            if codes.ndim != 2 or codes.shape[1] == 0 or bool((codes < 0).any()):
                raise ValueError(f"codes.{number} must be [K, T] of codes from 0")
        if style.ndim != 2 or style.shape[0] != 1 or not bool(style.isfinite().all()):
            raise ValueError(f"style.{number} must be [1, dim] of finite numbers")
        check_weight(path, described.weight)
        if not described.pitch_hz >= 0:
            raise ValueError(f"pitch_hz must be at least 0, but is {described.pitch_hz}")
        references.append(
            EnrolledReference(
                style=style.float(),
                pitch_hz=described.pitch_hz,
                prompt=None if codes is None else Prompt(described.text or "", codes),
                weight=described.weight,
                origin=origin,
                speaker=described.speaker,
                source=str(path),
            )
        )
    if tensors or not sum(r.weight for r in references) > 0:
        raise ValueError(f"it must hold references and nothing else, but holds {sorted(tensors)}")
    return VoiceFile(notes=header.notes, origin=origin, references=tuple(references))
