"""Recordings and voice files, side by side."""

import pytest
import torch

from gsv2.inference.references import VoiceError, load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.voice_file import VoiceFile, VoiceNotes, save_voice
from gsv2.inference.voice_sources import load_voices

SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle):
    return Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))


def test_recordings_and_voices_are_weighed_side_by_side(synthesizer, voice, tmp_path):
    paths = [tmp_path / f"{name}.voice.safetensors" for name in ("anna", "ben")]
    for path, count in zip(paths, (2, 1), strict=True):
        enrolled = tuple(synthesizer.enroll([load_reference(voice, "a voice")] * count))
        notes = VoiceNotes(name=path.stem, licence="CC0-1.0", consent="hers, by letter")
        origin = synthesizer.enroller.hashes
        save_voice(path, VoiceFile(notes=notes, origin=origin, references=enrolled))
    found = load_voices([voice, *paths], ["a voice"], [2.0, 1.0, 0.0])
    assert [reference.weight for reference in found] == [2.0, 0.5, 0.5, 0.0]
    with pytest.raises(VoiceError, match=r"one ref-text a recording \(1\) or none"):
        load_voices([voice, *paths], ["one", "two"])
    assert len(synthesizer.synthesize("One.", found, sampling=SHORT).wave) > 0
