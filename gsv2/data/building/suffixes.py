"""Suffixes of files that hold sound, by whether libsndfile reads them."""

from __future__ import annotations

READABLE = frozenset(
    ".flac .wav .wave .bwf .rf64 .w64 .ogg .oga .opus .mp3 .mp2 .mpga .aif .aiff .aifc .au .snd "
    ".caf .sph .nist .sf .ircam .voc .paf .pvf .avr .svx .8svx .iff .htk .sds .sd2 .wve .xi".split()
)
"""Suffixes of formats that libsndfile reads."""
UNDECODABLE = frozenset(
    ".m4a .m4b .mp4 .aac .adts .webm .weba .mkv .mka .mov .wma .asf .amr .awb .3gp .3g2 .ac3 .eac3 "
    ".ape .wv .tta .tak .dsf .dff .dts .ra .rm .spx .mpc .qcp .gsm .shn .raw .pcm .avi .flv "
    ".alac .ts .m4r .mpg .mpeg .ogv .ogx .oma .aa .aax".split()
)
"""Suffixes of audio and video that it does not read; PyAV reads most (`gsv2[media]`)."""
AUDIO = READABLE | UNDECODABLE
"""Suffixes of files that hold sound."""
USUAL = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
"""Suffixes that are tried where a table names a recording without one."""
