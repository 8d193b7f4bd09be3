import httpx
import pytest
import torch

from gsv2.inference.references import load_reference
from gsv2.inference.synthesizer import Synthesizer
from gsv2.serve.loopback import serve_on_loopback


def test_a_voice_is_served_until_the_end_of_the_block(tiny_bundle, voice):
    synthesizer = Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))
    references = synthesizer.enroll([load_reference(voice, "a voice")])
    asked = {"model": "-", "voice": "one", "input": "One.", "response_format": "pcm"}
    with serve_on_loopback(synthesizer, "one", references) as port:
        url = f"http://127.0.0.1:{port}/v1/audio/speech"
        answer = httpx.post(url, json=asked, timeout=60)
        assert answer.status_code == 200
        assert len(answer.content) > 1000
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, json=asked)
