"""Request for speech, as clients of OpenAI's interface send it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gsv2.audio.encoding import EncodedFormat

_MAX_NAME = 200
_SEED_BITS = 63


class VoiceId(BaseModel):
    """A voice by its id."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(max_length=_MAX_NAME)


class SpeechRequest(BaseModel):
    """What `POST /v1/audio/speech` takes; what it does not know is refused by name."""

    model_config = ConfigDict(extra="forbid")
    model: str = Field(max_length=_MAX_NAME)
    """Any: a server speaks with one bundle."""
    input: str
    """Text of any language and script."""
    voice: VoiceId | str
    """Name or id of a voice of the server."""
    response_format: EncodedFormat = "mp3"
    """`pcm` is 16-bit mono at 24 kHz."""
    speed: float = Field(1.0, ge=0.25, le=4.0)
    """Factor on the speaking rate."""
    stream_format: Literal["audio", "sse"] | None = None
    """`audio`: bytes as they are made; `sse`: the same in events; None: as `audio`, but for WAV
    and FLAC, whose header then knows their length."""
    instructions: str = ""
    """How to speak: no model follows any, so that only nothing is taken."""
    seed: int = Field(0, ge=-(2**_SEED_BITS), lt=2**_SEED_BITS)
    """Same seed, same speech; ours."""
    word_times: bool = False
    """Whether events tell when words are spoken, and what was decided for a sentence; ours."""

    @model_validator(mode="after")
    def _check_word_times(self) -> SpeechRequest:
        if self.word_times and self.stream_format != "sse":
            raise ValueError("word_times needs stream_format sse: it comes in events")
        return self

    @property
    def asked_voice(self) -> str:
        """Name or id of the voice."""
        return self.voice if isinstance(self.voice, str) else self.voice.id

    @property
    def is_streamed(self) -> bool:
        """Whether bytes are sent before the speech has ended."""
        return self.stream_format is not None or self.response_format not in ("wav", "flac")
