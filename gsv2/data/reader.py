"""Former place of `gsv2.data.stream.reader`, for scripts that import it; goes with 0.2."""

from gsv2.data.stream.reader import make_reader, read_clip, read_clips

__all__ = ["make_reader", "read_clip", "read_clips"]
