"""A Hugging Face Hub on loopback, as far as a model's push and its download ask for one."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

import yaml

COMMIT = "a" * 40


class _Hub(BaseHTTPRequestHandler):
    repositories: ClassVar[dict[str, dict[str, bytes]]]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self._body()
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.repositories.setdefault(name, {})
            self._say({"url": f"{self._root()}/{name}", "name": name, "id": name})
        elif path == "/api/validate-yaml":
            metadata = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            self._say({"errors": [] if metadata["library_name"] else ["none"], "warnings": []})
        elif path.endswith("/preupload/main"):
            named = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular"} for f in named]
            self._say({"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        elif path.endswith("/commit/main"):
            files = self.repositories[self._name(path)]
            for line in body.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
                elif said["key"] == "deletedFile":
                    del files[said["value"]["path"]]
            url = f"{self._root()}/{self._name(path)}/commit/{COMMIT}"
            self._say({"commitUrl": url, "commitOid": COMMIT, "success": True})
        else:
            self._say({"error": path}, 404)

    def do_GET(self, *, with_body: bool = True) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[:2] == ["api", "whoami-v2"]:
            self._say({"name": "me", "type": "user"})
        elif parts[0] == "api":
            name = "/".join(parts[2:4])
            if name not in self.repositories:
                self._say({"error": "no such repository"}, 404, {"X-Error-Code": "RepoNotFound"})
                return
            files = self.repositories[name]
            siblings = [{"rfilename": file} for file in files]
            tree = [
                {"type": "file", "path": f, "size": len(c), "oid": "0"} for f, c in files.items()
            ]
            info = {"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            self._say(tree if "tree" in parts else info)
        else:
            content = self.repositories["/".join(parts[:2])].get("/".join(parts[4:]))
            if content is None:
                self._say({}, 404, {"X-Error-Code": "EntryNotFound"})
                return
            tag = hashlib.sha256(content).hexdigest()
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}
            self._send(content if with_body else b"", 200, headers, len(content))

    def do_HEAD(self) -> None:
        self.do_GET(with_body=False)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _root(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _name(self, path: str) -> str:
        return "/".join(path.split("/")[3:5])

    def _say(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, headers or {})

    def _send(
        self, content: bytes, status: int, headers: dict[str, str], length: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def hub() -> Iterator[tuple[str, dict[str, dict[str, bytes]]]]:
    """Serve a hub; gives its address, and repository -> file -> content."""
    repositories: dict[str, dict[str, bytes]] = {}
    handler = type("Hub", (_Hub,), {"repositories": repositories})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", repositories
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
