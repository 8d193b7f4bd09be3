"""Network of the GPT stage: built from the config, the quantizer and the aligner of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gsv2.data.corpus.decode import AlignClip
from gsv2.inference.clip_aligner import ClipAligner
from gsv2.models.aligner.model import Aligner
from gsv2.models.component import load_component
from gsv2.models.freezing import freeze_modules
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.models.quantizer.model import Quantizer
from gsv2.stages.codebook_updates import LiveFingerprint
from gsv2.stages.gpt_config import (
    GPTModelSection,
    GPTRunConfig,
    check_token_count,
    fill_text_vectors,
    gpt_members,
)
from gsv2.stages.gpt_start import NONE
from gsv2.stages.sections import fill_codes
from gsv2.text.encoders.config import QWEN2
from gsv2.text.encoders.make import resolve_tokenizer
from gsv2.training.checkpoints.checkpoint import find_component


class GPTNetwork(NamedTuple):
    """A GPT with random weights, and what it was built for."""

    model: SemanticGPT
    """Network on the host, with the codebooks of the quantizer."""
    provenance: Mapping[str, str]
    """Hashes of what it depends on."""
    members: tuple[str, ...]
    """Members of a clip that it reads."""
    aligner: Aligner | None
    """Whom a pointer follows, and who judges, if there is one."""
    align_clip: AlignClip | None
    """What aligns codes that nobody has aligned, for a pointer."""


def make_network(
    config: GPTRunConfig, members: tuple[str, ...], trained: Quantizer | None = None
) -> GPTNetwork:
    """Build the network of a run.

    Args:
        config: config of the run.
        members: what every GPT reads of a clip beside its text.
        trained: quantizer that trains in the same run; None = the frozen one that it names.

    Raises:
        ValueError: the sections `data` and `model` do not fit together.
    """
    quantizer = config.model.load_quantizer() if trained is None else trained
    provenance = {"quantizer": quantizer.fingerprint()}
    members = gpt_members(members, config.model)
    # Looked for once: a run folder may have a newer one at the second look.
    file = _find_aligner(config.model)
    aligner = None if file is None else _load_aligner(file, quantizer)
    align_clip = None
    if file is not None and aligner is not None and "align" in members:
        provenance["aligner"] = aligner.fingerprint()
        align_clip = ClipAligner(file)
    gpt = fill_codes(config.model.gpt, quantizer.config.codes, "model.gpt")
    gpt = _fill_tokenizer(fill_text_vectors(gpt, config.data), config.init.backbone)
    for key, sha256 in {
        "text_encoder": gpt.text_vectors.sha256,
        "tokenizer": gpt.tokenizer.sha256,
    }.items():
        if sha256 is not None:
            provenance[key] = sha256
    check_token_count(config.data, gpt)
    model = SemanticGPT(gpt)
    model.set_codebooks(quantizer.code_vectors().codebooks)
    freeze_modules(model, config.model.freeze, "model.freeze")
    if trained is not None:
        return GPTNetwork(model, LiveFingerprint(trained, provenance), members, None, None)
    return GPTNetwork(model, provenance, members, aligner, align_clip)


def _fill_tokenizer(gpt: GPTConfig, backbone: str) -> GPTConfig:
    """Return the config of a network with its tokenizer, which may lie beside a text LM."""
    if gpt.text_encoder != QWEN2:
        return gpt
    beside = None if backbone == NONE else backbone
    made = replace(gpt.tokenizer, path=gpt.tokenizer.path or beside)
    return replace(gpt, tokenizer=resolve_tokenizer(made))


def _find_aligner(model: GPTModelSection) -> Path | None:
    return None if model.aligner is None else find_component(Path(model.aligner), "aligner")


def _load_aligner(file: Path, quantizer: Quantizer) -> Aligner:
    component = load_component(file, "aligner")
    if component.provenance.get("quantizer") != quantizer.fingerprint():
        raise ValueError(
            f"model.aligner {file} must be trained on the codes of model.quantizer "
            f"({quantizer.fingerprint()}), but was on {component.provenance.get('quantizer')}"
        )
    return Aligner.from_component(component)
