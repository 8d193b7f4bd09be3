import io

import numpy as np
import pytest
from webdataset.tariterators import base_plus_ext, group_by_keys, tar_file_iterator

from gsv2.data.corpus.decode import ClipError, decode_json
from gsv2.data.corpus.format import SIZE_LIMITS
from gsv2.data.indexing.clip import ArchiveClip, group_clips, index_clip, split_name
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.indexing.tar_walk import TarMember, TarWalk
from tests.support.archives import audio_bytes, codes_bytes, json_bytes, said, write_tar

WAV = audio_bytes(0.5, 16_000)
ENGLISH = ArchiveFormat(language="en")


def clip_of(key="k", **members):
    """`_` in a suffix stands for a dot."""
    places = {}
    for number, (suffix, content) in enumerate(members.items()):
        name = suffix.replace("_", ".")
        places[name] = TarMember(f"{key}.{name}", 1024 * number + 512, len(content), content)
    return ArchiveClip(key=key, members=places)


def reason(form=ENGLISH, key="k", **members):
    with pytest.raises(ClipError) as error:
        index_clip(clip_of(key, **members), "train/a", form)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    ["a.wav", "a.codes.npy", "d.x/b.FLAC", "./a/b.wav", "noext", ".hidden", "a/.h.wav", "a b.wav",
     "a.b/c", "/abs.wav", "../../x.wav", "a\nb.wav", "a."],
)  # fmt: skip
def test_keys_and_suffixes_are_those_of_webdataset(name):
    key, suffix = base_plus_ext(name)
    expected = None if key is None else (key, suffix.lower())
    assert split_name(name) == expected


def test_clips_are_those_of_webdataset(tmp_path):
    clips = [said("a/1"), {"__key__": "a/2", "TXT": b"t", "mp3": b"m", "jpg": b"j"}, said("b/1")]
    tar = write_tar(tmp_path / "x.tar", *clips, {"__key__": "__meta__", "txt": b"no clip"})
    with tar.open("rb") as file:
        grouped = list(group_clips(TarWalk(file), frozenset({"wav", "txt", "mp3"})))
    with tar.open("rb") as file:
        files = ({**f, "__url__": ""} for f in tar_file_iterator(file))
        expected = list(group_by_keys(files))
    assert [clip.key for clip in grouped] == [sample["__key__"] for sample in expected]
    for clip, sample in zip(grouped, expected, strict=True):
        kept = {suffix: m.content for suffix, m in clip.members.items() if m.content is not None}
        assert set(clip.members) == {name for name in sample if not name.startswith("__")}
        assert kept == {name: sample[name] for name in clip.members if name != "jpg"}


def test_a_transcript_and_a_constant_language_make_a_row():
    clip = clip_of(
        wav=WAV, txt="Héllo \n there.".encode(), codes_npy=codes_bytes(np.ones((2, 9), "u2"))
    )
    row, voice = index_clip(clip, "train/a", ENGLISH)
    assert (row["text"], row["text_bytes"]) == ("Héllo there.", 13)
    assert (row["language"], row["speaker"], voice) == ("en", "", ())
    assert (row["duration_sec"], row["num_samples"]) == (0.5, 16_000)
    assert (row["audio_offset"], row["audio_length"]) == (512, len(WAV))
    assert (row["codes_offset"], row["num_code_frames"]) == (512 + 2048, 9)
    assert "json_offset" not in row


def test_fields_of_the_json_are_mapped():
    form = ArchiveFormat(
        text_field="meta.sentence", speaker_field="spk", language_field="locale", language="en"
    )
    fields = json_bytes(meta={"sentence": "Guten Tag"}, spk=17, locale="de", text="no")
    row, voice = index_clip(clip_of(wav=WAV, json=fields, txt=b"no"), "a", form)
    assert (row["text"], row["speaker"], row["language"]) == ("Guten Tag", "17", "de")
    assert voice == ("de", "speaker", "17")
    bare = json_bytes(meta={"sentence": "Hi"}, spk=None)
    row, _ = index_clip(clip_of(wav=WAV, json=bare), "a", form)
    assert (row["text"], row["speaker"], row["language"]) == ("Hi", "", "en")


def reads(content):
    try:
        return bool(decode_json(content))
    except ClipError:
        return False


def test_our_own_json_is_left_to_the_reader():
    """`text` is null only where the reader finds the same in the JSON."""
    fields = {"text": "Hi  there", "language": "en", "speaker": "ann"}
    row, _ = index_clip(clip_of(flac=WAV, json=json_bytes(**fields)), "en/a", ArchiveFormat())
    assert row["text"] is None
    assert tuple(decode_json(json_bytes(**fields)))[1:] == (row["language"], row["speaker"])
    fields["speaker"] = 7
    row, _ = index_clip(clip_of(flac=WAV, json=json_bytes(**fields)), "en/a", ArchiveFormat())
    assert (row["text"], row["speaker"]) == ("Hi there", "7")
    odd = b'{"text": "Hi", "language": "en", "speaker": "ann", "snr": NaN, "x": "\\ud800"}'
    row, _ = index_clip(clip_of(flac=WAV, json=odd), "en/a", ArchiveFormat())
    assert row["text"] in (None, "Hi")
    assert (row["text"] is None) == reads(odd)


