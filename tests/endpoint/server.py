"""A chat endpoint behind real HTTP on this machine, which answers by a rule and remembers what it was asked."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server sends."""

    content: str | None = "ok"
    """Text of the first choice."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent as it is, in place of a chat completion."""
    silent: bool = False
    """Close the connection without a word."""
    delay_s: float = 0.0
    usage: dict[str, int] | None = None
    """What it counts; None leaves it out."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # with the default of 5 a burst of connections waits a second


class ChatServer:
    """`rule(n, prompt)` gives the reply to request n, counted from 0; use it in a with statement."""

    def __init__(self, rule: Callable[[int, str], Reply | str]) -> None:
        self.rule = rule
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.overlap = 0
        """Most requests there were at one time."""
        self._running, self._lock = 0, threading.Lock()
        self._http = _Server(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def prompts(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.requests]

    def __enter__(self):
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            self.headers.append({**dict(handler.headers), "path": handler.path})
            self._running += 1
            self.overlap = max(self.overlap, self._running)
        try:
            self._send(handler, self.rule(number, request["messages"][-1]["content"]))
        finally:
            with self._lock:
                self._running -= 1

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply | str) -> None:
        reply = Reply(reply) if isinstance(reply, str) else reply
        time.sleep(reply.delay_s)
        if reply.silent:
            handler.close_connection = True
            return
        completion = {"choices": [{"message": {"role": "assistant", "content": reply.content}}]}
        completion |= {} if reply.usage is None else {"usage": reply.usage}
        body = json.dumps(completion).encode() if reply.body is None else reply.body
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                try:
                    server.answer(self)
                except OSError:  # the client went away, as after its timeout
                    self.close_connection = True

            def log_message(self, *args):
                pass

        return Handler
