import numpy as np
import pytest

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.code_format import CodeFormat, CodesError, far_from_audio
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import MappedReader, read_clip, read_clips
from gsv2.data.verify.corpus import verify_corpus

FORMAT = CodeFormat(num_codebooks=2, codebook_size=1024, rate_hz=25.0)
SECOND = 32_000


@pytest.mark.parametrize(
    ("codes", "num_frames", "reason"),
    [
        (np.full((2, 25), 1024), 25, "codes outside their codebook: 1024, not 0..1023"),
        (np.full((2, 25), -1), 25, "codes outside their codebook: -1, not 0..1023"),
        (np.zeros((3, 25), int), 25, "codes of another number of codebooks: 3, not 2"),
        (np.zeros((2, 24), int), 25, "codes are not as long as the index says: 24 frames, not 25"),
        (
            np.zeros((2, 12), int),
            None,
            "codes are not as long as their audio: 12 frames, not 25 in 1.00 s at 25 Hz",
        ),
        (
            np.zeros((2, 50), int),
            50,
            "codes are not as long as their audio: 50 frames, not 25 in 1.00 s at 25 Hz",
        ),
    ],
)
def test_codes_that_no_such_quantizer_made_are_refused_with_value_and_bound(
    codes, num_frames, reason
):
    with pytest.raises(CodesError) as error:
        FORMAT.check(codes, num_frames, SECOND)
    assert str(error.value) == reason
    CodeFormat().check(codes, None, SECOND)  # nothing is known, nothing is asked


@pytest.mark.parametrize("num_frames", [23, 25, 27])
def test_the_last_code_and_padding_of_a_few_frames_are_right(num_frames):
    FORMAT.check(np.full((2, num_frames), 1023), num_frames, SECOND)


def test_short_clips_may_differ_by_the_rounding_of_frames():
    frames, seconds = np.array([1, 3, 8, 20]), np.array([0.04, 0.2, 0.4, 0.4])
    assert far_from_audio(frames, seconds, 25.0).tolist() == [False, False, False, True]


@pytest.fixture
def sidecar(tiny_corpus, tmp_path):
    """`sidecar(change, **options)`: codes of the tiny corpus, those of row 3 changed."""
    plain = CorpusIndex.open(tiny_corpus.source)

    def make(change, **options):
        def codes():
            for row, clip in enumerate(read_clips(plain, ["audio"])):
                made = np.zeros((2, -(-(len(clip.wave) // HOP_LENGTH) // 2)), dtype=np.int64)
                yield clip.shard, clip.key, change(made) if row == 3 else made

        write_codes(tiny_corpus.path, tmp_path / "codes", codes(), CodesOrigin("0" * 64, **options))
        return SourceConfig(path=str(tiny_corpus.path), codes=str(tmp_path / "codes"))

    return make


CHANGES = {
    "equal to V": (lambda codes: codes + 1024, "codes outside their codebook"),
    "half as long": (lambda codes: codes[:, ::2], "codes are not as long as their audio"),
    "twice as long": (lambda codes: codes.repeat(2, 1), "codes are not as long as their audio"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_such_a_clip_is_left_out_by_name_and_the_others_are_read(sidecar, name):
    """The format comes from the reader of the codes, where corpus.json does not know it."""
    change, kind = CHANGES[name]
    index = CorpusIndex.open(sidecar(change)).with_codes(FORMAT)
    reader = MappedReader(index, ["codes"])
    clips = [read_clip(reader, row) for row in range(12)]
    bad = clips.pop(3)
    assert isinstance(bad, BadClip)
    assert (bad.key, bad.shard) == (index.key(3), index.shard_of(3).codes_tar)
    assert bad.reason.startswith(kind)
    assert all(isinstance(clip, Clip) for clip in clips)


@pytest.mark.parametrize("name", CHANGES)
def test_verify_names_such_a_clip(sidecar, tiny_corpus, tmp_path, name, monkeypatch):
    change, kind = CHANGES[name]
    monkeypatch.setattr(CodeFormat, "check_all", lambda *_: None)  # as damage would
    source = sidecar(change, codebook_size=1024, rate_hz=25.0)
    result = verify_corpus(tmp_path / "codes", audio=tiny_corpus.path, decode=True)
    key = CorpusIndex.open(source).key(3)
    assert [problem.examples[0].split(":")[0] for problem in result.problems] == [key]
    assert kind in result.problems[0].kind


def test_lengths_of_codes_of_an_unknown_rate_are_compared_with_those_of_most(
    sidecar, tiny_corpus, tmp_path
):
    sidecar(CHANGES["half as long"][0])
    result = verify_corpus(tmp_path / "codes", audio=tiny_corpus.path)
    (problem,) = result.problems
    assert (problem.kind, problem.count) == ("codes are not as long as their audio", 1)


def test_codes_outside_the_codebooks_are_not_written(sidecar):
    with pytest.raises(ValueError, match=r"clip .*: codes outside their codebook: 1024, not 0"):
        sidecar(CHANGES["equal to V"][0], codebook_size=1024)


def test_codes_of_another_format_than_asked_for_are_refused_by_folder(sidecar, tmp_path):
    index = CorpusIndex.open(sidecar(lambda codes: codes, codebook_size=512, rate_hz=50.0))
    assert index.code_format == CodeFormat(2, 512, 50.0)
    assert read_manifest(tmp_path / "codes").code_format == CodeFormat(2, 512, 50.0)
    message = r"codebook_size 512, not 1024, rate_hz 50\.0, not 25\.0"
    with pytest.raises(CorpusError, match=message):
        index.with_codes(FORMAT)
