"""WebDatasets of others: members of tars."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from gsv2.data.building.encode import Rejected
from tests.support.offered_clips import offered
from tests.support.said import SAID, audio_bytes, put, put_tar


def test_faults_of_tars_are_named_and_what_lies_before_them_is_read(tmp_path):
    def members(name: str, fields: bytes | None, audio: bytes | None) -> list[tuple[str, bytes]]:
        parts = [(f"{name}.json", fields), (f"{name}.wav", audio)]
        return [(name, content) for name, content in parts if content is not None]

    wave = audio_bytes(SAID[0])
    said = b'{"text": "Hi.", "language": "en"}'
    parts = [
        *members("good", said, wave),
        *members("no_audio", said, None),
        *members("no_text", None, wave),
        *members("broken", b"{", wave),
        *members("mute", b'{"text": "", "language": "en"}', wave),
        ("latin.wav", wave),
        ("latin.txt", b"\xe9"),
        *members("twice", said, wave),
    ]
    put_tar(tmp_path / "a.tar", parts)
    put_tar(tmp_path / "b.tar", [*members("other", said, wave), *members("cut", said, wave)])
    with (tmp_path / "b.tar").open("r+b") as tar:
        tar.truncate(2 * 512 + 2 * 512 + len(wave) + 3000)
    put(tmp_path / "README", "")
    clips = offered(tmp_path, "webdataset")
    assert [clip.key for clip in clips if not isinstance(clip, Rejected)] == [
        "good", "twice", "other"
    ]  # fmt: skip
    named = [(Path(c.file).name, c.reason) for c in clips if isinstance(c, Rejected)]
    assert sorted(named) == [
        ("README", "left alone: no tar"),
        ("a.tar:broken", "JSON cannot be read"),
        ("a.tar:latin", "transcript is not UTF-8"),
        ("a.tar:mute", "no transcript"),
        ("a.tar:no_audio", "no audio"),
        ("a.tar:no_text", "no transcript"),
        ("b.tar", "tar is damaged"),
        ("b.tar:cut", "no audio"),
    ]


def test_a_link_and_a_tar_without_a_clip_are_named(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in (
            ("one.wav", audio_bytes(SAID[0])),
            ("one.json", b'{"text": "Hi.", "language": "en"}'),
            ("two.json", b'{"text": "Hi.", "language": "en"}'),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("two.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "one.wav"
        tar.addfile(link)
    put(tmp_path / "b.tar", bytes(10_240))
    named = {
        (Path(c.file).name, c.reason): c.value
        for c in offered(tmp_path, "webdataset")
        if isinstance(c, Rejected)
    }
    assert set(named) == {
        ("a.tar:two.wav", "member is a link"),
        ("a.tar:two", "no audio"),
        ("b.tar", "tar holds no clip"),
    }
    assert "leads to one.wav; `gsv2 corpus index`" in named["a.tar:two.wav", "member is a link"]