def test_speaker_recording_and_language_come_from_names():
    form = ArchiveFormat(
        language_from_folder=True, speaker_pattern=r"^spk(\d+)_", recording_pattern="rec(.)",
        prefix_keys=True,
    )  # fmt: skip
    one = index_clip(clip_of("spk12_recA_1", wav=WAV, txt=b"hi"), "data/en/x", form)
    assert (one.row["key"], one.row["speaker"]) == ("data/en/x/spk12_recA_1", "12")
    assert (one.row["language"], one.voice) == ("en", ("en", "speaker", "12"))
    two = index_clip(clip_of("u_recA_1", wav=WAV, txt=b"hi"), "data/en/x", form)
    assert (two.row["speaker"], two.voice) == ("", ("en", "recording", "A"))


def test_the_first_audio_suffix_is_taken_and_unknown_ones_do_not_matter():
    clip = clip_of(mp3=b"bad", jpg=b"?", wav=WAV, pkl=b"cos\nsystem", txt=b"hi")
    assert index_clip(clip, "a", ENGLISH).row["audio_length"] == len(WAV)
    form = ArchiveFormat(language="en", audio_suffixes=("mp3",))
    assert reason(form, mp3=b"bad", wav=WAV, txt=b"hi").startswith("audio cannot be read")


@pytest.mark.parametrize(("label", "tag"), [("pt_BR", "pt-BR"), ("EN", "en"), ("cmn", "zh")])
def test_a_language_has_one_tag_however_it_is_spelt(label, tag):
    clip = clip_of(wav=WAV, json=json_bytes(text="hi", language=label))
    row = index_clip(clip, "a", ArchiveFormat()).row
    assert (row["language"], row["text"] is not None) == (tag, True), "the index overrules the JSON"


def test_every_unusable_clip_has_its_reason():
    huge = ArchiveClip(key="k", members=clip_of(wav=WAV, txt=b"hi").members)
    huge.members["wav"] = TarMember("k.wav", 0, SIZE_LIMITS["audio"] + 1, None)
    with pytest.raises(ClipError, match="member above the size limit"):
        index_clip(huge, "a", ENGLISH)
    twice = clip_of(wav=WAV, txt=b"hi")
    twice.repeated = "wav"
    with pytest.raises(ClipError, match="key with two members of one suffix"):
        index_clip(twice, "a", ENGLISH)
    assert reason(txt=b"hi") == "no audio; its members end with .txt"
    assert reason(txt=b"hi", pth=b"?") == "no audio, but a pickle, which is never read"
    assert reason(wav=WAV) == "no transcript; its members end with .wav"
    assert reason(wav=WAV, json=json_bytes(text=None)).startswith("no transcript; its members")
    assert reason(wav=WAV, txt=b"\xff") == "transcript is not UTF-8"
    assert reason(wav=WAV, txt=b" ?! ") == "no speech in the text"
    assert reason(wav=WAV, json=b"{", txt=b"hi").startswith("json cannot be read: Expecting")
    assert reason(wav=WAV, json=b"[" * 100_000).startswith("json cannot be read: maximum")
    assert reason(wav=WAV, json=b"[1]", txt=b"hi") == "json is no object: [1]"
    assert reason(wav=WAV, json=b'{"text": 5}', txt=b"hi") == "transcript is no text: 5"
    wrong = "language is no tag like en or zh-Hant"
    assert reason(ArchiveFormat(), wav=WAV, txt=b"hi") == f"{wrong}: ''"
    for label in ("Deutsch", "123", "jp", "xx-YY"):
        said = json_bytes(text="hi", language=label)
        assert reason(ArchiveFormat(), wav=WAV, json=said) == f"{wrong}: {label!r}"
    assert reason(wav=b"RIFF", txt=b"hi").startswith("audio cannot be read")
    for key in ("../../x", "/x", "a/../x", "..\\x"):
        assert reason(key=key, wav=WAV, txt=b"hi") == "member name leads out of the folder"
    for key in ("a\nb", "a\udcff"):
        wrong = "key with characters that cannot be printed"
        assert reason(key=key, wav=WAV, txt=b"hi") == wrong
    wide = codes_bytes(np.ones((2, 9), np.int64))
    assert (
        reason(wav=WAV, txt=b"hi", codes_npy=wide)
        == "codes are not uint16 [K, T]: found int64 (2, 9)"
    )


def test_pickled_codes_are_never_unpickled():
    class Bomb:
        def __reduce__(self):
            return print, ("exploded",)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()]), allow_pickle=True)
    members = {"wav": WAV, "txt": b"hi", "codes_npy": buffer.getvalue()}
    assert reason(**members) == "codes are no npy file"
