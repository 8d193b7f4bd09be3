"""Every writer under a limit of file sizes (EFBIG), which fails as a full disk does."""

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from gsv2.audio.wave import save_wave
from gsv2.data.building.encode import Rejected
from gsv2.data.building.intake import Rejections
from gsv2.data.building.spool import ClipSpool
from gsv2.data.corpus.index_columns import AUDIO_SCHEMA
from gsv2.data.corpus.manifest import Manifest, write_manifest
from gsv2.data.corpus.shard_writer import ShardWriter
from gsv2.files import named_errors, write_atomically
from gsv2.models.component import save_component
from gsv2.training.checkpoints.tensor_file import write_tensors
from gsv2.training.run_folder.records import append_records, truncate_records
from gsv2.training.stage import Panel
from gsv2.training.telemetry.samples import write_samples

LIMIT = 50
"""Bytes of the largest file, which no content of these tests fits into."""


@contextmanager
def full_disk() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def write_shard(folder: Path) -> None:
    with ShardWriter(folder, "en/a-000000", AUDIO_SCHEMA) as shard:
        shard.add("k", {"audio": bytes(2_000_000)})


def write_index(folder: Path) -> None:
    with ShardWriter(folder, "en/a-000000", AUDIO_SCHEMA) as shard:
        shard._tar.close = shard._file._file.close
        shard.finish(0.0)


def write_spool(folder: Path) -> None:
    with ClipSpool(folder / "spool") as spool:
        spool.append("en", "", b"", bytes(2_000_000))


def write_panel(folder: Path) -> None:
    panel = Panel(name="clip", waves={"real": torch.rand(32_000)})
    write_samples(folder, 3, [panel], keep=1)


def write_component(folder: Path) -> None:
    save_component(
        folder / "a.safetensors", torch.nn.Linear(9, 9), kind="x", config={}, provenance={}
    )


def drop_records(folder: Path) -> None:
    truncate_records(folder / "old.jsonl", 100)


WRITERS: dict[str, Callable[[Path], object]] = {
    "metrics.jsonl": lambda folder: append_records(
        folder / "metrics.jsonl", [{"step": 1, "x": "y" * 99}]
    ),
    "old.jsonl": drop_records,
    "a.json": lambda folder: write_atomically(folder / "a.json", "x" * 99),
    "corpus.json": lambda folder: write_manifest(Manifest(shards=()), folder),
    "rejected.jsonl": lambda folder: Rejections(folder / "rejected.jsonl").add(
        Rejected(key="k" * 99, reason="r")
    ),
    "en/a-000000.tar": write_shard,
    "en/a-000000.parquet": write_index,
    "spool/en.spool": write_spool,
    "a.wav": lambda folder: save_wave(folder / "a.wav", np.zeros(99), 32_000),
    "a.flac": lambda folder: save_wave(folder / "a.flac", np.zeros(99), 32_000),
    "clip.png": write_panel,
    "a.safetensors": write_component,
    "b.safetensors": lambda folder: write_tensors(
        folder / "b.safetensors", {"w": torch.zeros(99)}, {}
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_is_full_is_told_with_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "old.jsonl").write_text('{"step": 1}\n' * 9)
    with full_disk(), pytest.raises(OSError, match=r".") as error:
        WRITERS[name](tmp_path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_stays_as_it_was_when_the_disk_is_full(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.json", "before")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write_atomically(tmp_path / "a.json", "x" * 99)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "before"


def test_an_error_keeps_its_kind_and_number_and_the_file_that_it_names() -> None:
    with pytest.raises(PermissionError) as error, named_errors("here"):
        raise PermissionError(errno.EACCES, "no", "there")
    assert error.value.filename == "there"
    with pytest.raises(OSError, match=r"No space left on device: 'here'") as error:
        with named_errors("here"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match=r"^here cannot be written: oh$"):
        with named_errors("here", soundfile.SoundFileError):
            raise soundfile.SoundFileRuntimeError("oh")
