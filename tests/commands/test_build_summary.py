"""Lines that a build ends with."""

from __future__ import annotations

from dataclasses import replace

from gsv2.commands.build_summary import summary_lines
from gsv2.data.corpus.manifest import read_manifest


def test_clips_are_listed_by_language_and_what_was_left_out_by_reason(tiny_corpus, tmp_path):
    made = read_manifest(tiny_corpus.path)
    build = {**made.build, "suspects": {"audio is noisy": 2}, "trimmed_sec": 1.25}
    rejected = {"left alone: notes": 3, "no transcript": 1}
    lines = list(summary_lines(replace(made, build=build, rejected=rejected), tmp_path))
    assert lines[0].startswith(f"{tmp_path}: 12 clips, ")
    assert [line.partition(":")[0] for line in lines[1:3]] == ["  en", "  zh"]
    assert lines[3:] == [
        "  3 left alone: notes",
        "  rejected 1: no transcript",
        f"  suspect 2: audio is noisy; named in {tmp_path / 'suspects.jsonl'}",
        "  1.2 s of silence were cut off",
        f"  what was left out is named in {tmp_path / 'rejected.jsonl'}",
    ]
