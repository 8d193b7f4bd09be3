"""Synthesizer of a bundle, of whichever kind: a GPT and its waveform model, or text to wave."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch

from gsv2.inference.bundle_description import read_bundle_description
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.onnx_engine import BundleGraphs, check_graphs
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_synthesizer import TextSynthesizer

Engine = Literal["torch", "onnx"]
"""What computes: torch alone, or the graphs of a bundle under onnxruntime too, on the CPU."""


class BundleOptions(NamedTuple):
    """How a bundle is loaded."""

    encoders: EncoderFolders = AS_IN_TRAINING
    """Folders of its pretrained encoders, if they have moved."""
    engine: Engine = "torch"


PLAIN = BundleOptions()


def open_synthesizer(
    path: str | Path, device: torch.device | None = None, options: BundleOptions = PLAIN
) -> Synthesizer | TextSynthesizer:
    """Load a bundle, see `Synthesizer.from_bundle`.

    Raises:
        BundleError: also of a bundle that the engine `onnx` cannot speak.
    """
    bundle, (encoders, engine) = Path(path), options
    if engine == "onnx":
        check_graphs(bundle)
        synthesizer = Synthesizer.from_bundle(bundle, torch.device("cpu"), encoders)
        synthesizer.use_graphs(BundleGraphs(bundle))
        return synthesizer
    if read_bundle_description(bundle).quantizer is None:
        return TextSynthesizer.from_bundle(bundle, device, encoders)
    return Synthesizer.from_bundle(bundle, device, encoders)


def check_engine(name: str) -> Engine:
    """Return the name of an engine that is known.

    Raises:
        ValueError: it is not.
    """
    for engine in get_args(Engine):
        if engine == name:
            return engine
    raise ValueError(f"engine must be one of {', '.join(get_args(Engine))}, but is {name}")
