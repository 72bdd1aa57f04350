"""A model behind an OpenAI-compatible /chat/completions endpoint: OpenAI itself, vLLM, llama.cpp, Ollama, others.

Patient where the endpoint is busy or broken for a while; one clear line where only a user can help.  The line names
the options of whoever asks, which `Naming` holds.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

from merv.endpoint.endpoint import Answer, Endpoint, Gate, check_key
from merv.endpoint.usage import Usage
from merv.errors import ConfigError, RunStopped

log = logging.getLogger(__name__)

OPENAI = "api.openai.com"
MAX_WAIT_S = 120.0
"""Longest pause before the next attempt; an endpoint that asks for more is left for later."""
TOO_MANY = 429
BUSY = (408, 409, 425, TOO_MANY)
REFUSED_PROMPTS = ("content_filter", "content_policy_violation", "invalid_prompt", "context_length_exceeded")
"""Error codes that are about one prompt, not about the request."""


@dataclass(frozen=True)
class Prompt:
    """A system and a user message."""

    system: str
    user: str

    @property
    def text(self) -> str:
        """Both, for a model that takes one text."""
        return f"{self.system}\n\n{self.user}".strip()

    @property
    def messages(self) -> list[dict[str, str]]:
        """Both, as an endpoint takes them."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.user}]


@dataclass(frozen=True)
class ChatReply:
    """What a model replied; the text of a refused prompt is empty."""

    text: str
    usage: Usage | None = None
    """None where the endpoint did not count tokens."""


@dataclass(frozen=True)
class Access:
    """How to get at a model, and for how long to try."""

    base_url: str
    """Address that /chat/completions follows."""
    model: str
    key_env: str
    """Environment variable that holds the key; an endpoint of your own may need none."""
    timeout_s: float = 60.0
    """Seconds to wait for an answer."""
    backoff_s: float = 1.0
    """Seconds before the second attempt; each further one waits twice as long."""
    max_attempts: int = 5
    """Times one reply is asked for while the endpoint is busy or broken."""


@dataclass(frozen=True)
class Naming:
    """What messages call the model and the options that mend a refusal."""

    who: str
    base_url: str
    model: str
    options: str


class ChatClient:
    """Asks one model; several threads may ask at once, and all hold back while the endpoint asks for patience."""

    def __init__(self, access: Access, naming: Naming) -> None:
        """Take the key from the environment; nothing is sent.

        Raises:
            ConfigError: OpenAI is to be asked and there is no key, or it is none.
        """
        key = os.environ.get(access.key_env, "").strip()
        check_key(key, access.key_env)
        url = access.base_url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        self.access, self.naming = access, naming
        self.endpoint, self.gate = Endpoint(url, key or None, access.timeout_s), Gate()
        self._answered = 0
        """Requests that got a reply; it tells a busy endpoint from one that takes nothing more."""
        self.name = f"{naming.who} `{access.model}` at {self.endpoint.host}"
        if not key and self.endpoint.host == OPENAI:
            raise ConfigError(
                f"the {naming.who} at {OPENAI} needs a key and {access.key_env} is not set; set it, or name an "
                f"endpoint of your own with {naming.base_url}"
            )

    def reply(self, prompt: Prompt, stop: Event, **options: Any) -> ChatReply | None:
        """A reply to one prompt; None when `stop` is set, or something came that is no chat completion.

        Args:
            prompt: what is asked.
            stop: set when nobody waits any more.
            options: fields of the request beside model and messages, such as temperature; None leaves one out.

        Raises:
            RunStopped: the endpoint was busy or broken at every attempt, or has no quota left.
            ConfigError: it refuses the key, the model or the request.
        """
        request = {**self.request(options), "messages": prompt.messages}
        attempt, others = 0, self._answered
        while attempt < self.access.max_attempts:
            self.gate.wait(stop)
            if stop.is_set():
                return None
            answer = self.endpoint.post(request)
            if 200 <= answer.status < 300:
                self._answered += 1
                return _completion(answer)
            if answer.status == TOO_MANY and others != self._answered:
                attempt, others = 0, self._answered  # it answers, only not this one yet
            if answer.error.get("code") in REFUSED_PROMPTS:
                return ChatReply("")
            if not _may_recover(answer):
                raise self._refusal(answer)
            self._hold_back(answer, attempt)
            attempt += 1
        raise RunStopped(f"{self.name} does not answer after {self.access.max_attempts} attempts: {_said(answer)}")

    def request(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Model and options as they are sent: what decides a reply beside the prompt."""
        return {"model": self.access.model, **{name: value for name, value in options.items() if value is not None}}

    def _hold_back(self, answer: Answer, attempt: int) -> None:
        """Close the gate for as long as the endpoint asks, or twice as long as before; one thread a pause says so.

        Raises:
            RunStopped: that is too long.
        """
        if answer.error.get("code") == "insufficient_quota":
            raise RunStopped(f"{self.name} has no quota left (429)")
        asked = answer.retry_after_s
        if asked is not None and asked > MAX_WAIT_S:
            raise RunStopped(f"{self.name} asks to come back in {asked:.0f} s ({answer.status})")
        backoff = min(self.access.backoff_s * 2**attempt, MAX_WAIT_S)
        pause = backoff if asked is None else asked
        if attempt + 1 < self.access.max_attempts and self.gate.close_for(pause):
            log.warning("%s: %s; next attempt in %.3g s", self.name, _said(answer), pause)

    def _refusal(self, answer: Answer) -> ConfigError:
        """What the user has to change; an answer about the key is not repeated."""
        key, named = self.access.key_env, self.naming
        remedies = {
            401: f"refuses the key in {key}; set a valid one",
            403: f"forbids this with the key in {key}; use one that may",
            404: f"does not know this model or address; see {named.model} and {named.base_url}, which mostly ends in "
            "/v1",
        }
        if remedy := remedies.get(answer.status):
            return ConfigError(f"{self.name} {remedy} ({answer.status})")
        if 300 <= answer.status < 400:
            return ConfigError(
                f"{self.name} sends requests elsewhere; set {named.base_url} to there ({answer.status})"
            )
        return ConfigError(f"{self.name} refuses the request: {_said(answer)}; see {named.options}")


def _may_recover(answer: Answer) -> bool:
    return answer.status == 0 or answer.status >= 500 or answer.status in BUSY


def _completion(answer: Answer) -> ChatReply | None:
    """The first choice, its text empty where the model gave none; None when this is no chat completion."""
    values = answer.values
    try:
        content = values["choices"][0]["message"].get("content")
    except (TypeError, KeyError, IndexError, AttributeError):
        return None
    return ChatReply(content if isinstance(content, str) else "", _usage(values.get("usage")))


def _usage(found: Any) -> Usage | None:
    counts = [found.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(found, dict) else []
    whole = [count for count in counts if type(count) is int and count >= 0]
    return Usage(*whole) if len(whole) == 2 else None


def _said(answer: Answer) -> str:
    """A failure in a few words."""
    if answer.status == 0:
        return answer.text
    message = " ".join(str(answer.error.get("message", "")).split())[:200]
    return f"{message} ({answer.status})" if message else f"status {answer.status}"
