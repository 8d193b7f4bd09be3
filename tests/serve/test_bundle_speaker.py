"""A bundle behind the server, as `gsv2 serve` puts it there."""

import pytest
import torch
from openai import APIStatusError, OpenAI

from gsv2.commands.serve import load_voices
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.serve.bundle_speaker import BundleSpeaker
from tests.support.speech_server import serving

SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)


@pytest.fixture(scope="module")
def speaker(tiny_bundle):
    return BundleSpeaker(Synthesizer.from_bundle(tiny_bundle, torch.device("cpu")), SHORT)


def test_a_bundle_speaks_in_a_named_and_in_an_uploaded_voice(speaker, voice, tmp_path):
    content = voice.read_bytes()
    (tmp_path / "anna.wav").write_bytes(content)
    (tmp_path / "anna.txt").write_text("a voice")
    voices = list(load_voices([tmp_path], speaker))
    with serving(speaker, voices) as server:
        with OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as client:
            asked = {"model": "any", "input": "One. Two.", "response_format": "pcm"}
            client.audio.voices.create(
                name="Ben", audio_sample=content, consent="-", extra_body={"text": "a voice"}
            )
            named, sent = (
                client.audio.speech.create(voice=name, **asked).content for name in ("anna", "ben")
            )
            with pytest.raises(APIStatusError, match="speaks at speed 1 alone") as caught:
                client.audio.speech.create(voice="anna", speed=2, **asked)
    assert caught.value.status_code == 400
    assert named == sent
    assert len(named) > 0.2 * 24_000 * 2  # the pause between the sentences


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "does not exist"),
        (["a.txt"], "holds no recording"),
        (["a.wav", "A.flac"], "would both be the voice"),
        (["noise.mp3"], "cannot be read as audio"),
    ],
)
def test_what_gives_no_voice_is_named(speaker, voice, tmp_path, files, message):
    for name in files:
        content = b"noise" if name == "noise.mp3" else voice.read_bytes()
        (tmp_path / name).write_bytes(content)
    folder = tmp_path if files else tmp_path / "nowhere"
    with pytest.raises(ValueError, match=message):
        list(load_voices([folder], speaker))
