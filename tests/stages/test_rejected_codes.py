import pytest
import torch

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.stages.rejected_codes import FAULTS, FaultMaker, GivenCodes, stretch_alignments

CODES = torch.arange(24).view(1, 24).repeat(2, 1)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_span_that_is_missing_twice_there_or_cut_off(fault):
    seen = set()
    for number in range(40):
        made = FaultMaker((fault,), (2, 5), seed=0).make(f"clip{number}", CODES)
        assert torch.equal(made[0], made[1]), "codebooks stay together"
        row = made[0].tolist()
        change = len(row) - 24
        assert 2 <= abs(change) <= 5
        seen.add(change)
        if fault == "truncated":
            assert row == list(range(24 + change))
        elif fault == "dropped":
            missing = sorted(set(range(24)) - set(row))
            assert row == sorted(row)
            assert missing == list(range(missing[0], missing[0] - change))
        else:
            turn = next((i for i in range(1, len(row)) if row[i] < row[i - 1] + 1), None)
            assert turn is not None
            assert row[turn] == row[turn - 1] + 1 - change
    assert len(seen) == 4


def test_what_is_made_depends_on_seed_and_key_alone_and_always_differs():
    maker = FaultMaker(FAULTS, (3, 9), seed=1)
    assert torch.equal(maker.make("a", CODES), FaultMaker(FAULTS, (3, 9), seed=1).make("a", CODES))
    others = [maker.make(f"{n}", CODES).tolist() for n in range(20)]
    assert len({str(other) for other in others}) > 10
    for T in (1, 2, 3):
        for number in range(10):
            short = CODES[:, :T]
            made = maker.make(f"short{number}", short)
            assert made.shape[1] > 0
            assert made.tolist() != short.tolist()


def test_given_codes_are_found_by_key_and_of_the_quantizer(tiny_corpus, tmp_path):
    index = CorpusIndex.open(SourceConfig(path=str(tiny_corpus.path)))
    keys = [(shard.name, index.key(row)) for shard in index.shards
            for row in range(shard.start, shard.stop)]  # fmt: skip
    arrays = [(name, key, (CODES[:, :5] + n).numpy().astype("uint16"))
              for n, (name, key) in enumerate(keys)][:-1]  # fmt: skip
    write_codes(tiny_corpus.path, tmp_path / "worse", arrays, CodesOrigin("q", 64, 25.0))
    given = GivenCodes({str(tiny_corpus.path): str(tmp_path / "worse")}, "q")
    assert torch.equal(given.find(keys[3][1]), CODES[:, :5] + 3)
    assert given.find(keys[-1][1]) is None
    assert given.find("nobody") is None
    with pytest.raises(ValueError, match=r"model.rejected must hold codes of quantizer other"):
        GivenCodes({str(tiny_corpus.path): str(tmp_path / "worse")}, "other")


def test_a_stretched_alignment_goes_through_the_same_characters_in_other_frames():
    alignments = torch.tensor([[0, 0, 1, 2, 2, 3], [4, 5, 6, -1, -1, -1], [0, 1, -1, -1, -1, -1]])
    lengths, wanted = torch.tensor([6, 3, 2]), torch.tensor([3, 6, 2])
    made = stretch_alignments(alignments, lengths, wanted)
    assert made.shape == (3, 6)
    assert made[0, :3].tolist() == [0, 1, 2]
    assert made[1].tolist() == [4, 4, 5, 5, 6, 6]
    assert made[2, :2].tolist() == [0, 1]
