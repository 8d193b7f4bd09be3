"""Alignment of single clips as they are read."""

import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.decode import ClipError
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.loader import make_loader
from gsv2.data.stream.reader import read_clips
from gsv2.inference import clip_aligner
from gsv2.inference.alignment import align_corpus
from gsv2.inference.clip_aligner import ClipAligner
from tests.support.tiny_aligner import save_aligner

MEMBERS = ("codes", "align")


@pytest.fixture
def parts(make_corpus, make_codes, tmp_path):
    """Clips of 13 to 75 frames for 10 to 50 characters: too short, doubled, and long enough."""
    corpus = make_corpus(tmp_path / "corpus", 24, seconds=(0.5, 3.0))
    codes = make_codes(corpus, tmp_path / "codes")
    file = tmp_path / "aligner.safetensors"
    save_aligner(file, read_manifest(codes).quantizer)
    return corpus, codes, file


def open_both(corpus: Path, codes: Path) -> CorpusIndex:
    return CorpusIndex.open(SourceConfig(path=str(corpus), codes=str(codes)))


def clips_of(parts):
    return list(read_clips(open_both(*parts[:2]), ["codes"]))


def test_every_clip_gets_what_the_alignment_of_the_corpus_gives_it(parts):
    """The same characters, and for the others the same reason."""
    corpus, codes, file = parts
    index = open_both(corpus, codes).with_codes(CodeFormat(), ClipAligner(file))
    read = {clip.key: clip for clip in read_clips(index, MEMBERS)}
    _, report = align_corpus(corpus, codes, file, torch.device("cpu"))
    stored = {clip.key: clip for clip in read_clips(open_both(corpus, codes), MEMBERS)}
    bad = {key: clip for key, clip in read.items() if isinstance(clip, BadClip)}
    assert {key: clip.reason for key, clip in bad.items()} == report.failures
    assert all(clip.shard.startswith(str(codes)) for clip in bad.values())
    whole = read.keys() - bad.keys()
    frames = [len(read[key].alignment) for key in whole]
    assert min(frames) < 44 < max(frames), "some are aligned by half frames"
    for key in whole:
        assert np.array_equal(read[key].alignment, stored[key].alignment)
        assert read[key].alignment.dtype == stored[key].alignment.dtype
    assert 0 < len(bad) < len(whole)


def test_data_workers_align_as_the_process_of_a_run_does(parts):
    corpus, codes, file = parts
    index = open_both(corpus, codes).with_codes(CodeFormat(), ClipAligner(file))
    plan = Plan(index, DataConfig(sources=[], lanes=4, max_tokens=600), 0, MEMBERS)
    batches = [list(islice(make_loader(plan, workers=workers), 8)) for workers in (0, 2)]
    for own, made in zip(*batches, strict=True):
        assert (own.keys, own.bad) == (made.keys, made.bad)
        assert torch.equal(own.alignments, made.alignments)
    assert any(batch.bad for batch in batches[0])


def test_it_is_pickled_without_weights_and_loads_them_once_a_process(parts, monkeypatch):
    loaded = []

    def loading(source, device):
        loaded.append(source)
        return load(source, device)

    load = clip_aligner.load_aligner
    monkeypatch.setattr(clip_aligner, "load_aligner", loading)
    aligner = ClipAligner(parts[2])
    assert loaded == [], "nothing is read before there is a clip"
    clips = clips_of(parts)[:3]
    wanted = [aligner(clip) for clip in clips]
    assert loaded == [parts[2]]
    content = pickle.dumps(aligner)
    assert len(content) < 1000
    copy = pickle.loads(content)
    assert all(np.array_equal(copy(c), w) for c, w in zip(clips, wanted, strict=True))
    assert len(loaded) == 2


def test_a_clip_is_aligned_once_and_anew_with_another_text(parts, monkeypatch):
    texts = []

    def counting(aligner, codes, lengths, of):
        texts.extend(of)
        assert torch.get_num_threads() == 1
        return align(aligner, codes, lengths, of)

    align = clip_aligner.align_texts
    monkeypatch.setattr(clip_aligner, "align_texts", counting)
    aligner = ClipAligner(parts[2])
    clip = clips_of(parts)[0]._replace(text="fox")
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = [aligner(clip) for _ in range(3)][-1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(usual)
    assert aligner(clip._replace(text="dog over")).max() > first.max() == 2
    aligner(clip._replace(codes=clip.codes[:, ::-1]))
    assert texts == ["fox", "dog over", "fox"]


def test_a_text_that_cannot_be_aligned_is_an_error_of_the_clip(parts):
    clip = clips_of(parts)[0]._replace(text="fox" * 100)
    with pytest.raises(ClipError, match="text of 300 characters needs at least 300 frames"):
        ClipAligner(parts[2])(clip)


def test_stored_alignments_are_read_and_those_of_other_sources_made(parts, make_codes, tmp_path):
    corpus, codes, file = parts
    bare = make_codes(corpus, tmp_path / "bare", seed=1)
    align_corpus(corpus, codes, file, torch.device("cpu"))
    sources = [SourceConfig(path=str(corpus), codes=str(of)) for of in (codes, bare)]
    seen = []

    def aligning(clip):
        seen.append(clip)
        return ClipAligner(file)(clip)

    index = CorpusIndex.open(*sources).with_codes(CodeFormat(), aligning)
    clips = list(read_clips(index, MEMBERS))
    assert [clip.row for clip in seen] == list(range(24, 48))
    assert sum(not isinstance(clip, BadClip) for clip in clips[:24]) == len(
        [clip for clip in read_clips(open_both(corpus, codes), MEMBERS) if hasattr(clip, "codes")]
    )
    assert all(clip.alignment is None for clip in read_clips(index, ["codes"]))
    assert len(seen) == 24, "who does not ask for alignments gets none"
