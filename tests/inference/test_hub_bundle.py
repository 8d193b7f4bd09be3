import pytest

from gsv2.inference.hub_bundle import find_bundle, repository_of


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("me/tiny", "me/tiny"),
        ("hf://me/tiny-1.0_b", "me/tiny-1.0_b"),
        ("runs/quickstart/bundle", None),
        ("./me/tiny", None),
        ("../tiny", None),
        ("/me/tiny", None),
        ("bundle", None),
    ],
)
def test_a_name_of_two_words_is_a_repository(tmp_path, monkeypatch, name, repository):
    monkeypatch.chdir(tmp_path)
    assert repository_of(name) == repository


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me" / "tiny").mkdir(parents=True)
    assert repository_of("me/tiny") is None
    assert repository_of("hf://me/tiny") == "me/tiny"
    assert str(find_bundle("me/tiny")) == "me/tiny"
