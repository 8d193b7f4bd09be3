"""The content of one clip against its row of the index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsv2.data.check.findings import Findings
from gsv2.data.decode import ClipError, decode_clip, decode_json
from gsv2.data.schema import SAMPLE_RATE
from gsv2.data.tars import OPTIONAL_FIELD
from gsv2.text.normalize import TextError, normalize_text

_LENGTH_TOLERANCE = SAMPLE_RATE // 1000  # samples by which resampling may round


def check_json(row: Mapping[str, Any], content: bytes, findings: Findings) -> bool:
    """Compare what the JSON of a clip says with the index, unless that replaces it.

    Returns:
        Whether the JSON can be used.
    """
    if row.get(OPTIONAL_FIELD.name) is not None:
        return True
    key = row["key"]
    try:
        text, language, speaker = decode_json(content)
        num_bytes = len(normalize_text(text).encode(errors="surrogatepass"))
    except ClipError as error:
        findings.add(f"clip cannot be decoded: {error}", key)
        return False
    except TextError:
        findings.add("clip cannot be decoded: text has nothing to speak", key)
        return False
    found = {"text_bytes": num_bytes, "language": language, "speaker": speaker}
    for column, said in found.items():
        if row[column] != said:
            example = f"{key}: {column} is {row[column]!r}, the JSON has {said!r}"
            findings.add("index differs from the JSON of its clip", example)
    return True


def check_decoded(
    row: Mapping[str, Any],
    shard: str,
    members: Mapping[str, bytes],
    num_codebooks: int | None,
    findings: Findings,
) -> None:
    """Decode the members of a clip and compare their lengths with the index.

    Args:
        row: of the index.
        shard: name.
        members: any of audio, codes and json.
        num_codebooks: K of the codes; None = unknown.
        findings: gets what is wrong.
    """
    said = row.get(OPTIONAL_FIELD.name)
    transcript = (said, row["language"], row["speaker"]) if said is not None else None
    if transcript is None and "json" not in members:
        return  # its JSON is missing or damaged, and counted
    try:
        clip = decode_clip(0, row["key"], shard, members, transcript)
    except ClipError as error:
        findings.add(f"clip cannot be decoded: {error}", row["key"])
        return
    if clip.wave is not None and abs(len(clip.wave) - row["num_samples"]) > _LENGTH_TOLERANCE:
        findings.add("audio is not as long as the index says", row["key"])
    if clip.codes is not None:
        books = num_codebooks or len(clip.codes)
        if clip.codes.shape != (books, row["num_code_frames"]):
            findings.add("codes are not as long as the index says", row["key"])
