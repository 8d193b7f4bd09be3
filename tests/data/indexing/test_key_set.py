import numpy as np

from gsv2.data.indexing.key_set import KeySet, hash_keys


def test_seen_keys_are_those_that_a_set_has_seen():
    rng = np.random.default_rng(0)
    keys, seen = KeySet(), set()
    for size in rng.integers(0, 60, 80):
        batch = [f"k{number}" for number in rng.integers(0, 3000, size)]
        expected = []
        for place, key in enumerate(batch):
            if key in seen:
                expected.append(place)
            seen.add(key)
        assert keys.add(hash_keys(batch)).tolist() == expected


def test_keys_cost_eight_bytes_and_few_runs():
    keys = KeySet()
    for shard in range(200):
        assert len(keys.add(hash_keys([f"{shard}/{clip}" for clip in range(50)]))) == 0
    assert sum(run.nbytes for run in keys._runs) == 8 * 200 * 50
    assert len(keys._runs) <= 9
