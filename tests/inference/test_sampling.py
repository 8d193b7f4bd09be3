import pytest
import torch

from gsv2.inference.sampling import Sampler, SamplingConfig, keep_likeliest
from gsv2.nn.codes import NO_CODE

LOGITS = torch.tensor([[0.5, 0.2, 0.15, 0.1, 0.05]]).log()


def kept(top_k: int, top_p: float) -> list[bool]:
    return torch.isfinite(keep_likeliest(LOGITS, top_k, top_p))[0].tolist()


def test_top_k_keeps_the_k_likeliest():
    assert kept(2, 1.0) == [True, True, False, False, False]
    assert kept(0, 1.0) == [True] * 5
    assert kept(9, 1.0) == [True] * 5


def test_top_p_keeps_the_fewest_that_reach_it():
    assert kept(0, 0.69) == [True, True, False, False, False]
    assert kept(0, 0.71) == [True, True, True, False, False]
    assert kept(0, 1e-6) == [True, False, False, False, False]


def test_kept_logits_are_unchanged_and_in_place():
    logits = torch.randn(3, 20)
    filtered = keep_likeliest(logits, 5, 0.9)
    finite = torch.isfinite(filtered)
    assert torch.equal(filtered[finite], logits[finite])
    assert torch.equal(filtered.argmax(dim=1), logits.argmax(dim=1))


def test_draws_follow_the_distribution():
    sampler = Sampler(SamplingConfig(temperature=1.0, top_k=0, top_p=1.0), range(1))
    draws = torch.stack([sampler.draw(LOGITS, ()) for _ in range(4000)]).flatten()
    shares = torch.bincount(draws, minlength=5) / len(draws)
    torch.testing.assert_close(shares, LOGITS[0].exp(), atol=0.03, rtol=0)


def test_temperature_zero_takes_the_likeliest():
    sampler = Sampler(SamplingConfig(temperature=0.0), range(1))
    assert sampler.draw(LOGITS, ()).tolist() == [0]


def test_a_forbidden_code_is_never_drawn():
    sampler = Sampler(SamplingConfig(temperature=5.0, top_k=0, top_p=1.0), range(1))
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    assert {int(sampler.draw(logits, ())) for _ in range(200)} == {1}


def test_an_item_draws_the_same_alone_and_in_company():
    config = SamplingConfig(temperature=1.0, top_k=0, top_p=1.0, seed=7)
    logits = torch.randn(3, 50)
    many, one = Sampler(config, range(3)), Sampler(config, range(1))
    for _ in range(10):
        assert many.draw(logits, ())[0] == one.draw(logits[:1], ())[0]


def test_seeds_and_items_have_different_streams():
    logits = torch.zeros(4, 1000)
    draws = {
        tuple(row)
        for seed in range(4)
        for row in torch.stack(
            [Sampler(SamplingConfig(seed=seed, top_k=0, top_p=1.0), range(4)).draw(logits, ())],
            dim=1,
        ).tolist()
    }
    assert len(draws) >= 15


def test_a_code_that_repeats_too_often_is_drawn_again_from_all():
    config = SamplingConfig(
        temperature=1.0, top_k=1, repetition_window=10, repetition_threshold=0.3
    )
    logits = torch.tensor([[1.0, 0.9, 0.8]])
    fresh = [torch.tensor([1])] * 10
    stuck = [torch.tensor([0])] * 10
    short = [torch.tensor([NO_CODE])] * 10
    sampler = Sampler(config, range(1))
    assert {int(sampler.draw(logits, fresh)) for _ in range(50)} == {0}
    assert {int(sampler.draw(logits, short)) for _ in range(50)} == {0}
    assert {int(sampler.draw(logits, ())) for _ in range(50)} == {0}
    assert {int(sampler.draw(logits, stuck)) for _ in range(50)} == {0, 1, 2}


def test_bounds_grow_with_the_text():
    config = SamplingConfig(min_sec_per_byte=0.02, max_sec_per_byte=0.2, max_extra_sec=1.0)
    least, most = config.frame_bounds(torch.tensor([10, 100]), rate_hz=25.0)
    assert least.tolist() == [5, 50]
    assert most.tolist() == [75, 525]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": -1.0}, "temperature must be at least 0, but is -1.0"),
        ({"top_k": -1}, "top_k must be at least 0, but is -1"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, but is 0.0"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**values)
