"""The page in a real browser on loopback: what it shows, what it asks for, what it refuses."""

import json
import re

import numpy as np
import pytest
import soundfile

from gsv2.audio.marking import MARK, read_mark
from gsv2.serve.page import PAGE_PATHS
from gsv2.serve.voices import ServedVoice
from tests.serve.test_app import recording
from tests.support.browser import browser, find_browser
from tests.support.speech_server import ANNA, CARL, RATE, ToneSpeaker, serving

MARKED_UP = ServedVoice(id="marked_up", name="<em>Dora</em>", references=(300.0,))
in_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def speaker():
    return ToneSpeaker()


@pytest.fixture(scope="module")
def server(speaker):
    with serving(speaker, voices=(ANNA, CARL, MARKED_UP)) as server:
        yield server


@pytest.fixture(scope="module")
def tab():
    with browser() as tab:
        yield tab


@pytest.fixture
def page(tab, server):
    """The page, as it is when it has just been opened; it has broken no policy at the end."""
    tab.open(server.url)
    tab.wait_for("document.querySelectorAll('#voices li').length >= 3")
    yield tab
    others = [r["url"] for r in tab.requests if not r["url"].startswith((server.url, "blob:"))]
    assert [url for url in others if not url.startswith("data:")] == []
    assert [text for text in tab.complaints if "Content Security Policy" in text] == []


def speak(page, text):
    page.fill("#text", text)
    page.click("#speak")
    page.wait_for("!$('speak').disabled && $('error').textContent + $('status').textContent")


def asked(page):
    bodies = [r["postData"] for r in page.requests if r["url"].endswith("/v1/audio/speech")]
    return json.loads(bodies[-1])


def test_the_files_of_the_page_allow_no_script_and_no_address_but_their_own(server):
    with server.client() as http:
        for path in PAGE_PATHS:
            answer = http.get(path)
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"https?://|\bsrc=.?//| on\w+=|<style|style=", answer.text), path
        assert http.get("/docs").status_code == 404, "FastAPI's page fetches scripts from elsewhere"
        for path in ("/static/page.js", "/page.py", "/index.html.j2", "/..%2fpage.py"):
            assert http.get(path).status_code == 404


def test_the_page_of_another_site_may_not_post(server):
    with server.client() as http:
        headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
        asked = {"model": "m", "voice": "anna", "input": "one"}
        answer = http.post("/v1/audio/speech", json=asked, headers=headers)
        assert answer.status_code == 403
        headers["Sec-Fetch-Site"] = "same-origin"
        assert http.post("/v1/audio/speech", json=asked, headers=headers).status_code == 200


@in_browser
def test_a_text_is_spoken_drawn_and_timed(page, tmp_path):
    speak(page, "one two three four")
    assert "0.40 s of speech" in page.run("$('status').textContent"), page.run(
        "$('error').textContent"
    )
    words = page.run("[...document.querySelectorAll('#words button')].map((b) => b.innerText)")
    assert [word.split() for word in words] == [
        ["one", "0.00"],
        ["two", "0.10"],
        ["three", "0.20"],
        ["four", "0.30"],
    ]
    assert page.wait_for("$('player').duration") == pytest.approx(0.4, abs=0.001)
    file = page.download("#download", tmp_path)
    assert read_mark(file) == MARK
    wave, _ = soundfile.read(file)
    assert len(wave) == 0.4 * RATE
    assert np.abs(np.fft.rfft(wave)).argmax() * RATE / len(wave) == pytest.approx(200, abs=3)
    rows = "Math.max(...spectrogram.getContext('2d').getImageData(480, 0, 1, 240).data)"
    assert page.run(rows) == 255


@in_browser
def test_a_word_is_played_from_its_beginning(page):
    speak(page, "one two three four")
    page.wait_for("$('player').duration")
    page.click("#words button:nth-child(3)")
    page.wait_for("$('player').currentTime >= 0.2")


@in_browser
def test_sliders_are_weights(page):
    page.fill("#weight-anna", 0.7)
    page.fill("#weight-carl", 0.3)
    speak(page, "one")
    assert asked(page)["voice"] == "anna(0.7)+carl(0.3)"
    page.fill("#weight-anna", 0)
    speak(page, "one")
    assert asked(page)["voice"] == "carl"
    page.fill("#weight-carl", 0)
    speak(page, "one")
    assert "move a slider" in page.run("$('error').textContent")


@in_browser
def test_a_recording_becomes_a_voice_and_goes(page, tmp_path):
    (tmp_path / "eve.wav").write_bytes(recording())
    page.run("$('adding').open = true")
    page.choose_file("input[name=audio_sample]", tmp_path / "eve.wav")
    for name, value in {"name": "Eve", "text": "hello", "consent": "my own voice"}.items():
        page.fill(f"#upload [name={name}]", value)
    page.click("#upload button")
    page.wait_for("document.querySelectorAll('#voices li').length === 4")
    speak(page, "one")
    assert asked(page)["voice"].startswith("anna(1)+voice_"), "the new one is heard beside"
    page.click("#voices .remove")
    page.wait_for("document.querySelectorAll('#voices li').length === 3")


@in_browser
def test_what_the_server_refuses_is_shown_in_its_words(page, tmp_path):
    speak(page, "...")
    assert page.run("$('error').textContent") == "text must hold at least one letter or digit"
    (tmp_path / "noise.mp3").write_bytes(b"noise")
    page.run("$('adding').open = true")
    page.choose_file("input[name=audio_sample]", tmp_path / "noise.mp3")
    for name in ("name", "consent"):
        page.fill(f"#upload [name={name}]", "Noise")
    page.click("#upload button")
    page.wait_for("$('error').textContent.includes('cannot be read as audio')")


@in_browser
def test_warnings_are_shown(page):
    speak(page, "warn me")
    assert page.run("$('warnings').innerText") == "a warning"


@in_browser
def test_a_name_is_text_and_no_markup(page):
    assert (
        page.run("[...document.querySelectorAll('#voices label')].at(-1).textContent")
        == MARKED_UP.name
    )
    assert page.run("document.querySelectorAll('#voices em').length") == 0


@in_browser
def test_stop_ends_the_speech_on_the_server_too(page, speaker):
    speaker.stopped.clear()
    page.fill("#text", "endless")
    page.click("#speak")
    page.wait_for("!$('stop').disabled")
    page.click("#stop")
    assert speaker.stopped.wait(60)
    page.wait_for("!$('speak').disabled")
    assert page.run("$('error').textContent") == ""


@in_browser
def test_a_server_with_a_token_asks_for_it(tab):
    with serving(token="secret") as server:
        tab.open(server.url)
        tab.wait_for("$('error').textContent.includes('token')")
        assert tab.run("$('key').open")
        tab.fill("#token", "secret")
        tab.wait_for("document.querySelectorAll('#voices li').length === 1")
        speak(tab, "one")
        assert "0.10 s of speech" in tab.run("$('status').textContent")


@in_browser
def test_the_transform_is_that_of_numpy(page):
    wave = np.random.default_rng(0).standard_normal(4096)
    script = f"import('./spectrogram.js').then((m) => [...m.spectrum({wave.tolist()}, 2048)])"
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    expected = np.abs(np.fft.rfft(wave[1536:2560] * window))[:512] ** 2
    assert np.allclose(page.run(script), expected, rtol=1e-3, atol=1e-3)
