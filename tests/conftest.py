"""Fixtures that many tests share.

What takes seconds to import is imported where it is used: xdist's own process runs no test.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gsv2.heap import keep_freed_memory
from tests.support.forked_runs import ForkedRuns
from tests.support.rank_server import IMPORTED_LATE
from tests.support.shared_folder import session_folder, shared_folder

if TYPE_CHECKING:
    from tests.support.tiny_corpus import TinyCorpus

LONG = {"docs", "integration", "launch"}
"""Folders of tests that take minutes."""


def has_nvidia_driver() -> bool:
    """Return whether torch could find a GPU by the driver's library."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def pytest_configure() -> None:
    """One thread a process: two that spin beside another's make a step take ten times as long.

    No garbage is collected until all tests are: what they import stays. Without a driver, torch
    is told that there is no GPU: each optimizer step would look for the driver's library anew.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    keep_freed_memory(os.environ)
    if not has_nvidia_driver():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker ends long after the others."""
    items.sort(key=lambda item: not LONG.intersection(item.path.parts))


def pytest_collection_finish() -> None:
    """One thread, also if torch was there before; collections leave out what is imported.

    A worker of the whole suite imports first what a test of it will.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        for late in IMPORTED_LATE:
            importlib.import_module(late)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    gc.enable()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Undo an ignored SIGINT, which background jobs of a shell inherit and hand on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """A corpus that all tests share; do not write to it."""
    from tests.support.tiny_corpus import TinyCorpus, make_codes, make_corpus

    def make(root: Path) -> None:
        make_codes(make_corpus(root / "corpus"), root / "codes")

    root = shared_folder(tmp_path_factory, "tiny_corpus", make)
    return TinyCorpus(path=root / "corpus", codes=root / "codes")


@pytest.fixture(scope="session", name="make_corpus")
def make_corpus_fixture() -> Callable[..., Path]:
    """`make_corpus(path, num_clips=12, num_speakers=3, seconds=(0.6, 1.6), seed=0, ...)`."""
    from tests.support.tiny_corpus import make_corpus

    return make_corpus


@pytest.fixture(scope="session", name="make_codes")
def make_codes_fixture() -> Callable[..., Path]:
    """`make_codes(corpus, out, num_codebooks=2, codebook_size=1024, quantizer=HASH, seed=0)`."""
    from tests.support.tiny_corpus import make_codes

    return make_codes


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of untrained parts; do not write to it."""
    from gsv2.inference.bundle import export_bundle
    from tests.support.tiny_bundle import save_parts

    def make(root: Path) -> None:
        export_bundle([save_parts(root / "parts")], root / "bundle")

    return shared_folder(tmp_path_factory, "tiny_bundle", make) / "bundle"


@pytest.fixture
def without_watermark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speech as the model makes it, where the extra `gsv2[watermark]` is installed too."""
    monkeypatch.setattr("gsv2.audio.watermark.find_spec", lambda name: None)


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 1.5 s."""
    import numpy as np

    from gsv2.audio.wave import save_wave
    from gsv2.data.corpus.format import SAMPLE_RATE
    from tests.support.tiny_corpus import synthetic_wave

    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    save_wave(path, synthetic_wave(1.5, 140.0, np.random.default_rng(0)), SAMPLE_RATE)
    return path


@pytest.fixture(scope="session")
def forked_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedRuns]:
    """Forks runs and ranks, for all workers of the session."""
    with ForkedRuns(session_folder(tmp_path_factory)) as forked_runs:
        yield forked_runs


@pytest.fixture(scope="session")
def tiny_quickstart(tmp_path_factory: pytest.TempPathFactory, forked_runs: ForkedRuns) -> Path:
    """What a quickstart leaves: the shipped debug configs, few steps, few held-out clips.

    For all tests that need trained parts; do not write to it.
    """
    from tests.support.tiny_quickstart import run_tiny_quickstart

    make = partial(run_tiny_quickstart, forked_runs=forked_runs)
    return shared_folder(tmp_path_factory, "tiny_quickstart", make)
