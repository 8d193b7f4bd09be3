import numpy as np

from gsv2.data.building.spool import ClipSpool
from gsv2.data.building.stored_audio import THERE, StoredAudio


def test_blocks_come_back_whole_and_of_one_voice(tmp_path):
    rng = np.random.default_rng(0)
    with ClipSpool(tmp_path / "s") as spool:
        for number in range(200):
            voice = f"v{rng.integers(5)}"
            spool.append("en", voice, f"{number} {voice}".encode(), bytes(number % 7))
        spool.append("zh", "", b"alone", b"1")
        spool.append("zh", "", b"alone too", b"2")
        assert spool.languages == ["en", "zh"]
        blocks = [
            [(clip.head, clip.audio.read()) for clip in block]
            for block in spool.blocks("en", 6, np.random.default_rng(0))
        ]
        assert [len(block) for block in spool.blocks("zh", 6, rng)] == [1, 1]
    numbers = []
    for block in blocks:
        assert len(block) <= 6
        assert len({head.split()[1] for head, _ in block}) == 1
        inside = [int(head.split()[0]) for head, _ in block]
        assert inside == sorted(inside), "arrival order inside a block"
        assert [len(body) for _, body in block] == [number % 7 for number in inside]
        numbers += inside
    assert sorted(numbers) == list(range(200))


def test_audio_of_a_journal_is_not_copied_and_comes_back(tmp_path):
    sounds = [bytes([number]) * 1000 for number in range(20)]
    with (
        (tmp_path / "journal").open("w+b") as journal,
        ClipSpool(tmp_path / "s") as spool,
    ):
        for number, sound in enumerate(sounds):
            journal.seek(0, 2)
            journal.write(THERE + sound)
            audio = StoredAudio(journal, 3, journal.tell() - 1000, 1000, number)
            spool.append("en", "", str(number).encode(), audio)
        assert spool.is_journalled
        assert spool.is_whole
        assert spool._languages["en"].file.tell() < 20 * 40
        for (clip,) in spool.blocks("en", 1, np.random.default_rng(0)):
            assert clip.audio.read() == sounds[int(clip.head)]
        spool.drop("en", 4).audio.free()
        spool.append("en", "", b"again", audio._replace(offset=1 + 4 * 1001))
        assert not spool.is_whole


def test_the_identity_is_that_of_what_was_stored_and_dropped(tmp_path):
    def identity(name, heads, dropped=()):
        with (tmp_path / "journal").open("w+b") as journal, ClipSpool(tmp_path / name) as spool:
            journal.write(THERE * 9)
            for head in heads:
                spool.append("en", "", head, StoredAudio(journal, 0, 1, 1, 7))
            for clip in dropped:
                spool.drop("en", clip)
            return spool.identity

    first = identity("a", [b"1", b"2"])
    assert identity("b", [b"1", b"2"]) == first
    assert identity("c", [b"2", b"1"]) != first
    assert identity("d", [b"1", b"2"], [1]) != first
