"""One HTTP endpoint that takes JSON: a request, its answer, and how long to hold back when it is busy.

The key travels in one header.  It stands in no message, no answer handed on, and is not sent on to another host.
"""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from threading import Event, Lock
from typing import Any
from urllib.parse import urlsplit

from merv.errors import ConfigError

LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Answer:
    """What an endpoint answered; status 0 when nothing came."""

    status: int
    text: str = ""
    """The body, or why there is none."""
    retry_after_s: float | None = None
    """Seconds the endpoint asks to wait."""

    @property
    def values(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):  # numbers of thousands of digits are JSON and no number
            return None

    @property
    def error(self) -> Mapping[str, Any]:
        """The error object of an OpenAI-compatible endpoint; empty when there is none."""
        values = self.values
        error = values.get("error") if isinstance(values, dict) else None
        return error if isinstance(error, dict) else {"message": error} if isinstance(error, str) else {}


class Endpoint:
    """Where requests go."""

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        """Talk to `url`; the name of its host is all that messages tell of it."""
        self.host = urlsplit(url).hostname or ""
        self._url, self._key, self._timeout_s = url, key, timeout_s
        # Proxies of the environment serve other hosts; this machine needs none.
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if self.host in LOCAL:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def post(self, values: Mapping[str, Any]) -> Answer:
        """Send JSON and give what comes back, whatever it is; each wait for bytes ends after the timeout."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "merv"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, json.dumps(values).encode(), headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return self._read(response)
        except urllib.error.HTTPError as error:
            return self._refused(error)
        except (OSError, HTTPException) as error:
            return Answer(0, self._reason(error))

    def _refused(self, error: urllib.error.HTTPError) -> Answer:
        try:
            with error:
                return self._read(error)
        except (OSError, HTTPException):
            return Answer(error.code)

    def _read(self, response: Any) -> Answer:
        text = response.read().decode("utf-8", "replace")
        return Answer(response.status, self._clean(text), _retry_after_s(response.headers.get("Retry-After")))

    def _reason(self, error: Exception) -> str:
        cause = getattr(error, "reason", error)  # urllib wraps what went wrong before there was an answer
        if isinstance(cause, TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        return self._clean(" ".join(str(reason).split()))

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


class Gate:
    """Holds all threads back while the endpoint asks for patience."""

    def __init__(self) -> None:
        self._open_at, self._lock = 0.0, Lock()

    def close_for(self, seconds: float) -> bool:
        """Let nobody through for so long; gives whether the gate was open before, so that a pause begins."""
        with self._lock:
            now = time.monotonic()
            was_open = self._open_at <= now
            self._open_at = max(self._open_at, now + seconds)
        return was_open

    def wait(self, stop: Event) -> None:
        """Return when the gate is open or `stop` is set."""
        while not stop.is_set() and (left := self._open_at - time.monotonic()) > 0:
            stop.wait(left)


def check_url(url: str, option: str) -> None:
    """Refuse what is no address of an API, before hours of answering; `option` is what messages call it.

    Raises:
        ConfigError: it is not http(s), or carries a user, a password or a query, which belong in no config.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isascii()
        extra = parts.username is not None or parts.password is not None or parts.query or parts.fragment
    except ValueError:
        good, extra = False, ""
    if extra:
        raise ConfigError(f"{option} holds more than an address; write it as https://host/v1, the key elsewhere")
    if not good:
        raise ConfigError(f"{option} `{url}` is no http(s) address; write it as https://host/v1")


def check_key_name(name: str) -> None:
    """Refuse a key in the place of the name of its variable, which configs and reports show; the message does not.

    Raises:
        ConfigError: it holds other characters than the names of environment variables.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError(
            "api_key_env is no name of an environment variable (letters, digits and _); put the key into a variable, "
            "and the variable's name here"
        )


def check_key(key: str, name: str) -> None:
    """Refuse a key that no header can carry; the message does not show it.

    Raises:
        ConfigError: it holds spaces or other characters than printable ASCII.
    """
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"the key in {name} holds characters that no key has; set it again, without line breaks")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect as an answer: following it would hand the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _retry_after_s(header: str | None) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
