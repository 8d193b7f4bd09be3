"""Watermark in the sound of synthetic speech, by Perth's network (extra `gsv2[watermark]`).

One network changes magnitudes below 2 kHz, another tells whether that was done. It says that a
machine has spoken, not which one. The package's own door asks for pkg_resources, which setuptools
has no longer, and librosa, for nothing that is needed here: its network is loaded from its files.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import yaml

WATERMARK_RATE = 32_000
"""Samples a second of what the network hears."""
FOUND = 0.75
"""Score from which a watermark is there. Perth rounds, which finds one in the AAC of .4 s of speech
that has none."""
_FIRST = 10_240
"""Samples of the first block that is marked at once; a further one has as many as all before."""
_MOST = 40_960
"""Samples of a block at most."""
_CONTEXT = 7_680
"""Samples around a block that move it: 18 frames of the network, and windows of the spectrum."""
_SHORTEST = 2_048
"""Samples of a spectrum's window; shorter waves are filled up with silence."""
_HOP = 320
"""Samples from one spectrum to the next."""
_SCORED = 30 * WATERMARK_RATE
"""Samples that are scored at once."""
_PACKAGE = "perth_net_implicit"
_CHECKPOINT = "perth_net_250000.pth.tar"


def is_watermarking() -> bool:
    """Tell whether the extra is installed."""
    return _find_package() is not None


class WatermarkStream:
    """Marks a wave that comes piece by piece; without the extra it leaves it as it is.

    Where blocks begin depends on the place in the wave alone, so that the samples do not depend
    on when they have come. All samples come back, at their places.
    """

    def __init__(self) -> None:
        self._network = _load_network() if is_watermarking() else None
        self._seen = np.zeros(0, dtype=np.float32)
        self._before = 0  # samples of `_seen` that were returned
        self._num_done = 0

    def push(self, wave: np.ndarray, *, is_last: bool = False) -> np.ndarray:
        """Take the next samples at `WATERMARK_RATE`; return those that are complete.

        Args:
            wave: [N] float32, N may be 0.
            is_last: nothing comes after them.

        Returns:
            [M] float32.
        """
        if self._network is None:
            return wave
        self._seen = np.concatenate([self._seen, wave])
        made = [np.zeros(0, dtype=np.float32)]
        while True:
            waiting = len(self._seen) - self._before
            size = min(max(_FIRST, self._num_done), _MOST)
            if waiting < size + _CONTEXT and not (is_last and waiting):
                return np.concatenate(made)
            made.append(self._mark(min(size, waiting)))

    def _mark(self, size: int) -> np.ndarray:
        """Return the next samples, marked."""
        stop = self._before + size
        marked = _mark_whole(self._network, self._seen[: stop + _CONTEXT])[self._before : stop]
        kept = max(stop - _CONTEXT, 0)
        self._seen, self._before = self._seen[kept:], stop - kept
        self._num_done += size
        return marked


def watermarked(wave: np.ndarray) -> np.ndarray:
    """Return a wave [N] float32 at `WATERMARK_RATE`, marked; without the extra as it is."""
    return WatermarkStream().push(wave, is_last=True)


def score_watermark(wave: np.ndarray) -> float:
    """Return how sure it is that a wave [N] at `WATERMARK_RATE` has the mark somewhere, 0 to 1.

    Raises:
        ModuleNotFoundError: the extra is not installed.
    """
    network, scores = _load_network(), [0.0]
    for start in range(0, len(wave), _SCORED):
        magnitude = network.ap.signal_to_magphase(_filled(wave[start : start + _SCORED]))[0]
        score = float(network.decoder(magnitude[None])[0])
        scores.append(min(score, 1.0) if score > 0 else 0.0)  # of silence alone it is NaN
    return max(scores)


def _mark_whole(network: Any, wave: np.ndarray) -> np.ndarray:
    magnitude, phase = network.ap.signal_to_magphase(_filled(wave))
    marked = network.ap.magphase_to_signal(network.encoder(magnitude[None])[0][0], phase)
    found: np.ndarray = marked.numpy()[: len(wave)]
    return found


def _filled(wave: np.ndarray) -> np.ndarray:
    """Return a wave with silence up to a whole number of frames, which the inverse asks for."""
    missing = max(-(-len(wave) // _HOP) * _HOP, _SHORTEST) - len(wave)
    return np.pad(wave, (0, missing))


def _find_package() -> Path | None:
    """Return the folder of the library; a folder of its name, say here, is no package."""
    found = find_spec("perth")
    return None if found is None or found.origin is None else Path(found.origin).parent


@cache
def _load_network() -> Any:
    """Return Perth's network for marking and finding.

    Raises:
        ModuleNotFoundError: the extra is not installed.
    """
    import torch

    package = _find_package()
    if package is None:
        raise ModuleNotFoundError("watermarks need resemble-perth: pip install 'gsv2[watermark]'")
    folder = package / "perth_net"
    about = spec_from_file_location(
        _PACKAGE,
        folder / _PACKAGE / "__init__.py",
        submodule_search_locations=[str(folder / _PACKAGE)],
    )
    assert about is not None, "the package has this file"
    sys.modules[_PACKAGE] = module_from_spec(about)
    weights = folder / "pretrained" / "implicit"
    settings = yaml.safe_load((weights / "hparams.yaml").read_text())
    config = import_module(f"{_PACKAGE}.config").PerthConfig(**settings)
    network = import_module(f"{_PACKAGE}.model.perth_net").PerthNet(config).eval()
    network.requires_grad_(False)
    state = torch.load(weights / _CHECKPOINT, map_location="cpu", weights_only=True)
    network.load_state_dict(state["model"])
    return network
