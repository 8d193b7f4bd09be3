import torch

from gsv2.models.vits2.references import mean_styles, next_references, random_references

SEQUENCE = torch.tensor([0, 1, 1, 1, 2, 2])


def test_the_next_clip_of_the_sequence_follows_cyclically() -> None:
    assert next_references(SEQUENCE).tolist() == [0, 2, 3, 1, 5, 4]


def test_random_references_are_every_other_clip_of_the_sequence() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([random_references(SEQUENCE, 0.0) for _ in range(100)])
    seen = [set(column.tolist()) for column in drawn.T]
    assert seen == [{0}, {2, 3}, {1, 3}, {1, 2}, {5}, {4}]


def test_a_clip_is_its_own_reference_as_often_as_asked() -> None:
    torch.manual_seed(0)
    sequence = torch.arange(2).repeat_interleave(2000)
    own = random_references(sequence, 0.25) == torch.arange(4000)
    assert abs(own.float().mean().item() - 0.25) < 0.03
    assert torch.equal(random_references(SEQUENCE, 1.0), torch.arange(6))


def test_no_clips_have_no_references() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    assert next_references(nothing).shape == random_references(nothing, 0.5).shape == (0,)


def test_a_mixed_style_is_the_mean_of_a_sequence() -> None:
    styles = torch.tensor([[0.0], [2.0], [4.0], [9.0]])
    mixed = mean_styles(styles, torch.tensor([0, 0, 0, 1]))
    assert mixed.flatten().tolist() == [2.0, 2.0, 2.0, 9.0]
