"""Codes beside the quantizer that they are of; old corpora of codes do not say its V."""

import json
import shutil

import pytest

from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import read_clips
from gsv2.data.verify.codes_check import CodesMaker
from gsv2.data.verify.corpus import verify_corpus

QUANTIZER = "0" * 64


def verify(tiny_corpus, V, *, quantizer=QUANTIZER, decode=True, num_codebooks=2):
    """Verify the tiny codes, which lie in 0..1023, as those of a quantizer with V entries."""
    maker = CodesMaker(quantizer, CodeFormat(num_codebooks, V, 25.0))
    return verify_corpus(tiny_corpus.codes, audio=tiny_corpus.path, maker=maker, decode=decode)


def test_a_quantizer_knows_the_range_that_corpus_json_does_not(tiny_corpus):
    right = verify(tiny_corpus, 1024)
    assert (right.problems, right.notes) == ([], [])
    wrong = verify(tiny_corpus, 900)
    assert {problem.kind for problem in wrong.problems} == {
        "clip cannot be decoded: codes outside their codebook"
    }
    assert ", not 0..899" in wrong.problems[0].examples[0]
    assert not wrong.notes


@pytest.mark.parametrize("decode", [True, False])
def test_codes_of_an_unknown_range_are_a_note_with_file_and_largest_code(tiny_corpus, decode):
    """Codes that nobody decodes have no range at all."""
    clips = read_clips(CorpusIndex.open(tiny_corpus.source_with_codes), ["codes"])
    largest = max(int(clip.codes.max()) for clip in clips)
    result = verify_corpus(tiny_corpus.codes, decode=decode)
    assert not result.problems
    assert len(result.notes) == decode
    for note in result.notes:
        assert note.startswith(f"{tiny_corpus.codes / 'corpus.json'} has no codebook_size: ")
        assert f"codes lie in 0..{largest}," in note


def test_another_quantizer_is_named_and_judges_no_code(tiny_corpus):
    result = verify(tiny_corpus, 16, quantizer="1" * 64)
    (problem,) = result.problems
    assert problem.kind == "codes are of another quantizer"
    assert problem.examples == ("0000000000000000, not 1111111111111111",)
    assert result.notes


def test_a_quantizer_of_another_format_is_a_problem(tiny_corpus):
    result = verify(tiny_corpus, 1024, num_codebooks=4, decode=False)
    (problem,) = result.problems
    assert problem.kind == "codes have another format than their quantizer's"
    assert problem.examples == ("num_codebooks 2, not 4",)


def test_what_corpus_json_says_of_the_range_needs_no_quantizer(tiny_corpus, tmp_path):
    codes = shutil.copytree(tiny_corpus.codes, tmp_path / "codes")
    manifest = json.loads((codes / "corpus.json").read_text())
    (codes / "corpus.json").write_text(json.dumps(manifest | {"codebook_size": 900}))
    result = verify_corpus(codes, decode=True)
    assert {problem.kind for problem in result.problems} == {
        "clip cannot be decoded: codes outside their codebook"
    }
    assert not result.notes
