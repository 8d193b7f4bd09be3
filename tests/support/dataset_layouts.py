"""The same recordings written out as public datasets are."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.said import PLAIN, SAID, SECONDS, Said, audio_bytes, put, put_tar


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


def emilia_tars(root: Path) -> Path:
    members = []
    for said in SAID:
        members.append((f"EN_{said.name}.json", json.dumps(emilia_fields(said)).encode()))
        members.append((f"EN_{said.name}.mp3", audio_bytes(said, "MP3", 32_000)))
    put_tar(root / "EN" / "EN-B000000.tar", members)
    return root
