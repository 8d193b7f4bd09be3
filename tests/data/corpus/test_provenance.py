import hashlib
import json

import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.provenance import (
    describe_corpora,
    parse_corpora,
    read_corpora,
    write_corpora,
)


def described(*corpora):
    sources = [SourceConfig(path=str(path)) for path in corpora]
    return describe_corpora(DataConfig(sources=sources, max_frames=100))


def test_hours_are_those_of_the_clips_by_language_and_by_licence(tiny_corpus, tmp_path):
    (found,) = described(tiny_corpus.path)
    manifest = json.loads((tiny_corpus.path / "corpus.json").read_text())
    assert sum(found.languages.values()) == pytest.approx(manifest["hours"])
    assert found.licences == {"CC0-1.0": pytest.approx(manifest["hours"])}
    content = (tiny_corpus.path / "corpus.json").read_bytes()
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert str(tiny_corpus.path.parents[1]) not in found.name, "folders of a machine stay there"
    write_corpora(tmp_path, [found])
    assert read_corpora(tmp_path) == [found]
    assert read_corpora(tmp_path / "older") is None


def test_a_corpus_of_before_licences_were_counted_names_none(tiny_corpus, tmp_path):
    values = json.loads((tiny_corpus.path / "corpus.json").read_text())
    for shard in values["shards"]:
        del shard["licences"]
    (tmp_path / "corpus.json").write_text(json.dumps(values))
    assert described(tmp_path)[0].licences == {"": pytest.approx(values["hours"])}


@pytest.mark.parametrize("values", [{}, [1], [{"name": "a"}]])
def test_something_else_is_refused_by_its_place(values):
    with pytest.raises(ValueError, match="here"):
        parse_corpora(values, "here")
