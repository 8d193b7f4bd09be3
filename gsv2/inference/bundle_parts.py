"""Parts of a bundle: what each must be, and that they belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.models.aligner.model import Aligner, AlignerConfig
from gsv2.models.component import Component, ComponentError
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.models.trained_module import check_trained
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.folded_norms import layout_of
from gsv2.models.vits2.model import VITS2
from gsv2.nn.codes import CodeConfig
from gsv2.text.encoders.config import BGE_M3, QWEN2, TextVectorsConfig

PARTS = {"quantizer": "quantizer", "gpt": "gpt", "vits2": "generator"}
"""Kind of a part -> name of the trainable that holds it in a run."""
OPTIONAL_PARTS = {"aligner": "aligner"}
"""The same for parts that a bundle may lack: the aligner, which a GPT that reads by a pointer needs
and which tells when words are spoken."""
TEXT_PARTS = {"vits2": "generator"}
"""The same for a bundle whose waveform model reads text: it speaks alone."""
_CODEBOOKS = {"gpt": "audio_input.vectors.codebooks", "vits2": "code_vectors.codebooks"}
"""Kind of a part -> where it keeps the codebooks of its quantizer, if it does."""
_TOLERANCE = 1e-5
"""Largest difference of equal codebooks: an average of equal values may round."""


def check_parts(parts: Mapping[str, Component]) -> str | None:
    """Check the weights of all parts, and that they were trained on one quantizer.

    Args:
        parts: kind -> component, for every kind in `PARTS`, and any in `OPTIONAL_PARTS`; or for
            every kind in `TEXT_PARTS`.

    Returns:
        The hash of the quantizer; None without one.

    Raises:
        ComponentError: a part is damaged, or they are parts of different quantizers; the message
            names the file.
    """
    if parts.keys() == TEXT_PARTS.keys():
        _check_text_part(parts["vits2"])
        return None
    if parts["vits2"].config.get("prior") == "text":
        raise ComponentError(
            f"{parts['vits2'].name} reads text and not the codes of a GPT; it makes a bundle alone"
        )
    shared = _shared_hash(parts)
    gpt = check_trained(parts["gpt"], GPTConfig, SemanticGPT)
    vits2 = _check_vits2(parts["vits2"])
    quantizer = Quantizer.from_component(parts["quantizer"])
    name = parts["quantizer"].name
    if not quantizer.codebooks.initialised:
        raise ComponentError(f"{name}: its codebooks were never initialised")
    if quantizer.fingerprint() != shared:
        raise ComponentError(
            f"{name}: provenance.quantizer must be the hash of its codebooks "
            f"({quantizer.fingerprint()}), but is {shared}"
        )
    _compare_codes(quantizer.config.codes, {"gpt": gpt.codes, "vits2": vits2.codes}, parts)
    _compare_codebooks(quantizer, parts)
    _check_aligner(gpt, parts)
    _check_rate(vits2, parts["vits2"].name)
    return shared


def _check_text_part(part: Component) -> None:
    """Check a waveform model that speaks alone."""
    vits2 = _check_vits2(part)
    if vits2.prior != "text":
        raise ComponentError(f"{part.name} reads codes and needs the GPT that makes them")
    _check_rate(vits2, part.name)


def _check_vits2(part: Component) -> VITS2Config:
    """Check the weights of a waveform model, folded or not."""
    return check_trained(part, VITS2Config, layout_of(VITS2, part.tensors))


def _check_rate(vits2: VITS2Config, name: str) -> None:
    if vits2.mel.sample_rate != SAMPLE_RATE:
        raise ComponentError(
            f"{name}: config.mel.sample_rate must be {SAMPLE_RATE}, but is {vits2.mel.sample_rate}"
        )


def described_encoders(parts: Mapping[str, Component]) -> dict[str, dict[str, Any]]:
    """Return what a bundle says of its pretrained encoders, whose weights it does not hold.

    Args:
        parts: kind -> component, as `check_parts` has found them good.

    Returns:
        `speech_encoder` and `text_encoder`, where there is one: name, source and hash. Of `qwen2`
        it is the tokenizer, which the GPT reads with.
    """
    found: dict[str, dict[str, Any]] = {}
    vectors = parts["vits2"].read_config(VITS2Config).text_vectors
    if vectors is not None:
        found["text_encoder"] = _encoder_of(vectors)
    if "gpt" not in parts:
        return found
    speech = parts["quantizer"].read_config(QuantizerConfig).speech_encoder
    if speech.is_pretrained:
        found["speech_encoder"] = {**speech.identity, "source": speech.source}
    gpt = parts["gpt"].read_config(GPTConfig)
    if gpt.text_encoder == BGE_M3:
        found["text_encoder"] = _encoder_of(gpt.text_vectors)
    elif gpt.text_encoder == QWEN2:
        found["text_encoder"] = {"name": gpt.text_encoder, **_tokenizer_of(gpt)}
    return found


def _encoder_of(vectors: TextVectorsConfig) -> dict[str, Any]:
    """Return name, source and hash of a frozen text encoder."""
    return {
        "name": BGE_M3,
        "source": vectors.weights.source,
        "dim": vectors.dim,
        "sha256": vectors.sha256,
    }


def _tokenizer_of(gpt: GPTConfig) -> dict[str, Any]:
    """Return what a bundle says of a tokenizer."""
    made = gpt.tokenizer
    return {"source": made.path, "size": made.size, "sha256": made.sha256}


def _check_aligner(gpt: GPTConfig, parts: Mapping[str, Component]) -> None:
    """Check that the aligner is the one that the GPT follows, if it follows any."""
    name, wanted = parts["gpt"].name, parts["gpt"].provenance.get("aligner")
    if "aligner" not in parts:
        if gpt.reading != "attention":
            raise ComponentError(
                f"{name} reads by a pointer (reading={gpt.reading}) and needs the aligner that its "
                "codes were aligned by; name the run of it too"
            )
        return
    check_trained(parts["aligner"], AlignerConfig, Aligner)
    found = Aligner.from_component(parts["aligner"]).fingerprint()
    if wanted not in (None, found):
        raise ComponentError(
            f"{parts['aligner'].name}: the hash of its weights must be {wanted}, as {name} says, "
            f"but is {found}"
        )


def _shared_hash(parts: Mapping[str, Component]) -> str:
    """Return the hash of the quantizer that every part says it was trained on."""
    hashes = {kind: part.provenance.get("quantizer", "none") for kind, part in parts.items()}
    if len(set(hashes.values())) != 1:
        listed = "; ".join(f"{kind} ({parts[kind].name}): {hashes[kind]}" for kind in hashes)
        raise ComponentError(
            f"all parts must be trained on the same quantizer, but are not: {listed}"
        )
    return hashes["quantizer"]


def _compare_codes(
    wanted: CodeConfig, found: Mapping[str, CodeConfig], parts: Mapping[str, Component]
) -> None:
    """Compare the shape and the rate of the codes that parts read and write."""
    for kind, codes in found.items():
        for key in ("groups", "levels", "codebook_size", "dim", "rate_hz"):
            there: Any = getattr(codes, key)
            if there != getattr(wanted, key):
                raise ComponentError(
                    f"{parts[kind].name}: config.codes.{key} must be that of the quantizer "
                    f"({getattr(wanted, key)}), but is {there}"
                )


def _compare_codebooks(quantizer: Quantizer, parts: Mapping[str, Component]) -> None:
    """Compare the codebooks that parts keep with those of the quantizer."""
    entries = quantizer.codebooks.entries
    for kind, key in _CODEBOOKS.items():
        kept = parts[kind].tensors.get(key)
        if kept is not None and not torch.allclose(kept, entries, _TOLERANCE, _TOLERANCE):
            raise ComponentError(
                f"{parts[kind].name}: {key} must be the codebooks of the quantizer, but are others"
            )
