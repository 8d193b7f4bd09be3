"""Sequential reader of clips from remote tars, each of which is read in one pass.

A lane reads its window and, as far as the window's bytes allow, the following one, in a thread of
its own; nothing is read twice and nothing is kept that was handed out.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence

from gsv2.data.corpus.decode import ClipError
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.window import Window
from gsv2.data.stream.lane_feed import ClipRequest, LaneFeed
from gsv2.data.stream.members import MemberIndex


class SequentialReader:
    """Read the clips of each lane's windows from tars that are read from their front to their end.

    Args:
        members: members to read, of `audio`, `codes`; what is said always comes with them.
        window_bytes: undecoded bytes that a lane holds, as many as a window has.
        single_pass: whether the lanes end with their epoch, so that nothing is read ahead there.
    """

    def __init__(
        self,
        index: CorpusIndex,
        members: Sequence[str],
        window_bytes: float,
        *,
        single_pass: bool = False,
    ) -> None:
        self.places = MemberIndex(index, members)
        self._storage = index.storage
        self._window_bytes = window_bytes
        self._single_pass = single_pass
        self._feeds: dict[tuple[int, int], LaneFeed] = {}
        """(process, lane) -> feed: threads do not survive a fork."""
        weakref.finalize(self, _close_feeds, self._feeds)

    def read(self, row: int, window: Window | None = None) -> dict[str, memoryview | bytes]:
        """See `ClipReader.read`; rows of a window come in any order, windows only forwards."""
        assert window is not None, "tars that are read in sequence need the window of a clip"
        feed = self._feed(window.position.lane)
        if feed.window != window.position.window:
            feed.enter(window.position.window)
            for wanted in self._wanted(window):
                if not feed.has(wanted.position.window):
                    feed.request(wanted.position.window, self._locate(wanted))
        return feed.take(row)

    def is_local(self, row: int) -> bool:
        """Tell whether all tars of a clip are local, so that they can be mapped."""
        return all(map(self._storage.is_local, self.places.shard(row).tars.values()))

    def close(self) -> None:
        """See `ClipReader.close`; reading may begin anew after it."""
        _close_feeds(self._feeds)

    def held_bytes(self) -> dict[int, int]:
        """Return lane -> bytes of clips that were read, or are being read, and not taken."""
        return {
            lane: feed.held_bytes
            for (process, lane), feed in self._feeds.items()
            if process == os.getpid()
        }

    def _feed(self, lane: int) -> LaneFeed:
        key = (os.getpid(), lane)
        if key not in self._feeds:
            self._feeds[key] = LaneFeed(self._storage, self._window_bytes)
        return self._feeds[key]

    def _wanted(self, window: Window) -> Iterator[Window]:
        """Yield the window, and the one to read ahead, which is planned while it is read."""
        yield window
        epochs = [part.epoch for part in window.position.parts]
        if not self._single_pass or [p.epoch for p in window.following.position.parts] == epochs:
            yield window.following

    def _locate(self, window: Window) -> list[ClipRequest]:
        """Return where the clips of a window lie; done here, so that threads only move bytes.

        Clips that lie in local tars alone, in a mixture, are another reader's.
        """
        clips: list[ClipRequest] = []
        shard, local = None, False
        for row in window.rows.tolist():
            if self.places.shard(row) is not shard:
                shard, local = self.places.shard(row), self.is_local(row)
            if local:
                continue
            try:
                clips.append(ClipRequest(row, self.places.locate(row)))
            except ClipError as error:
                clips.append(ClipRequest(row, error))
        return clips


def _close_feeds(feeds: dict[tuple[int, int], LaneFeed]) -> None:
    """End the threads of this process; those of a parent are not here."""
    for process, lane in tuple(feeds):
        if process == os.getpid():
            feeds.pop((process, lane)).close()
