"""Members of one clip that lie apart in a tar, or are links: found by their offsets."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import BinaryIO

from gsv2.data.corpus.decode import ClipError
from gsv2.data.corpus.format import SIZE_LIMITS
from gsv2.data.indexing.clip import ArchiveClip, split_name
from gsv2.data.indexing.tar_walk import TarMember


def link_targets(links: Mapping[str, str]) -> dict[str, str]:
    """Return name of a link -> path that it leads to in the end, over other links too.

    Args:
        links: see `TarWalk.links`.
    """
    targets = {posixpath.normpath(name): target for name, target in links.items()}
    found = {}
    for name in links:
        path, seen = posixpath.normpath(name), set[str]()
        while path in targets and path not in seen:  # a circle ends too
            seen.add(path)
            path = targets[path]
        found[name] = path
    return found


class ScatteredMembers:
    """The places of all members of a tar, and the clips whose members do not follow each other.

    Args:
        suffixes: suffixes of members that are read.
    """

    def __init__(self, suffixes: frozenset[str]) -> None:
        self._suffixes = suffixes
        self._places: dict[str, TarMember] = {}  # path -> member, without content
        self._clips: dict[str, ArchiveClip] = {}  # key -> clip, without contents
        self._scattered: set[str] = set()  # keys
        self._dangling: dict[str, str] = {}  # key -> why a link of it leads nowhere

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the clips that must be read again, by offset."""
        return frozenset(self._scattered)

    def note(self, clip: ArchiveClip) -> None:
        """Remember where the members of a clip lie; one that was there before lies apart."""
        for suffix, member in clip.members.items():
            bare = member._replace(content=None)
            self._places[posixpath.normpath(member.name)] = bare
            self._join(clip.key, suffix, bare)
        if clip.repeated:
            self._clips[clip.key].repeated = clip.repeated

    def follow(self, links: Mapping[str, str]) -> None:
        """Add the members that links stand for."""
        for name, path in link_targets(links).items():
            place = split_name(name)
            if place is None or place[1] not in self._suffixes:
                continue
            if path in self._places:
                self._join(*place, self._places[path])
            else:
                self._dangling[place[0]] = f"link leads nowhere: .{place[1]} to {path}"
                self._clips.setdefault(place[0], ArchiveClip(key=place[0]))
            self._scattered.add(place[0])

    def read(self, key: str, file: BinaryIO) -> ArchiveClip:
        """Return a clip with the contents of its members.

        Raises:
            ClipError: one of its members is a link that leads nowhere.
        """
        if key in self._dangling:
            raise ClipError(self._dangling[key], "audio")
        clip = self._clips[key]
        read = ArchiveClip(key=key, repeated=clip.repeated)
        for suffix, member in clip.members.items():
            content = None
            if suffix in self._suffixes and member.length <= max(SIZE_LIMITS.values()):
                file.seek(member.offset)
                content = file.read(member.length)
            read.members[suffix] = member._replace(content=content)
        return read

    def _join(self, key: str, suffix: str, member: TarMember) -> None:
        clip = self._clips.setdefault(key, ArchiveClip(key=key))
        if suffix in clip.members and clip.members[suffix].offset != member.offset:
            clip.repeated = suffix
        clip.members.setdefault(suffix, member)

    def meets_again(self, clip: ArchiveClip) -> bool:
        """Tell whether members of this clip were met before; it is read by offset then."""
        if clip.key in self._clips:
            self._scattered.add(clip.key)
            return True
        return False
