import numpy as np
import pytest

from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.mixture import make_mixture


def mixture_of(*sources, temperature=1.0):
    config = DataConfig(sources=list(sources), max_frames=10, language_temperature=temperature)
    return make_mixture(CorpusIndex.open(*sources), config)


def test_without_weights_and_temperature_everything_is_one_part(bare_corpus):
    (part,) = mixture_of(bare_corpus([5, 6], languages=["en", "zh"]), bare_corpus([7]))
    assert part.share == 1.0
    assert [shard.num_clips for shard in part.shards] == [5, 6, 7]


def test_weights_are_shares_whatever_the_sources_hold(bare_corpus):
    parts = mixture_of(bare_corpus([100], weight=1.0), bare_corpus([10], weight=3.0))
    assert [part.share for part in parts] == [0.25, 0.75]
    assert [part.shards[0].num_clips for part in parts] == [100, 10]


def test_temperature_raises_the_share_of_small_languages_over_all_sources(bare_corpus):
    one = bare_corpus([90, 10], languages=["en", "zh"])
    two = bare_corpus([90], languages=["en"], seed=1)
    hours = {"en": 0.0, "zh": 0.0}
    for shard in CorpusIndex.open(one, two).shards:
        hours[shard.language] += shard.seconds
    parts = mixture_of(one, two, temperature=2.0)
    assert [part.name for part in parts] == ["all sources, en", "all sources, zh"]
    assert [len(part.shards) for part in parts] == [2, 1]
    roots = np.sqrt([hours["en"], hours["zh"]])
    assert [part.share for part in parts] == pytest.approx((roots / roots.sum()).tolist())


def test_a_weight_stands_and_the_temperature_works_inside_its_source(bare_corpus):
    parts = mixture_of(
        bare_corpus([80, 20], languages=["en", "zh"], weight=2.0),
        bare_corpus([50], languages=["de"], weight=2.0),
        temperature=1e9,
    )
    assert [part.share for part in parts] == pytest.approx([0.25, 0.25, 0.5])
    assert [part.number for part in parts] == [0, 1, 2]


def test_weights_for_some_sources_only_are_an_error(bare_corpus):
    with pytest.raises(ValueError, match="all sources must have a weight, or none"):
        mixture_of(bare_corpus([5], weight=1.0), bare_corpus([5]))
