"""Python interface of gsv2, the training framework for GPT-SoVITS2 text-to-speech.

Names load what they need when they are first asked for, so that `import gsv2` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gsv2.version import __version__

if TYPE_CHECKING:
    from gsv2.inference.references import load_references
    from gsv2.inference.synthesizer import Synthesizer
    from gsv2.inference.voice_sources import load_voices
    from gsv2.train import main as train

__all__ = ["Synthesizer", "__version__", "load_references", "load_voices", "train"]

_MODULES = {
    "Synthesizer": "gsv2.inference.synthesizer",
    "load_references": "gsv2.inference.references",
    "load_voices": "gsv2.inference.voice_sources",
}


def __getattr__(name: str) -> Any:
    """Load a name of the interface."""
    if name == "train":  # a module that can be called, see there
        return import_module("gsv2.train")
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'gsv2' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the interface, for those who look it up in a shell."""
    return __all__
