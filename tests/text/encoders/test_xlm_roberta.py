from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import XLMRobertaModel

from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.make import make_text_encoder, resolve_text_vectors
from gsv2.text.encoders.xlm_roberta import XlmRoberta
from tests.support.tiny_text_encoder import DIM, MAX_SUBWORDS, SIX_SCRIPTS, save_text_encoder

SENTENCES = [part.strip() for part in SIX_SCRIPTS.replace("。", ". ").replace("।", ".").split(".")]
TEXTS = [sentence for sentence in SENTENCES if sentence]
ROOM = MAX_SUBWORDS - 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_text_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> XlmRoberta:
    return make_text_encoder(resolve_text_vectors(TextVectorsConfig(path=str(folder))))


def subwords(folder: Path, text: str) -> list[int]:
    return (
        Tokenizer.from_file(str(folder / "tokenizer.json"))
        .encode(text, add_special_tokens=False)
        .ids
    )


def alone(folder: Path, ids: list[int]) -> torch.Tensor:
    """What the library makes of subwords between its markers."""
    network = XLMRobertaModel.from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = network(input_ids=torch.tensor([[0, *ids, 2]])).last_hidden_state
    return hidden[0, 1:-1]


def test_six_scripts_have_a_vector_each_subword_in_any_batch(folder, encoder) -> None:
    assert len(TEXTS) == 6
    short = [text[:12] for text in TEXTS]
    found = encoder.encode([short[0], *short[1:], short[0]])
    for text, vectors in zip(short, found, strict=False):
        ids = subwords(folder, text)
        assert vectors.shape == (len(ids), DIM)
        assert 3 not in ids  # none is unknown
        torch.testing.assert_close(vectors, alone(folder, ids), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[0], found[-1])


def test_scripts_mixed_in_one_text_need_no_tag(folder, encoder) -> None:
    mixed = "red Поезд 火车"
    (vectors,) = encoder.encode([mixed])
    torch.testing.assert_close(vectors, alone(folder, subwords(folder, mixed)), rtol=0, atol=1e-5)


def test_a_long_text_is_cut_before_words_and_its_pieces_know_nothing_of_each_other(
    folder, encoder
) -> None:
    ids = subwords(folder, SIX_SCRIPTS)
    tokens = encoder.tokenizer.encode(SIX_SCRIPTS, add_special_tokens=False).tokens
    assert len(ids) > 2 * ROOM
    pieces = list(encoder.cut(ids, tokens))
    assert [one for piece in pieces for one in piece] == ids
    assert all(0 < len(piece) <= ROOM for piece in pieces)
    starts = torch.tensor([0, *map(len, pieces)]).cumsum(0)[1:-1].tolist()
    assert any(tokens[start].startswith("▁") for start in starts)
    for piece, start in zip(pieces, starts, strict=False):
        following = tokens[start]
        if not following.startswith("▁"):  # no word begins in the piece before it
            assert len(piece) == ROOM
    (vectors,) = encoder.encode([SIX_SCRIPTS])
    expected = torch.cat([alone(folder, piece) for piece in pieces])
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-5)


def test_a_text_that_just_fits_is_not_cut(encoder) -> None:
    tokens = ["▁a"] * (ROOM + 1)
    assert [len(piece) for piece in encoder.cut(range(ROOM), tokens[:-1])] == [ROOM]
    assert [len(piece) for piece in encoder.cut(range(ROOM + 1), tokens)] == [ROOM, 1]
    word = ["▁a", *["b"] * (2 * ROOM)]
    assert [len(piece) for piece in encoder.cut(range(2 * ROOM + 1), word)] == [ROOM, ROOM, 1]
    late = [*["b"] * 5, "▁a", *["b"] * (2 * ROOM)]
    assert next(iter(encoder.cut(range(len(late)), late))) == list(range(5))


def test_the_hash_tells_weights_and_tokenizer_apart(folder, encoder, tmp_path) -> None:
    known = resolve_text_vectors(TextVectorsConfig(path=str(folder)))
    assert known.dim == DIM
    other = save_text_encoder(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match=f"bge-m3 of hash {known.sha256}"):
        make_text_encoder(known, other)
    same = save_text_encoder(tmp_path / "same")
    file = same / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    assert resolve_text_vectors(TextVectorsConfig(path=str(same))).sha256 != known.sha256


def test_a_missing_tokenizer_is_named(tmp_path) -> None:
    folder = save_text_encoder(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"bge-m3 \(BAAI/bge-m3\), but lacks tokenizer\.json"):
        resolve_text_vectors(TextVectorsConfig(path=str(folder)))
