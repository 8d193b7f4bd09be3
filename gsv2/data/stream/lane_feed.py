"""Feed of one lane, a thread that reads the tars of windows in sequence, ahead of the decoder."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gsv2.data.corpus.decode import ClipError
from gsv2.data.stream.members import MemberPlace
from gsv2.storage.storage import Storage
from gsv2.storage.stream import RemoteStream

_JOIN_SEC = 2.0
"""Longest wait for a thread that was told to end; it ends by itself after its next time-out."""

Members = dict[str, memoryview | bytes]


class ClipRequest(NamedTuple):
    """One clip to read."""

    row: int
    places: Sequence[MemberPlace] | ClipError
    """Members of the clip, or why they cannot be found."""

    @property
    def num_bytes(self) -> int:
        """Number of bytes of all members."""
        if isinstance(self.places, ClipError):
            return 0
        return sum(place.length for place in self.places)

    @property
    def tars(self) -> set[str]:
        """Tars that hold its members."""
        return set() if isinstance(self.places, ClipError) else {p.tar for p in self.places}


@dataclass
class _WindowRequest:
    """The clips of one window."""

    window: int
    left: deque[ClipRequest]
    """Clips that are not read yet."""
    tars: frozenset[str]
    ready: dict[int, list[tuple[int, Members | ClipError]]] = field(default_factory=dict)
    """Row -> bytes held and content, as often as the row is in the window."""
    held: int = 0
    """Bytes of `ready`, and of the clip that is being read."""
    reading: bool = False
    """Whether a clip of it is being read right now."""


class LaneFeed:
    """The windows of one lane, read by a thread that starts with the first request.

    The thread holds at most `max_bytes` of clips that nobody has taken yet; more only if the one
    who waits could not go on otherwise.

    Args:
        storage: where the tars lie.
        max_bytes: number of bytes of clips that nobody has taken yet.
    """

    def __init__(self, storage: Storage, max_bytes: float) -> None:
        self.window = -1
        """Number of the window that is read from; -1 before the first."""
        self._storage = storage
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._requests: deque[_WindowRequest] = deque()
        self._awaited: int | None = None  # row that somebody waits for
        self._current: _WindowRequest | None = None  # that the thread reads
        self._closed = False
        self._error: Exception | None = None
        self._streams: dict[str, RemoteStream] = {}
        self._absent: set[str] = set()
        self._thread: threading.Thread | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of clips that were read, or are being read, and that nobody took."""
        return sum(request.held for request in tuple(self._requests))

    def has(self, window: int) -> bool:
        """Tell whether a window was requested."""
        return any(request.window == window for request in self._requests)

    def request(self, window: int, clips: Sequence[ClipRequest]) -> None:
        """Add a window after those that were requested before."""
        tars = frozenset().union(*(clip.tars for clip in clips))
        with self._changed:
            self._requests.append(_WindowRequest(window, deque(clips), tars))
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gsv2-lane", daemon=True)
            self._thread.start()

    def enter(self, window: int) -> None:
        """Go on to a window; whatever is left of earlier ones is dropped."""
        assert window > self.window, f"window {window} after window {self.window}"
        with self._changed:
            self.window = window
            while self._requests and self._requests[0].window < window:
                self._requests.popleft()
            self._changed.notify_all()

    def take(self, row: int) -> Members:
        """Return the members of a clip of the window entered, as soon as they are read.

        Raises:
            ClipError: a member is missing or damaged.
            OSError: a tar stayed out of reach.
        """
        with self._changed:
            assert not self._closed, "the reader was closed"
            request = self._requests[0]
            assert request.window == self.window
            while row not in request.ready:
                if self._error is not None:
                    raise self._error
                assert request.left or request.reading, (
                    f"row {row} is not in its window, or was taken"
                )
                self._awaited = row
                self._changed.notify_all()
                self._changed.wait()
            self._awaited = None
            results = request.ready[row]
            num_bytes, result = results.pop()
            if not results:
                del request.ready[row]
            request.held -= num_bytes
            self._changed.notify_all()
        if isinstance(result, ClipError):
            raise result
        return result

    def close(self) -> None:
        """Let go of the clips, the streams and the thread."""
        with self._changed:
            self._closed = True
            self._requests.clear()
            for stream in self._streams.values():
                stream.interrupt()
            self._changed.notify_all()
        if self._thread not in (None, threading.current_thread()):
            self._thread.join(_JOIN_SEC)

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                self._deliver(*work)
        except Exception as error:  # noqa: BLE001 - raised again in `take`
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            self._keep_streams(frozenset())

    def _next(self) -> tuple[_WindowRequest, ClipRequest] | None:
        """Wait until a clip may be read, and return it; None when all is over."""
        with self._changed:
            while not self._closed:
                request = next((request for request in self._requests if request.left), None)
                if request is not None and self._may_read(request):
                    clip = request.left.popleft()
                    request.held += clip.num_bytes
                    request.reading = True
                    return request, clip
                self._changed.wait()
        return None

    def _may_read(self, request: _WindowRequest) -> bool:
        held = self.held_bytes
        needed = self._awaited is not None and request.window == self.window
        return needed or held == 0 or held + request.left[0].num_bytes <= self._max_bytes

    def _deliver(self, request: _WindowRequest, clip: ClipRequest) -> None:
        if request is not self._current:  # a stream may go on in the next window
            self._keep_streams(
                request.tars | (self._current.tars if self._current else frozenset())
            )
            self._current = request
        result: Members | ClipError
        try:
            result = self._read(clip)
        except ClipError as error:
            result = error
        with self._changed:
            num_bytes = 0 if isinstance(result, ClipError) else clip.num_bytes
            request.held += num_bytes - clip.num_bytes
            request.ready.setdefault(clip.row, []).append((num_bytes, result))
            request.reading = False
            if self._awaited == clip.row or not request.left:
                self._changed.notify_all()

    def _read(self, clip: ClipRequest) -> Members:
        if isinstance(clip.places, ClipError):
            raise clip.places
        members: Members = {}
        for place in sorted(clip.places, key=lambda place: (place.tar, place.offset)):
            try:
                content = self._read_place(place)
            except FileNotFoundError as error:
                self._absent.add(place.tar)
                raise ClipError("tar cannot be opened", place.member) from error
            place.check(content)
            members[place.member] = content
        return members

    def _read_place(self, place: MemberPlace) -> bytes:
        if place.tar in self._absent:
            raise ClipError("tar cannot be opened", place.member)
        stream = self._streams.get(place.tar)
        if stream is not None and stream.position > place.offset:
            stream.close()
            stream = None
        if stream is None:
            stream = self._storage.open(place.tar, place.offset)
            with self._changed:
                self._streams[place.tar] = stream
                if self._closed:
                    stream.interrupt()
        stream.skip(place.offset - stream.position)
        return stream.read(place.length)

    def _keep_streams(self, tars: frozenset[str]) -> None:
        """Close the streams of other tars."""
        if self._streams.keys() <= tars:
            return
        self._absent &= tars
        with self._changed:
            past = [self._streams.pop(tar) for tar in tuple(self._streams) if tar not in tars]
        for stream in past:
            stream.close()
