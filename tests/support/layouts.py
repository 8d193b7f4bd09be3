"""The same recordings written out in each layout that a reader knows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.dataset_layouts import (
    aishell3,
    common_voice,
    emilia,
    emilia_tars,
    gpt_sovits,
    libritts,
    ljspeech,
    vctk,
)
from tests.support.said import PAUSE, RATE, SAID, SECONDS, audio_bytes, put, put_long, put_tar


def webdataset(root: Path) -> Path:
    first, last = SAID[:2], SAID[2:]
    fields = [json.dumps({"sentence": s.text, "spk": s.speaker, "lang": "en"}) for s in first]
    members = [(f"{s.name}.flac", audio_bytes(s, "FLAC")) for s in first]  # members lie apart
    members += [(f"{s.name}.json", text.encode()) for s, text in zip(first, fields, strict=True)]
    put_tar(root / "a.tar", members)
    lines = [json.dumps({"speaker": s.speaker, "language": "en"}) for s in last]
    members = [
        part
        for s, line in zip(last, lines, strict=True)
        for part in (
            (f"{s.name}.json", line.encode()),
            (f"{s.name}.txt", s.text.encode()),
            (f"{s.name}.wav", audio_bytes(s)),
        )
    ]
    put_tar(root / "b.tar", members)
    return root


def jsonl(root: Path) -> Path:
    times = put_long(root / "long.flac")
    rows = [
        {
            "audio_filepath": "long.flac", "offset": start, "duration": end - start,
            "text": said.text, "speaker": said.speaker, "lang": "en",
        }
        for said, (start, end) in zip(SAID, times, strict=True)
    ]  # fmt: skip
    return put(root / "nemo.json", "\n".join(map(json.dumps, rows)))


def lhotse(root: Path) -> Path:
    times = put_long(root / "long.wav", "WAV")
    total = len(SAID) * (SECONDS + PAUSE)
    recording = {
        "id": "long", "sources": [{"type": "file", "channels": [0], "source": "long.wav"}],
        "sampling_rate": RATE, "num_samples": round(total * RATE), "duration": total,
    }  # fmt: skip
    whole = [
        {
            "id": f"long-{said.name}", "recording_id": "long", "channel": 0, "text": said.text,
            "start": start, "duration": end - start, "language": "en", "speaker": said.speaker,
        }
        for said, (start, end) in zip(SAID, times, strict=True)
    ]  # fmt: skip
    cut_start = times[2][0]
    late = [{**row, "start": row["start"] - cut_start} for row in whole[2:]]
    cuts = [
        {"id": "c0", "start": 0.0, "duration": cut_start, "supervisions": whole[:2]},
        {"id": "c1", "start": cut_start, "duration": total - cut_start, "supervisions": late},
    ]
    lines = [
        json.dumps({**cut, "channel": 0, "recording": recording, "type": "MonoCut"}) for cut in cuts
    ]
    return put(root / "cuts.jsonl.gz", gzip.compress("\n".join(lines).encode()))


def table(root: Path) -> Path:
    for said in SAID:
        put(root / "audio" / f"{said.name}.ogg", audio_bytes(said, "OGG"))
    quoted = [s.text.replace('"', '""') for s in SAID]
    rows = [
        f'audio/{s.name}.ogg,"{text}",{s.speaker},en-US,31'
        for s, text in zip(SAID, quoted, strict=True)
    ]
    head = "\ufeffPath,Sentence,Speaker_ID,Locale,Age"
    return put(root / "mine.csv", "\r\n".join([head, *rows]) + "\r\n").parent


def folder(root: Path) -> Path:
    for said in SAID:
        path = put(root / "en" / said.speaker / f"{said.name}.wav", audio_bytes(said))
        put(path.with_suffix(".txt"), said.text)
    return root


def pairs(root: Path) -> Path:
    suffixes = (".lab", ".normalized.txt", ".txt", ".lab")
    for said, suffix in zip(SAID, suffixes, strict=True):
        path = put(root / said.speaker / f"{said.name}.wav", audio_bytes(said))
        put(path.with_suffix(suffix), said.text)
    return root


def textgrid(root: Path) -> Path:
    times = put_long(root / "talk.wav", "WAV")
    total = len(SAID) * (SECONDS + PAUSE)
    tiers = []
    for speaker in ("anna", "bert"):
        own = [(time, s) for time, s in zip(times, SAID, strict=True) if s.speaker == speaker]
        marks = [(0.0, own[0][0][0], "")] if own[0][0][0] > 0 else []
        for (start, end), said in own:
            marks += [(start, end, said.text), (end, end + PAUSE, "sil")]
        tiers.append((speaker, marks))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    lines += [f"xmax = {total}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (speaker, marks) in enumerate(tiers, start=1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"']
        lines += [f'        name = "{speaker}"', "        xmin = 0", f"        xmax = {total}"]
        lines.append(f"        intervals: size = {len(marks)}")
        for place, (start, end, text) in enumerate(marks, start=1):
            quoted = text.replace('"', '""')
            lines += [f"        intervals [{place}]:", f"            xmin = {start}"]
            lines += [f"            xmax = {end}", f'            text = "{quoted}"']
    put(root / "talk.TextGrid", "\n".join(lines).encode("utf-16"))
    return root


def clock(seconds: float, point: str = ",") -> str:
    """Return a time as subtitles have it."""
    whole = round(seconds * 1000)
    return f"00:{whole // 60_000:02d}:{whole // 1000 % 60:02d}{point}{whole % 1000:03d}"


def subtitles(root: Path) -> Path:
    times = put_long(root / "talk.flac")
    blocks = ["WEBVTT", "NOTE made by hand\nof nobody"]
    for said, (start, end) in zip(SAID, times, strict=True):
        first, _, rest = said.text.partition(" ")
        head = f"{clock(start, '.')} --> {clock(end, '.')} align:start"
        blocks.append(f"{head}\n<v {said.speaker}>{first}\n<i>{rest}</i></v>")
    put(root / "talk.en.vtt", "\n\n".join(blocks))
    return root


def parquet(root: Path) -> Path:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": audio_bytes(s, "FLAC"), "path": f"{s.name}.flac"} for s in SAID]
    features = {
        "audio": {"_type": "Audio"},
        "who": {"_type": "ClassLabel", "names": ["bert", "anna"]},
    }
    content = pa.table(
        {
            "audio": pa.array(cells, kind),
            "transcription": [s.text for s in SAID],
            "who": [int(s.speaker == "anna") for s in SAID],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (root / "data").mkdir(parents=True)
    pq.write_table(content, root / "data" / "train-00000-of-00001.parquet", row_group_size=3)
    return root


class Layout(NamedTuple):
    """A layout and what is to be told of it."""

    reader: str
    write: Callable[[Path], Path]
    language: str | None = None
    """What `--language` has to say."""
    columns: Mapping[str, str] = MappingProxyType({})
    same_texts: bool = True
    same_speakers: bool = True


LAYOUTS = {
    "gpt-sovits": Layout("gpt-sovits", gpt_sovits),
    "ljspeech": Layout("ljspeech", ljspeech, "en"),
    "libritts": Layout("libritts", libritts, same_speakers=False),
    "vctk": Layout("vctk", vctk),
    "common-voice": Layout("common-voice", common_voice),
    "aishell3": Layout("aishell3", aishell3, same_texts=False, same_speakers=False),
    "emilia": Layout("emilia", emilia),
    "emilia in tars": Layout("emilia", emilia_tars),
    "webdataset": Layout("webdataset", webdataset),
    "nemo": Layout("jsonl", jsonl),
    "lhotse": Layout("lhotse", lhotse),
    "table": Layout("table", table),
    "folder": Layout("folder", folder),
    "pairs": Layout("pairs", pairs, "en"),
    "textgrid": Layout("textgrid", textgrid, "en"),
    "subtitles": Layout("subtitles", subtitles),
    "parquet": Layout("parquet", parquet, "en", {"speaker": "who"}),
}
