"""Clips on the page are those that were asked for, every language first."""

from __future__ import annotations

import pytest

from gsv2.evaluation.listening_page import ListeningConfig, write_listening_page
from tests.support.html_page import Page


def test_clips_have_a_player_and_their_text(tiny_corpus, tmp_path):
    out = tmp_path / "listen.html"
    corpus = str(tiny_corpus.path)
    assert write_listening_page(corpus, out, ListeningConfig(clips=5)) == 5
    page = Page(out.read_text())
    assert sum(source.startswith("data:audio/mpeg") for source in page.sources) == 5
    assert all(source.startswith("data:") for source in page.sources)
    first = out.read_bytes()
    write_listening_page(corpus, out, ListeningConfig(clips=5))
    assert out.read_bytes() == first, "the seed chooses"


def test_a_speaker_or_language_can_be_asked_for(tiny_corpus, make_corpus, tmp_path):
    from gsv2.data.config import SourceConfig
    from gsv2.data.corpus.index import CorpusIndex

    index = CorpusIndex.open(SourceConfig(path=str(tiny_corpus.path)))
    speakers = index.strings("speaker").to_pylist()
    asked = ListeningConfig(clips=999, speaker=speakers[0])
    shown = write_listening_page(str(tiny_corpus.path), tmp_path / "a.html", asked)
    assert shown == speakers.count(speakers[0])
    with pytest.raises(ValueError, match="no clip of language xx"):
        write_listening_page(
            str(tiny_corpus.path), tmp_path / "b.html", ListeningConfig(language="xx")
        )
    with pytest.raises(ValueError, match="clips must be 1 or more"):
        ListeningConfig(clips=0)
