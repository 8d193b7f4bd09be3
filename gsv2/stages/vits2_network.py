"""Network of the waveform stage, untrained, and what it depends on: a quantizer, or a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from gsv2.data.config import DataConfig
from gsv2.models.quantizer.model import Quantizer
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.model import VITS2
from gsv2.nn.codes import CodeConfig
from gsv2.stages.codebook_updates import LiveFingerprint
from gsv2.stages.sections import fill_codes, fill_vectors
from gsv2.stages.vits2_config import VITS2ModelSection, fill_code_features


class VITS2Network(NamedTuple):
    """An untrained network."""

    model: VITS2
    """Network on the CPU."""
    config: VITS2Config
    """Config that it was built from, with what quantizer and corpora say."""
    provenance: Mapping[str, str]
    """Hashes of what it depends on."""
    codes: CodeConfig | None
    """Shape of the codes that corpora must hold for it; None where they need none."""


def make_network(
    section: VITS2ModelSection, data: DataConfig, trained: Quantizer | None = None
) -> VITS2Network:
    """Build the network of a run.

    Args:
        section: section `model`.
        data: section `data`, whose sources may have text vectors.
        trained: quantizer that trains with it; None = the frozen one that the section names.

    Raises:
        ValueError: the quantizer or the text vectors are missing, damaged or do not fit.
    """
    generator, of_text = _fill_text(section.generator, data)
    if generator.prior == "text":
        return VITS2Network(VITS2(generator), generator, of_text, None)
    quantizer = section.load_quantizer() if trained is None else trained
    vectors = quantizer.code_vectors()
    filled = fill_codes(generator, vectors.config, "model.generator")
    config = fill_code_features(filled, quantizer.config)
    model = VITS2(config)
    model.code_vectors.set_codebooks(vectors.codebooks)
    if model.code_features is not None:
        model.code_features.set_decoder(quantizer.decoder.state_dict())
    if trained is not None:
        return VITS2Network(model, config, LiveFingerprint(trained, of_text), None)
    provenance = {"quantizer": quantizer.fingerprint(), **of_text}
    return VITS2Network(model, config, provenance, vectors.config)


def _fill_text(config: VITS2Config, data: DataConfig) -> tuple[VITS2Config, dict[str, str]]:
    """Return the config with the text encoder of the corpora that it reads, and its hash."""
    if config.text_vectors is None:
        return config, {}
    field = "text" if config.prior == "text" else "content_text"
    reads, key = getattr(config, field), f"model.generator.{field}"
    vectors = fill_vectors(reads.encoder, reads.vectors, data, f"{key}.encoder", f"{key}.vectors")
    assert vectors.sha256 is not None, "corpora of text vectors name their encoder"
    filled = replace(reads, vectors=vectors)
    return replace(config, **{field: filled}), {"text_encoder": vectors.sha256}


def vits2_members(section: VITS2ModelSection) -> tuple[str, ...]:
    """Return what the stage reads of a clip beside its text."""
    reads_codes = section.generator.prior == "codes" and section.trained_quantizer is None
    members = ("audio", "codes") if reads_codes else ("audio",)
    return members if section.generator.text_vectors is None else (*members, "text_vectors")
