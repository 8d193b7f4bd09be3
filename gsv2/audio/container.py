"""Container of an audio file, repaired or refused before a decoder is asked.

The content of the file decides what it is, never its suffix.
"""

from __future__ import annotations

from gsv2.audio.chunks import check_chunks
from gsv2.audio.flac import repair_flac, split_flac
from gsv2.audio.mp3 import repair_mp3
from gsv2.audio.ogg import split_ogg

_ID3_BYTES = 10
_OTHERS = frozenset(
    {b"RIFF", b"RF64", b"BW64", b"RIFX", b"FORM", b"caff", b"riff", b".snd", b"NIST"}
)
"""First bytes of files that are neither FLAC, Ogg nor MP3."""


def whole_files(content: bytes) -> list[bytes]:
    """Return files that libsndfile reads to their end, one after the other the content.

    That is the content itself; of Ogg streams or FLAC files in a chain each alone; a FLAC or MP3
    file with a header that says how long it is.

    Raises:
        WaveError: it was cut; the reason says where.
    """
    start = 0
    while content[start : start + 3] == b"ID3" and len(content) >= start + _ID3_BYTES:
        a, b, c, d = content[start + 6 : start + _ID3_BYTES]
        has_footer = bool(content[start + 5] & 0x10)
        size = a << 21 | b << 14 | c << 7 | d
        start += _ID3_BYTES * (1 + has_footer) + size
    bare = content[start:] if start else content
    first = bare[:4]
    if first == b"fLaC":
        return [repair_flac(file) for file in split_flac(bare)]
    if first == b"OggS":
        return split_ogg(bare)
    if first in _OTHERS:
        check_chunks(bare)
        return [bare]
    return [repair_mp3(bare) or content]
