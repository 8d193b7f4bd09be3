"""An HTTP server on loopback that serves a folder, and fails in the ways that real ones do."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_CHUNK = 16 << 10


@dataclass
class Behaviour:
    """How the server behaves; tests change it at any time. Counters run down to 0."""

    ranges: bool = True
    """Whether range requests are answered as such."""
    failures: int = 0
    """Requests that get `failure_status` first."""
    failure_status: int = 503
    retry_after: str | None = None
    """Header of those answers."""
    cut_at: int | None = None
    """Byte of a file at which the connection is cut."""
    cut_step: int = 0
    """Bytes that the next cut lies further on."""
    cuts: int = 0
    """How often."""
    stall_at: int | None = None
    """Byte of a file at which nothing comes any more."""
    stalls: int = 0
    stall_sec: float = 5.0
    chunk_delay_sec: float = 0.0
    """Wait after every chunk."""
    chunk_bytes: int = _CHUNK
    endless: bool = False
    """Whether a file begins again at its end, without a size."""
    extra_length: int = 0
    """Added to the size that is announced."""
    etag: str | None = '"1"'
    content_length: bool = True
    """Whether the size is announced at all."""
    chunked: bool = False
    """Whether the content comes in chunks, instead of by its size."""
    only: str = ""
    """Part of the path of the files that all of this applies to."""


@dataclass
class FolderServer:
    """A running server."""

    url: str
    root: Path
    """Folder that is served."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    requests: Counter[str] = field(default_factory=Counter)
    """Path -> requests."""
    served: Counter[str] = field(default_factory=Counter)
    """Path -> bytes of content written."""
    queries: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    """`Range` headers."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def served_of(self, suffix: str) -> int:
        """Return the bytes of all files whose path ends so."""
        return sum(count for path, count in self.served.items() if path.endswith(suffix))

    def take(self, counter: str) -> bool:
        """Count a fault down; tell whether it is still due."""
        with self.lock:
            left = getattr(self.behaviour, counter)
            setattr(self.behaviour, counter, max(left - 1, 0))
            return left > 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FolderServer
    root: Path
    _chunked = False

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = unquote(parts.path).lstrip("/")
        state = self.state
        behaviour = state.behaviour if state.behaviour.only in name else Behaviour()
        with state.lock:
            state.requests[name] += 1
            state.queries.append(parts.query)
        if behaviour is state.behaviour and state.take("failures"):
            self._answer(behaviour.failure_status, {"Retry-After": behaviour.retry_after})
            return
        path = self.root / name
        if not path.is_file():
            self._answer(404, {})
            return
        self._send(name, path.read_bytes(), behaviour)

    def _send(self, name: str, content: bytes, behaviour: Behaviour) -> None:
        start, size = 0, len(content) + behaviour.extra_length
        headers = {"ETag": behaviour.etag}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked:
            self.state.ranges.append(self.headers["Range"])
        if behaviour.ranges:
            headers["Accept-Ranges"] = "bytes"
        if asked and behaviour.ranges:
            start = int(asked[1])
            if start >= len(content):
                self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.send_response(206 if "Content-Range" in headers else 200)
        if behaviour.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif behaviour.content_length:
            headers["Content-Length"] = str(size - start)
        else:
            headers["Connection"] = "close"
            self.close_connection = True
        self._send_headers(headers)
        self._chunked = behaviour.chunked
        self._send_body(name, content, start, behaviour)
        if self._chunked and not self.close_connection:
            self.wfile.write(b"0\r\n\r\n")
        if behaviour.extra_length:
            self.close_connection = True

    def _send_body(self, name: str, content: bytes, start: int, behaviour: Behaviour) -> None:
        state = self.state
        position = start
        while position < len(content) and not state.stopped.is_set():
            stop = min(position + behaviour.chunk_bytes, len(content))
            for place, counter in ((behaviour.cut_at, "cuts"), (behaviour.stall_at, "stalls")):
                if place is None or not position <= place < stop or not state.take(counter):
                    continue
                if place > position:
                    self._write(name, content[position:place])
                if counter == "stalls":
                    state.stopped.wait(behaviour.stall_sec)
                else:
                    behaviour.cut_at = place + behaviour.cut_step
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if not self._write(name, content[position:stop]):
                return
            position = 0 if behaviour.endless and stop == len(content) else stop
            if behaviour.chunk_delay_sec:
                time.sleep(behaviour.chunk_delay_sec)

    def _write(self, name: str, chunk: bytes) -> bool:
        try:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
        except OSError:  # the client is gone
            self.close_connection = True
            return False
        with self.state.lock:
            self.state.served[name] += len(chunk)
        return True

    def _answer(self, status: int, headers: dict[str, str | None]) -> None:
        self.send_response(status)
        self._send_headers({**headers, "Content-Length": "0"})

    def _send_headers(self, headers: dict[str, str | None]) -> None:
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHUNK)  # count what is read
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error."""


@contextmanager
def serve_folder(root: Path) -> Iterator[FolderServer]:
    """Serve a folder until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    state = FolderServer(url=f"http://127.0.0.1:{server.server_address[1]}", root=root)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"state": state, "root": root})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        state.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
