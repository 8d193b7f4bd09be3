import pytest
import torch
from tokenizers import Tokenizer

from gsv2.text.encoders.config import TokenizerConfig
from gsv2.text.encoders.make import resolve_tokenizer
from gsv2.text.encoders.subword_encoder import SubwordEncoder, read_tokenizer
from gsv2.text.normalize import normalize_text
from tests.support.tiny_language_model import save_language_model
from tests.support.tiny_text_encoder import SIX_SCRIPTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_language_model(tmp_path_factory.mktemp("lm"))


def test_subwords_are_those_of_the_library_and_no_more_than_bytes(folder):
    config = resolve_tokenizer(TokenizerConfig(path=str(folder)))
    encoder = SubwordEncoder(config.size, 8)
    encoder.attach(read_tokenizer(config.find()))
    texts = [normalize_text(text) for text in (SIX_SCRIPTS, "Zoë's 猫 🐈", "x")]
    tokens = encoder.tokenize(texts)
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for row, length, text in zip(tokens.ids, tokens.lengths.tolist(), texts, strict=True):
        assert row[:length].tolist() == library.encode(text).ids
        assert library.decode(row[:length].tolist()) == text
        assert length <= len(text.encode())
        assert (row[length:] == -1).all()
    assert encoder(tokens.ids).shape == (3, tokens.ids.shape[1], 8)


def test_a_marker_in_a_text_is_text(folder):
    encoder = SubwordEncoder(400, 8)
    encoder.attach(read_tokenizer(folder / "tokenizer.json"))
    assert int(encoder.tokenize(["a<|endoftext|>b"]).lengths[0]) > 3


def test_a_tokenizer_that_is_missing_damaged_or_another_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"model.gpt.tokenizer.path must be a folder"):
        TokenizerConfig().find()
    with pytest.raises(ValueError, match="must be the tokenizer of hash abc, but is that of"):
        TokenizerConfig(path=str(folder), sha256="abc").find()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="is no tokenizer"):
        resolve_tokenizer(TokenizerConfig(path=str(tmp_path)))
    with pytest.raises(ValueError, match="needs its tokenizer"):
        SubwordEncoder(4, 8).tokenize(["a"])


def test_vectors_of_a_text_do_not_depend_on_the_batch(folder):
    encoder = SubwordEncoder(400, 8)
    encoder.attach(read_tokenizer(folder / "tokenizer.json"))
    alone, together = encoder.tokenize(["one"]), encoder.tokenize(["one", SIX_SCRIPTS])
    assert torch.equal(alone.ids[0], together.ids[0, : int(alone.lengths[0])])
