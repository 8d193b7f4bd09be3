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
    if section.generator.prior == "text":
        return _of_text(section.generator, data)
    quantizer = section.load_quantizer() if trained is None else trained
    vectors = quantizer.code_vectors()
    filled = fill_codes(section.generator, vectors.config, "model.generator")
    config = fill_code_features(filled, quantizer.config)
    model = VITS2(config)
    model.code_vectors.set_codebooks(vectors.codebooks)
    if model.code_features is not None:
        model.code_features.set_decoder(quantizer.decoder.state_dict())
    if trained is not None:
        return VITS2Network(model, config, LiveFingerprint(trained), None)
    return VITS2Network(model, config, {"quantizer": quantizer.fingerprint()}, vectors.config)


def _of_text(config: VITS2Config, data: DataConfig) -> VITS2Network:
    """Build a network with a prior of text."""
    provenance = {}
    if config.text.encoder != "bytes":
        key = "model.generator.text"
        vectors = fill_vectors(
            config.text.encoder, config.text.vectors, data, f"{key}.encoder", f"{key}.vectors"
        )
        config = replace(config, text=replace(config.text, vectors=vectors))
        assert vectors.sha256 is not None, "corpora of text vectors name their encoder"
        provenance["text_encoder"] = vectors.sha256
    return VITS2Network(VITS2(config), config, provenance, None)


def vits2_members(section: VITS2ModelSection) -> tuple[str, ...]:
    """Return what the stage reads of a clip beside its text."""
    if section.trained_quantizer is not None:
        return ("audio",)
    if section.generator.prior == "codes":
        return ("audio", "codes")
    is_vectors = section.generator.text.encoder != "bytes"
    return ("audio", "text_vectors") if is_vectors else ("audio",)
