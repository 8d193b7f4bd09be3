"""Shelf of the voices that a server speaks in: those it began with, and those it was sent."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gsv2.serve.errors import RequestError

_NAME = re.compile(r"[^\W_][\w .'-]{0,63}")
_PART = re.compile(r"(.+?)\s*(?:\(\s*(\d{0,6}(?:\.\d{1,6})?)\s*\))?")
"""Voice of a mixture, and its weight: `anna(0.7)`."""
_MOST_MIXED = 8
_SHOWN = 20
"""Names that a message lists at most."""


@dataclass(frozen=True, kw_only=True)
class ServedVoice:
    """A voice that can be asked for."""

    id: str
    """What it is asked for by, as by its name."""
    name: str
    """Name for people."""
    references: Sequence[Any]
    """What the speaker makes of its recordings."""
    created_at: int = field(default_factory=lambda: int(time.time()))
    """Seconds since the epoch."""
    consent: str = ""
    """What was said of the consent of whose voice it is."""
    is_uploaded: bool = False
    """Whether it came by a request, and can go by one."""

    def described(self) -> dict[str, Any]:
        """Return it as OpenAI's interface has it; `uploaded` is ours."""
        kind = {"object": "audio.voice", "type": "audio_sample"}
        return {
            "id": self.id,
            "name": self.name,
            "created_at": self.created_at,
            "uploaded": self.is_uploaded,
            **kind,
        }


class VoiceShelf:
    """Voices by id and name; used from one event loop.

    Args:
        voices: voices that stay.
        max_uploaded: voices that may be added.
    """

    def __init__(self, voices: Sequence[ServedVoice], max_uploaded: int) -> None:
        self._voices = {voice.id: voice for voice in voices}
        self._max_uploaded = max_uploaded

    def __iter__(self) -> Any:
        """Iterate over the voices, oldest first."""
        return iter(list(self._voices.values()))

    def find(self, asked: str) -> ServedVoice:
        """Return the voice of an id or a name.

        Raises:
            RequestError: 400, there is none.
        """
        named = [v for v in self._voices.values() if v.name.casefold() == asked.casefold()]
        voice = self._voices.get(asked) or (named[0] if named else None)
        if voice is None:
            names = [voice.name for voice in self._voices.values()]
            more = ", ..." if len(names) > _SHOWN else ""
            known = ", ".join(names[:_SHOWN]) + more or "none; POST /v1/audio/voices adds one"
            raise RequestError(
                400, f"voice {asked[:64]!r} is not known; there are: {known}", "voice", "voice"
            )
        return voice

    def find_parts(self, asked: str) -> list[tuple[ServedVoice, float]]:
        """Return the voices of a mixture `anna(0.7)+ben(0.3)`, with their weights; of a name, one.

        Raises:
            RequestError: 400, a voice is not known, too many are mixed, or all weights are 0.
        """
        if "+" not in asked:
            return [(self.find(asked.strip()), 1.0)]
        parts = asked.split("+")
        matches = [match for part in parts if (match := _PART.fullmatch(part.strip()))]
        if len(matches) != len(parts) or len(parts) > _MOST_MIXED:
            raise RequestError(
                400, f"a mixture is of at most {_MOST_MIXED} voices, as anna(0.7)+ben(0.3)", "voice"
            )
        found = [(self.find(match[1]), float(match[2] or 1)) for match in matches]
        if not sum(weight for _, weight in found) > 0:
            raise RequestError(400, "one voice of a mixture must have a weight above 0", "voice")
        return found

    def check_new(self, name: str) -> None:
        """Check that a voice of a name can be added.

        Raises:
            RequestError: 400, no name; 409, there is one already, or no room for more.
        """
        if _NAME.fullmatch(name) is None:
            raise RequestError(
                400,
                "name must be 1 to 64 letters, digits, spaces or .'-_, and begin with a "
                "letter or digit",
                "name",
            )
        if any(name.casefold() == voice.name.casefold() for voice in self._voices.values()):
            raise RequestError(409, f"there is a voice {name!r} already; delete it first", "name")
        if sum(voice.is_uploaded for voice in self._voices.values()) >= self._max_uploaded:
            raise RequestError(
                409, f"{self._max_uploaded} voices were uploaded, which is the most; delete one"
            )

    def add(self, name: str, references: Sequence[Any], consent: str) -> ServedVoice:
        """Keep an uploaded voice, and return it with its id.

        Raises:
            RequestError: as `check_new`.
        """
        self.check_new(name)
        voice = ServedVoice(
            id=f"voice_{secrets.token_hex(8)}",
            name=name,
            references=references,
            consent=consent,
            is_uploaded=True,
        )
        self._voices[voice.id] = voice
        return voice

    def remove(self, voice_id: str) -> None:
        """Forget an uploaded voice.

        Raises:
            RequestError: 404, there is no uploaded voice of this id.
        """
        voice = self._voices.get(voice_id)
        if voice is None or not voice.is_uploaded:
            raise RequestError(404, f"there is no uploaded voice of the id {voice_id[:64]!r}")
        del self._voices[voice_id]
