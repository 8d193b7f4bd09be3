"""The same recordings written out in each layout that a reader knows."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

RATE = 16_000
SECONDS = 0.6
PAUSE = 0.1
"""Silence between the sentences of a long recording, in seconds."""


class Said(NamedTuple):
    """One sentence, which a tone stands for."""

    name: str
    speaker: str
    text: str
    tone_hz: float


SAID = (
    Said("0001", "anna", 'He said: "go | now", twice.', 300.0),
    Said("0002", "anna", "She read the old book.", 420.0),
    Said("0003", "bert", "Nous allons à l’été.", 560.0),
    Said("0004", "bert", "One, two; three.", 700.0),
)
PLAIN = tuple(said._replace(text=said.text.replace("|", "and")) for said in SAID)
"""The same without a pipe, for layouts whose columns it separates."""


def wave_of(said: Said, rate: int = RATE) -> np.ndarray:
    """Return [N] float32: the tone of a sentence."""
    time = np.arange(round(SECONDS * rate)) / rate
    return (0.2 * np.sin(2 * np.pi * said.tone_hz * time)).astype(np.float32)


def tone_of(wave: np.ndarray, rate: int) -> float:
    """Return the strongest frequency of a wave, in Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(spectrum.argmax() * rate / len(wave))


def audio_bytes(said: Said, kind: str = "WAV", rate: int = RATE) -> bytes:
    """Return a file of the tone."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave_of(said, rate), rate, format=kind)
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_long(path: Path, kind: str = "FLAC") -> list[tuple[float, float]]:
    """Write all sentences as one recording, and return where each begins and ends."""
    pause = np.zeros(round(PAUSE * RATE), dtype=np.float32)
    waves = [part for said in SAID for part in (wave_of(said), pause)]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(waves), RATE, format=kind)
    starts = [number * (SECONDS + PAUSE) for number in range(len(SAID))]
    return [(start, start + SECONDS) for start in starts]


def gpt_sovits(root: Path) -> Path:
    for said in PLAIN:
        put(root / "sliced" / f"{said.name}.wav", audio_bytes(said))
    lines = [f"sliced/{s.name}.wav|{s.speaker}|EN|{s.text}" for s in PLAIN]
    return put(root / "asr" / "sliced.list", "\n".join(lines) + "\n").parent


def ljspeech(root: Path) -> Path:
    for said in PLAIN:
        put(root / "wavs" / f"{said.name}.wav", audio_bytes(said))
    lines = [f"{s.name}|raw {s.text}|{s.text}" for s in PLAIN]
    put(root / "metadata.csv", "\n".join(lines))
    put(root / "speakers.tsv", "".join(f"{s.name}\t{s.speaker}\n" for s in PLAIN))
    return root


def libritts(root: Path) -> Path:
    readers = {"anna": "103", "bert": "1034"}
    for said in SAID:
        reader = readers[said.speaker]
        path = root / "train-clean" / reader / "7" / f"{reader}_7_{said.name}_000000.wav"
        put(path, audio_bytes(said))
        put(path.with_suffix(".normalized.txt"), said.text)
        put(path.with_suffix(".original.txt"), "Other.")
    return root


def vctk(root: Path) -> Path:
    for said in SAID:
        for mic in ("mic1", "mic2"):
            folder = root / "wav48_silence_trimmed" / said.speaker
            put(folder / f"{said.speaker}_{said.name}_{mic}.flac", audio_bytes(said, "FLAC"))
        put(root / "txt" / said.speaker / f"{said.speaker}_{said.name}.txt", said.text)
    return root


def common_voice(root: Path) -> Path:
    head = ("client_id", "path", "sentence", "up_votes", "locale")
    for said in SAID:
        put(root / "clips" / f"cv_{said.name}.mp3", audio_bytes(said, "MP3", 32_000))
    rows = [(s.speaker, f"cv_{s.name}.mp3", s.text, "2", "en") for s in SAID]
    put(root / "validated.tsv", "\n".join("\t".join(row) for row in (head, *rows)))
    put(root / "other.tsv", "\t".join(head) + "\n")
    return root


def aishell3(root: Path) -> Path:
    lines = []
    for number, said in enumerate(SAID):
        name = f"SSB000{number // 2}{number:04d}.wav"
        put(root / "train" / "wav" / name[:7] / name, audio_bytes(said))
        lines.append(f"{name}\t广 guang3 州 zhou1 {'一二三四'[number]} yi1")
    put(root / "train" / "content.txt", "\n".join(lines))
    return root


def emilia_fields(said: Said) -> dict[str, object]:
    """Return the JSON of Emilia."""
    return {
        "id": f"EN_{said.name}",
        "wav": f"x/EN_{said.name}.mp3",
        "text": f" {said.text}",
        "duration": SECONDS,
        "speaker": said.speaker,
        "language": "en",
        "dnsmos": 3.3,
    }


def emilia(root: Path) -> Path:
    for said in SAID:
        stem = root / "EN" / "EN_B0" / f"EN_{said.name}"
        put(stem.with_suffix(".mp3"), audio_bytes(said, "MP3", 32_000))
        put(stem.with_suffix(".json"), json.dumps(emilia_fields(said)))
    return root


def put_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """Write a tar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def emilia_tars(root: Path) -> Path:
    members = []
    for said in SAID:
        members.append((f"EN_{said.name}.json", json.dumps(emilia_fields(said)).encode()))
        members.append((f"EN_{said.name}.mp3", audio_bytes(said, "MP3", 32_000)))
    put_tar(root / "EN" / "EN-B000000.tar", members)
    return root


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
    columns: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
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
