"""A hub on this machine: answers what the client of the Hugging Face hub asks, and refuses as the real one does.

Answers were written after what huggingface_hub 2.4 asks and reads (https://github.com/huggingface/huggingface_hub):
`/<repo>/resolve/<main or commit>/<file>`, `/api/models/<repo>/revision/main` and `/api/models/<repo>/tree/<commit>`,
and the same of datasets.  Files in `lfs` are redirected to `/cdn/`; `plain` is any other web server, at `/plain/`.
"""

import hashlib
import json
import re
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

COMMIT = "c0ffee" + 34 * "0"
REFUSALS = {
    "gated": (403, "GatedRepo", "Access to this model is restricted and you are not in the authorized list."),
    "no such repository": (401, "RepoNotFound", "Repository not found"),
    "no such file": (404, "EntryNotFound", "Entry not found"),
    "no such revision": (404, "RevisionNotFound", "Invalid rev id"),
    "bad token": (401, None, "Invalid credentials in Authorization header"),
    "broken": (500, None, "Internal Error"),
}
"""What may go wrong -> status, X-Error-Code and X-Error-Message."""


class FakeHub(ThreadingHTTPServer):
    """Serves repositories of bytes on a free port of the loopback address."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, dict[str, bytes]] = {}
        self.refusals: dict[str, str] = {}
        """Repository -> a key of REFUSALS."""
        self.cuts: dict[str, int | None] = {}
        """File -> how many times its connection breaks half-way; None: every time."""
        self.lfs: set[str] = set()
        """Files whose checksum is listed, and whose bytes come from elsewhere."""
        self.sums: dict[str, str] = {}
        """File -> a checksum to list in place of its own."""
        self.plain: dict[str, bytes] = {}
        """What the other web server holds."""
        self.ignores_ranges = False
        """Whether the other web server sends all of a file whatever is asked for."""
        self.busy = 0
        """How many times a file is answered by 503 before it is sent."""
        self.num_sent: dict[str, int] = {}
        """Bytes that went out, by file."""
        self.tokens: list[str | None] = []
        """Authorization of the requests to `/cdn/` and `/plain/`."""
        self.own_tokens: list[str | None] = []
        """Authorization of the requests to the hub itself."""
        self.asked: list[str] = []
        """Requests for something of a repository, in order, as `GET /path`."""

    def publish(self, repo, folder: Path):
        """Hold the files of a folder as those of a repository."""
        self.repos[repo] = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}

    def fetched(self):
        """Names of the files whose bytes went out, in order."""
        found = [re.match("GET .*/resolve/[^/]+/(.+)", line) for line in self.asked]
        return [match[1] for match in found if match]


class _Handler(BaseHTTPRequestHandler):
    """One request; the connection is closed after each."""

    server: FakeHub
    timeout = 10

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = self.path.partition("?")[0]
        if path.startswith(("/plain/", "/cdn/")):
            return self.answer_elsewhere(path)
        found = re.fullmatch(rf"{ROOTS}/([^/]+/[^/]+)/(resolve|revision|tree)/(?:main|{COMMIT})/?(.*)", path)
        self.server.own_tokens.append(self.headers.get("Authorization"))
        repo, kind, rest = found.groups() if found else ("", "", "")
        if found:  # the client also asks, once, for what has nothing to do with files
            self.server.asked.append(f"{self.command} {path}")
        refusal = self.server.refusals.get(repo) if repo in self.server.repos else "no such repository"
        files = self.server.repos.get(repo, {})
        if refusal is None and kind == "resolve" and rest not in files:
            refusal = "no such file"
        if refusal == "gated" and kind != "resolve" and "/api/datasets/" in path:
            refusal = None  # anybody may see what there is
        if refusal is not None:
            self.refuse(*REFUSALS[refusal])
        elif kind == "resolve" and rest in self.server.lfs:
            other = self.server.url.replace("127.0.0.1", "localhost")
            self.send(b"", 302, {"Location": f"{other}/cdn/{repo}/{rest}", "X-Repo-Commit": COMMIT})
        elif kind == "resolve":
            self.send_file(rest, files[rest])
        elif kind == "revision":
            self.send(json.dumps({"id": repo, "sha": COMMIT, "siblings": []}).encode())
        else:
            self.send_tree(rest, files)

    def send_tree(self, folder, files):
        """Files below a folder; nothing there is as wrong as on the real hub."""
        below = {name: body for name, body in files.items() if not folder or name.startswith(f"{folder}/")}
        if folder and not below:
            return self.refuse(*REFUSALS["no such file"])
        self.send(json.dumps([self.entry(name, body) for name, body in below.items()]).encode())

    def entry(self, name, body):
        entry = {"type": "file", "path": name, "size": len(body), "oid": _etag(body)}
        if name in self.server.lfs:
            digest = self.server.sums.get(name, hashlib.sha256(body).hexdigest())
            entry["lfs"] = {"oid": digest, "size": len(body), "pointerSize": 134}
        return entry

    def answer_elsewhere(self, path):
        """Where large files come from, and any other web server."""
        self.server.asked.append(f"{self.command} {path}")
        self.server.tokens.append(self.headers.get("Authorization"))
        _, kind, name = path.split("/", 2)
        if kind == "cdn":
            owner, repo, name = name.split("/", 2)
        files = self.server.plain if kind == "plain" else self.server.repos[f"{owner}/{repo}"]
        if name in self.server.refusals:
            self.refuse(*REFUSALS[self.server.refusals[name]])
        elif name not in files:
            self.refuse(404, None, "Not Found")
        elif self.server.busy and self.command == "GET":
            self.server.busy -= 1
            self.refuse(503, None, "Slow down")
        else:
            self.send_file(name, files[name], ranges=not (kind == "plain" and self.server.ignores_ranges))

    def refuse(self, status, code, message):
        headers = {"X-Error-Message": message, **({} if code is None else {"X-Error-Code": code})}
        self.send(b"", status, {**headers, "X-Repo-Commit": COMMIT})

    def send_file(self, name, body, ranges=True):
        """All of a file, or from the byte on that the client asks for; half of it where the connection breaks."""
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-")) if ranges else 0
        if self.headers.get("If-Range") not in (None, f'"{_etag(body)}"'):
            begin = 0
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_etag(body)}"'}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        left = self.server.cuts.get(name, 0)
        until = None
        if self.command == "GET" and left != 0:
            self.server.cuts[name] = left and left - 1
            until = max(0, len(body) // 2 - begin)
        if self.command == "GET":
            self.server.num_sent[name] = self.server.num_sent.get(name, 0) + len(body[begin:][:until])
        self.send(body[begin:], 206 if begin else 200, headers, until=until)

    def send(self, body, status=200, headers=None, until=None):
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": len(body), **(headers or {})}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:until])

    def log_message(self, *args):
        """Say nothing: what was asked is in `asked`."""


ROOTS = "(?:/api/(?:models|datasets)|/datasets)?"


def _etag(body):
    return hashlib.sha1(body).hexdigest()


@contextmanager
def running_hub(monkeypatch, cache):
    """A hub that the client asks in place of the real one, with no waiting between attempts."""
    from huggingface_hub import close_session, file_download

    with FakeHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        point_client_at(monkeypatch, hub.url, cache)
        no_wait = SimpleNamespace(sleep=lambda seconds: None)
        monkeypatch.setattr(file_download, "time", no_wait)
        monkeypatch.setattr("huggingface_hub.utils._http.time", no_wait)
        yield hub
        hub.shutdown()
        thread.join(timeout=5)
        close_session()


def closed_port():
    """A port nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def point_client_at(monkeypatch, url, cache):
    """Make the client ask `url`; it reads the environment only when it is imported."""
    from huggingface_hub import close_session, constants

    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    settings = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": True,
        "HF_HUB_ETAG_TIMEOUT": 5,
        "HF_HUB_DOWNLOAD_TIMEOUT": 5,
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    close_session()  # a client made earlier keeps the proxies of its time
