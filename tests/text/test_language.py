import pytest

from gsv2.text.language import LanguageError, canonical_language


@pytest.mark.parametrize(
    ("label", "tag"),
    [("en", "en"), ("EN", "en"), (" eng ", "en"), ("zh_CN", "zh-CN"), ("zh-cn", "zh-CN"),
     ("cmn", "zh"), ("yue", "yue"), ("ZH-hant", "zh-Hant"), ("pt_BR", "pt-BR"), ("ger", "de"),
     ("mul", "mul"), ("und", "und"), ("en-x-anna", "en-x-anna")],
)  # fmt: skip
def test_labels_of_one_language_are_one_tag(label, tag):
    assert canonical_language(label) == tag
    assert canonical_language(tag) == tag


@pytest.mark.parametrize(
    "label",
    ["103", "anna", "bert", "english", "train", "", "..", "../en", "en/US", "jp", "session1"],
)
def test_what_cannot_be_a_language_is_refused_by_name(label):
    with pytest.raises(LanguageError, match="BCP 47") as error:
        canonical_language(label)
    assert repr(label) in str(error.value)
