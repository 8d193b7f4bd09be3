import pytest
import torch

from gsv2.models.gpt.pointer import (
    MAX_ADVANCE,
    CharacterReader,
    PointerConfig,
    count_characters,
    frame_pointers,
    point,
)
from gsv2.text.encoders.byte_encoder import ByteEncoder


def test_characters_are_those_of_the_text_whatever_their_bytes():
    torch.manual_seed(0)
    texts = ["aé你𐍈z", "ไทย", "x"]
    encoder, reader = ByteEncoder(8), CharacterReader(8, PointerConfig(num_blocks=2))
    ids, lengths = encoder.tokenize(texts)
    characters = reader(encoder(ids), ids)
    assert count_characters(ids).tolist() == [len(text) for text in texts]
    assert characters.shape == (3, int(lengths.max()) + 1, 8)
    for row, text in zip(characters, texts, strict=True):
        alone_ids = encoder.tokenize([text]).ids
        hidden = encoder(alone_ids)
        for block in reader.blocks:
            hidden = block(hidden, torch.ones_like(alone_ids, dtype=torch.bool))
        firsts = [len(text[:n].encode()) for n in range(len(text))]
        torch.testing.assert_close(row[: len(text)], hidden[0, firsts], atol=1e-5, rtol=1e-5)
        assert torch.equal(row[len(text)], reader.past)
        assert not row[len(text) + 1 :].any()


def test_a_pointer_that_moved_by_two_has_the_mean_of_both():
    characters = torch.randn(1, 6, 4)
    pointers, before = torch.tensor([[1, 1, 3, 4]]), torch.tensor([[-1, 1, 1, 3]])
    vectors = point(characters, pointers, before)[0]
    rows = characters[0]
    expected = torch.stack([(rows[0] + rows[1]) / 2, rows[1], (rows[2] + rows[3]) / 2, rows[4]])
    torch.testing.assert_close(vectors, expected)
    assert MAX_ADVANCE == 2


def test_pointers_stand_past_the_text_behind_the_clip_and_at_its_start_before_it_is_spoken():
    alignments = torch.tensor([[0, 1, 2], [0, -1, -1], [-1, -1, -1]])
    pointers = frame_pointers(alignments, torch.tensor([3, 1, 0]), torch.tensor([3, 1, 7]))
    assert pointers.tolist() == [[0, 1, 2, 3], [0, 1, 1, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("field", "value"), [("kernel_size", 4), ("num_blocks", -1), ("dropout", 1.0)]
)
def test_values_that_no_reader_can_have_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        PointerConfig(**{field: value})
