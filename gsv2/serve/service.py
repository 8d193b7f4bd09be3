"""Service that all ports of a server share: one speaker, its voices, one queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gsv2.serve.errors import RequestError
from gsv2.serve.limits import ServerLimits
from gsv2.serve.speaker import Speaker, SpokenPiece
from gsv2.serve.speaking_queue import CheckStop, SpeakingJob, SpeakingQueue
from gsv2.serve.voices import ServedVoice, VoiceShelf

Encode = Callable[[Iterator[SpokenPiece]], Iterator[bytes]]
"""Turns a speech into the bytes that are sent."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A text that somebody asks to be spoken."""

    text: str
    voice: str
    """Name or id of a voice, or a mixture."""
    speed: float = 1.0
    """Factor on the speaking rate."""
    seed: int = 0
    """Same seed, same speech."""


class SpeechService:
    """Speaks and enrolls for all ports, one request after the other.

    Args:
        speaker: what speaks.
        voices: voices that it begins with.
        limits: None = the defaults.
    """

    def __init__(
        self,
        speaker: Speaker,
        voices: Sequence[ServedVoice] = (),
        limits: ServerLimits | None = None,
    ) -> None:
        self.limits = limits or ServerLimits()
        self.shelf = VoiceShelf(voices, self.limits.max_voices)
        self.queue = SpeakingQueue(self.limits.max_waiting, self.limits.max_request_sec)
        self._speaker = speaker

    @property
    def sample_rate(self) -> int:
        """Samples a second of what it speaks."""
        return self._speaker.sample_rate

    def submit_speech(self, asked: Asked, encode: Encode) -> SpeakingJob:
        """Take a text; `queue.release` the job, however it ends.

        Raises:
            RequestError: the text is too long, the voice not known, or too many wait.
        """
        most = self.limits.max_text_characters
        if len(asked.text) > most:
            raise RequestError(
                400, f"input may have at most {most} characters, but has {len(asked.text)}", "input"
            )
        parts = self.shelf.find_parts(asked.voice)

        def make(check: CheckStop) -> Iterator[bytes]:
            references = parts[0][0].references
            if len(parts) > 1:
                references = self._speaker.mix([(v.references, weight) for v, weight in parts])
            return encode(
                self._speaker.stream(
                    asked.text, references, speed=asked.speed, seed=asked.seed, check=check
                )
            )

        return self.queue.submit(make)

    def submit_enrollment(
        self, content: bytes, text: str | None, found: list[Sequence[Any]]
    ) -> SpeakingJob:
        """Take a recording; what the speaker makes of it is appended to `found`.

        Raises:
            RequestError: too many wait.
        """

        def make(check: CheckStop) -> Iterator[bytes]:
            check()
            found.append(self._speaker.enroll(content, "audio_sample", text))
            yield b""

        return self.queue.submit(make)
