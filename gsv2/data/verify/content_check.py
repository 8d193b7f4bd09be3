"""Check of the content of one clip against its row of the index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.decode import ClipError, ClipRow, decode_clip, decode_json
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index_columns import OPTIONAL_FIELD
from gsv2.data.verify.findings import Findings
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
    code_format: CodeFormat,
    findings: Findings,
) -> np.ndarray | None:
    """Decode the members of a clip and compare them with the index and their format.

    Args:
        row: row of the index.
        shard: name of the shard.
        members: contents of audio, codes and json, as far as there are any.
        code_format: format that the codes must have.
        findings: gets what is wrong.

    Returns:
        [K, T] codes; None without codes that can be used.
    """
    said = row.get(OPTIONAL_FIELD.name)
    transcript = (said, row["language"], row["speaker"]) if said is not None else None
    if transcript is None and "json" not in members:
        return None  # its JSON is missing or damaged, and counted
    key, num_frames = row["key"], row["num_code_frames"]
    try:
        indexed = ClipRow(0, key, shard, transcript, num_code_frames=num_frames)
        clip = decode_clip(indexed, members, code_format)
    except ClipError as error:
        example = key if error.kind == str(error) else f"{key}: {error}"
        findings.add(f"clip cannot be decoded: {error.kind}", example)
        return None
    num_samples = row.get("num_samples")
    if clip.wave is not None and num_samples is not None:
        if abs(len(clip.wave) - num_samples) > _LENGTH_TOLERANCE:
            findings.add("audio is not as long as the index says", key)
    return clip.codes
