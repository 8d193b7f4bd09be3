import gzip
import hashlib
import io
import tarfile
import tracemalloc

import pytest

from gsv2.data.indexing.tar_walk import TarDamageError, TarWalk

LONG = "folder/" * 30 + "käse" * 20 + ".flac"
FILES = {"a.wav": b"x" * 700, "b.json": b"", LONG: b"y" * 512, "c/d.txt": b"z" * 1025}


def make_tar(files=FILES, form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE):
            info = tarfile.TarInfo("other")
            info.type, info.linkname = kind, "a.wav"
            tar.addfile(info)
    return buffer.getvalue()


def walk(content, **options):
    """Return the members before any damage, the damage, and the walk."""
    tar, members = TarWalk(io.BytesIO(content), **options), []
    try:
        members.extend(tar)
    except TarDamageError as error:
        return members, error, tar
    return members, None, tar


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_places_are_those_of_tarfile(form):
    """Long and non-ASCII names too, which GNU and PAX keep in headers of their own."""
    files = dict(FILES)
    if form == tarfile.USTAR_FORMAT:
        files["folder/" * 15 + "prefix.flac"] = files.pop(LONG)
    content = make_tar(files, form)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        expected = [(i.name, i.offset_data, i.size) for i in tar.getmembers() if i.isreg()]
    members, damage, tar = walk(content)
    assert damage is None
    assert [(m.name, m.offset, m.length) for m in members] == expected
    assert [m.content for m in members] == list(files.values())
    assert (tar.finish(), tar.num_bytes) == (hashlib.sha256(content).hexdigest(), len(content))


def test_content_above_the_limit_is_passed_over():
    members, damage, _ = walk(make_tar(), limit=600)
    assert damage is None
    assert [m.content is None for m in members] == [True, False, False, True]


def test_wherever_a_tar_is_cut_the_members_before_are_found_and_the_byte_is_told():
    content = make_tar()
    whole, _, _ = walk(content)
    end = len(content.rstrip(b"\0")) + 511 & ~511  # the end mark begins here
    for length in [*range(0, end, 61), end]:
        members, damage, tar = walk(content[:length])
        assert members == [m for m in whole if m.offset + m.length <= length][: len(members)]
        assert len(members) >= sum(m.offset + m.length <= length for m in whole) - 1
        assert damage.byte <= length
        assert tar.finish() == hashlib.sha256(content[:length]).hexdigest()


def test_each_damage_is_told_with_its_byte():
    content = make_tar({"a.wav": b"x" * 700, "b.wav": b"y" * 700})
    second = 512 + 1024
    flipped = bytearray(content)
    flipped[second + 3] ^= 1
    sparse = tarfile.TarInfo("s")
    sparse.type = tarfile.GNUTYPE_SPARSE
    cases = {
        "is empty at byte 0": b"",
        f"ends without its end mark at byte {second}": content[:second],
        f"ends inside a header at byte {second}": content[: second + 100],
        f"ends inside a member at byte {second + 512 + 9}": content[: second + 512 + 9],
        f"ends inside the padding of a member at byte {second - 5}": content[: second - 5],
        f"has no tar header (bad checksum) at byte {second}": bytes(flipped),
        "has no tar header (is compressed) at byte 0": gzip.compress(make_tar(), compresslevel=0),
        "has a header of a sparse or negative size at byte 0": sparse.tobuf(),
    }
    for expected, damaged in cases.items():
        assert str(walk(damaged)[1]) == expected
    assert walk(content + content)[1].reason == "goes on after its end mark"


def test_extended_headers_that_lie_are_damage():
    content = bytearray(make_tar())
    place = content.index(b" path=")
    content[place - 1 : place] = b"x"
    assert walk(bytes(content))[1].reason == "has an extended header that cannot be read"


def test_one_member_at_a_time_is_in_memory(tmp_path):
    (tmp_path / "a.tar").write_bytes(make_tar({f"{n}.wav": bytes(1 << 20) for n in range(24)}))
    with (tmp_path / "a.tar").open("rb") as file:
        tracemalloc.start()
        for member in TarWalk(file):
            assert member.length == 1 << 20
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3.5 * (1 << 20)
