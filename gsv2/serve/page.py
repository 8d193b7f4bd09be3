"""Web page of the server: static files in the wheel, which ask no other address for anything."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES = ("index.html", "page.css", "page.js", "speech.js", "spectrogram.js")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src blob:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: no script but the page's own, no address but the server's own."""
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
PAGE_PATHS = frozenset({"/", *(f"/{name}" for name in _FILES)})
"""Paths of the page; they are open, since they tell nothing that the wheel does not."""


def add_page(app: FastAPI) -> None:
    """Serve the page at `/`, and its files beside it."""
    for name in _FILES:
        answer = _answer(name)
        app.add_api_route(f"/{name}", answer, methods=["GET"], include_in_schema=False)
        if name == "index.html":
            app.add_api_route("/", answer, methods=["GET"], include_in_schema=False)


def _answer(name: str) -> Callable[[], Response]:
    content = files("gsv2.serve").joinpath("static", name).read_bytes()
    media_type = _TYPES[name[name.index(".") :]]

    def answer() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return answer
