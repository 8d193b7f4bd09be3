"""Corpus format: rates, version, and members of a clip with their suffixes and size limits."""

from __future__ import annotations

SAMPLE_RATE = 32_000
"""Sample rate of corpus audio, in Hz."""
HOP_LENGTH = 640
"""Samples of one frame: 50 frames a second at `SAMPLE_RATE`. A clip has `num_samples // 640`."""
FRAME_RATE_HZ = SAMPLE_RATE // HOP_LENGTH
FORMAT_VERSION = 1
"""Version of the shard, index and corpus.json formats (docs/corpus-format.md)."""

SUFFIXES = {
    "audio": "flac",
    "json": "json",
    "codes": "codes.npy",
    "codes_json": "json",
    "align": "align.npy",
    "text_vectors": "text.npy",
}
"""Member -> suffix that this package writes. `codes_json` is the JSON again, beside sidecar codes,
so that those who read codes alone never touch the tars with audio; `align`, beside codes too, says
which character is spoken at each of their frames. `text_vectors`, in sidecar tars of their own, are
what a frozen text encoder makes of the text."""
SIZE_LIMITS = {
    "audio": 256 << 20,
    "json": 1 << 20,
    "codes": 64 << 20,
    "codes_json": 1 << 20,
    "align": 64 << 20,
    "text_vectors": 256 << 20,
}
"""Member -> most bytes that are written or read."""

TAR_BLOCK_BYTES = 512
"""Tar pads every member to blocks of this many bytes, behind a header of one."""
