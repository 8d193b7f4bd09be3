from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.nn.codes import CodeConfig
from gsv2.preflight.corpora import check_corpora
from gsv2.preflight.report import Finding

BOTH = ("audio", "codes")


@pytest.fixture
def source(tmp_path: Path, tiny_corpus: Any) -> SourceConfig:
    """A corpus to break."""
    for name in ("path", "codes"):
        shutil.copytree(getattr(tiny_corpus, name), tmp_path / name)
    return SourceConfig(path=str(tmp_path / "path"), codes=str(tmp_path / "codes"))


def check(*sources: SourceConfig, **options: Any) -> list[Finding]:
    return list(check_corpora(DataConfig(sources=list(sources), max_frames=200, **options), BOTH))


def tars(folder: str) -> list[Path]:
    return sorted(Path(folder).rglob("*.tar"))


def test_every_source_has_a_line(source: SourceConfig) -> None:
    first, second = check(source, validation=[source])
    assert first == second
    assert first.status == "ok"
    assert first.detail.startswith("12 clips")


@pytest.mark.parametrize("folder", ["path", "codes"])
def test_the_last_shard_is_read_to_its_end(source: SourceConfig, folder: str) -> None:
    last = tars(getattr(source, folder))[-1]
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    (found,) = check(source)
    assert found.status == "fail"
    assert "tar ends before the clip" in found.detail


def test_a_flipped_byte_of_the_first_clip_is_seen(source: SourceConfig) -> None:
    first = tars(source.path)[0]
    content = bytearray(first.read_bytes())
    content[1024 : 1024 + 2048] = bytes(2048)
    first.write_bytes(content)
    assert check(source)[0].status == "fail"


@pytest.mark.parametrize("number", [0, -1])
def test_a_missing_shard_is_named(source: SourceConfig, number: int) -> None:
    tar = tars(source.path)[number]
    tar.unlink()
    (found,) = check(source)
    assert found.status == "fail"
    assert tar.name in found.detail


def test_codes_of_another_quantizer_are_found(source: SourceConfig) -> None:
    trainable = SimpleNamespace(provenance={"quantizer": "abc"})
    stage: Any = SimpleNamespace(trainables={"gpt": trainable}, codes=CodeConfig())
    config = DataConfig(sources=[source], max_frames=200)
    (found,) = check_corpora(config, BOTH, stage)
    assert found.status == "fail"
    assert "but gpt is given quantizer abc" in found.detail


def test_codes_that_will_be_aligned_as_they_are_read_are_told_and_tried(
    source: SourceConfig,
) -> None:
    seen = []

    def align(clip: Clip) -> np.ndarray:
        seen.append(clip.key)
        assert clip.codes is not None
        return np.zeros(clip.codes.shape[1], np.uint16)

    stage: Any = SimpleNamespace(trainables={}, codes=CodeConfig(), align_clip=align)
    config = DataConfig(sources=[source], max_tokens=400)
    (found,) = check_corpora(config, ("codes", "align"), stage)
    assert (found.status, len(seen) > 2) == ("ok", True)
    assert f"codes of {source.codes} are not aligned" in found.detail


def test_a_missing_corpus_does_not_hide_the_others(source: SourceConfig, tmp_path: Path) -> None:
    nowhere = SourceConfig(path=str(tmp_path / "nowhere"))
    assert [found.status for found in check(nowhere, source)] == ["fail", "ok"]


def test_remote_shards_are_read_by_their_offsets(source: SourceConfig) -> None:
    """A URL of fsspec; what a server or a bucket offers is read in the same way."""
    remote = SourceConfig(path=f"local://{source.path}", codes=f"local://{source.codes}")
    assert check(remote)[0].status == "ok"
    last = tars(source.path)[-1]
    last.write_bytes(last.read_bytes()[:1024])
    (found,) = check(remote)
    assert found.status == "fail"
    assert found.name == f"corpus local://{source.path}"


def test_commands_are_read_from_their_beginning_alone(source: SourceConfig) -> None:
    piped = SourceConfig(path=f"pipe:cat {source.path}/{{}}", codes=f"pipe:cat {source.codes}/{{}}")
    assert check(piped, allow_pipe=True)[0].status == "ok"
    assert "data.allow_pipe" in check(piped)[0].detail
