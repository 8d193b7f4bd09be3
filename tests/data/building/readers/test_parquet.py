"""Parquet of others: audio as bytes, as structs or as paths, and what in it is no clip."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gsv2.data.building.encode import Rejected
from gsv2.data.building.readers.choice import choose_reader
from gsv2.data.building.readers.parquet import ParquetCell
from gsv2.data.corpus.manifest import CorpusError
from tests.support.layouts import LAYOUTS
from tests.support.offered_clips import offered
from tests.support.said import SAID, audio_bytes, put


def write(table: Path, **columns: list) -> None:
    pq.write_table(pa.table(columns), table, row_group_size=2)


def test_cells_are_read_in_any_order(tmp_path):
    LAYOUTS["parquet"].write(tmp_path)
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    for group, row in ((0, 2), (0, 0), (1, 0), (0, 1), (0, 2)):
        expected = audio_bytes(SAID[3 * group + row], "FLAC")
        assert ParquetCell(path, group, row, "audio").read() == expected


def test_paths_and_empty_cells_lead_to_files_or_are_named(tmp_path):
    put(tmp_path / "clips" / "a.wav", audio_bytes(SAID[0]))
    said = ["Hi.", "", "Hi.", None]
    write(tmp_path / "p.parquet", path=["clips/a.wav", "clips/a.wav", "none.wav", None], text=said)
    cells = [{"bytes": None, "path": "clips/a.wav"}, {"bytes": audio_bytes(SAID[1]), "path": None},
             {"bytes": None, "path": None}]  # fmt: skip
    write(tmp_path / "s.parquet", audio=cells, text=["One.", "Two.", "Three."], id=["a", "b", "b"])
    write(tmp_path / "x.parquet", other=[1], text=["a"])
    put(tmp_path / "cut.parquet", b"PAR1")
    with pytest.raises(CorpusError, match=r"no column of the audio.*--column audio=NAME"):
        offered(tmp_path / "x.parquet", "parquet", language="en")
    clips = offered(tmp_path, "parquet", language="en")
    good = [clip.text for clip in clips if not isinstance(clip, Rejected)]
    assert good == ["Hi.", "One.", "Two."]
    assert [clip.reason for clip in clips if isinstance(clip, Rejected)] == [
        "Parquet cannot be read",
        "no transcript",
        "audio file does not exist",
        "no transcript",
        "same recording or key twice",
        "no columns of audio and text",
        "left alone: no Parquet",
    ]
    with pytest.raises(CorpusError, match="no column nowhere"):
        offered(tmp_path, "parquet", language="en", columns={"text": "nowhere"})
    assert choose_reader(tmp_path / "s.parquet").reader.name == "parquet"
