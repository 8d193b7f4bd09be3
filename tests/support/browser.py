"""Headless Chromium on loopback, by its DevTools protocol over a pipe; no driver, no profile."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
    "--no-proxy-server --disable-background-networking --disable-component-update --mute-audio "
    "--autoplay-policy=no-user-gesture-required --remote-debugging-pipe"
)
PATIENCE_SEC = 120


def find_browser() -> str | None:
    """Return the program; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab, with what it has asked for and what it has complained of."""

    def __init__(self, process: subprocess.Popen[bytes], read: int, write: int) -> None:
        self.requests: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._process = process
        self._read, self._write = read, write
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank", width=1100, height=900)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, url: str) -> None:
        """Open a page anew."""
        self.requests.clear()
        self.complaints.clear()
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of an expression, or of its promise; `$(id)` is an element."""
        whole = f"(() => {{ const $ = (id) => document.getElementById(id); return ({script}); }})()"
        wanted = {"awaitPromise": True, "returnByValue": True}
        found = self.call("Runtime.evaluate", expression=whole, **wanted)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Wait until an expression is true, and return it."""
        until = time.monotonic() + PATIENCE_SEC
        while not (value := self.run(script)):
            shown = self.run("document.body?.innerText")
            assert time.monotonic() < until, f"{script} stays false; {self.complaints}; {shown}"
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        """Click where an element is, as a mouse does."""
        quoted = json.dumps(selector)
        self.run(f"document.querySelector({quoted}).scrollIntoView({{block: 'center'}})")
        x, y = self.run(
            f"(() => {{ const box = document.querySelector({quoted}).getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            at = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **at)

    def fill(self, selector: str, value: object) -> None:
        """Give a field a value, as a person does who has ended."""
        self.run(
            f"(() => {{ const field = document.querySelector({json.dumps(selector)});"
            f"field.value = {json.dumps(str(value))};"
            "for (const kind of ['input', 'change'])"
            "field.dispatchEvent(new Event(kind, {bubbles: true})); })()"
        )

    def choose_file(self, selector: str, file: Path) -> None:
        """Put a file into a field for files."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def download(self, selector: str, folder: Path) -> Path:
        """Click on a link, and return the file that it gives."""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self.click(selector)
        until = time.monotonic() + PATIENCE_SEC
        while not (found := [f for f in folder.iterdir() if not f.name.endswith(".crdownload")]):
            assert time.monotonic() < until, f"{selector} gives no file"
            time.sleep(0.05)
        return found[0]

    def picture(self, path: Path) -> None:
        """Write a picture of the page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {**size, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._read, 1 << 16)
            assert piece, f"the browser ended with {self._process.poll()}"
            self._rest += piece
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"])
            case "Log.entryAdded":
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))


@contextmanager
def browser() -> Iterator[Page]:
    """Run a browser until the end of the block; gives its page."""
    program = find_browser()
    assert program is not None, "the test is skipped without a browser"
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = f"{shlex.quote(program)} {FLAGS} --user-data-dir={shlex.quote(profile)}"
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command} 3<&{to_read} 4>&{from_write}"],
            pass_fds=(to_read, from_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_write)
        try:
            yield Page(process, from_read, to_write)
        finally:
            process.terminate()
            process.wait(60)
            os.close(from_read)
            os.close(to_write)
