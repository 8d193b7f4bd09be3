import numpy as np

from gsv2.data.building.spool import ClipSpool


def test_blocks_come_back_whole_and_of_one_voice(tmp_path):
    rng = np.random.default_rng(0)
    with ClipSpool(tmp_path / "s") as spool:
        for number in range(200):
            voice = f"v{rng.integers(5)}"
            spool.append("en", voice, f"{number} {voice}".encode(), bytes(number % 7))
        spool.append("zh", "", b"alone", b"1")
        spool.append("zh", "", b"alone too", b"2")
        assert spool.languages == ["en", "zh"]
        blocks = list(spool.blocks("en", 6, np.random.default_rng(0)))
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
