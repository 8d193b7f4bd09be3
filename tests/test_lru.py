import pickle
from functools import lru_cache

import numpy as np

from gsv2.lru import LruCache


def test_it_keeps_what_functools_keeps():
    kept: LruCache[int, int] = LruCache(4)
    computed = []
    reference = lru_cache(4)(computed.append)
    ours = []
    for key in np.random.default_rng(0).integers(9, size=500).tolist():
        reference(key)
        if kept.get(key) is None:
            ours.append(kept.put(key, key))
    assert ours == computed


def test_what_is_kept_costs_at_most_the_limit_but_the_last_value_stays():
    kept: LruCache[str, str] = LruCache(10)
    for name, cost in (("a", 4), ("b", 4), ("c", 4)):
        kept.put(name, name, cost)
    assert (list(kept.keys()), kept.total_cost) == (["b", "c"], 8)
    kept.put("d", "d", 50)
    assert (list(kept.keys()), kept.total_cost) == (["d"], 50)


def test_a_key_that_is_put_again_or_dropped_counts_once():
    kept: LruCache[str, int] = LruCache(10)
    kept.put("a", 1, 4)
    kept.put("a", 2, 5)
    assert (kept.get("a"), kept.total_cost, len(kept)) == (2, 5, 1)
    kept.drop("a")
    kept.drop("a")
    assert (kept.get("a"), kept.total_cost) == (None, 0)


def test_it_travels_to_spawned_workers():
    kept: LruCache[str, int] = LruCache(10)
    kept.put("a", 1)
    assert pickle.loads(pickle.dumps(kept)).get("a") == 1
