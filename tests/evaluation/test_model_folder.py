from gsv2.evaluation.model_folder import folder_identity


def test_an_identity_changes_with_the_files_and_not_with_the_place(tmp_path):
    identities = []
    for place, size in (("a", 3), ("b", 3), ("c", 4)):
        folder = tmp_path / place / "base"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes(size))
        identities.append(folder_identity("whisper", folder))
    assert identities[0] == identities[1] != identities[2]
    assert identities[0].startswith("whisper base ")
