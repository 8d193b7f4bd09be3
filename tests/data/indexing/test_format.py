import pytest

from gsv2.data.indexing.format import ArchiveFormat


def test_only_members_of_known_suffixes_are_read():
    form = ArchiveFormat(audio_suffixes=("wav",), codes_suffix="")
    assert form.suffixes == {"wav", "json", "txt"}
    assert not ArchiveFormat().suffixes & {"pkl", "pyd", "pth", "npy"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speaker_pattern": "("}, "is no regular expression"),
        ({"recording_pattern": "a+"}, "must have a group"),
        ({"language": "e n"}, "must be a tag like en"),
        ({"audio_suffixes": ()}, "must not be empty"),
    ],
)
def test_a_format_checks_its_values(options, message):
    with pytest.raises(ValueError, match=message):
        ArchiveFormat(**options)
