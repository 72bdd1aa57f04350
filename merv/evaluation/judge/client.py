"""A judge behind an OpenAI-compatible /chat/completions endpoint: OpenAI itself, vLLM, llama.cpp, Ollama, others."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from merv.errors import ConfigError, RunStopped
from merv.evaluation.judge.config import Judge, JudgeConfig
from merv.evaluation.judge.endpoint import Answer, Endpoint, Gate, check_key, check_url
from merv.evaluation.judge.prompts import Prompt

OPENAI = "api.openai.com"
MAX_WAIT_S = 120.0
"""Longest pause before the next attempt; an endpoint that asks for more is left for later."""
BUSY = (408, 409, 425, 429)
REFUSED_PROMPTS = ("content_filter", "content_policy_violation", "invalid_prompt", "context_length_exceeded")
"""Error codes that are about one prompt, not about the request."""


@JudgeConfig.register_subclass("openai")
@dataclass
class OpenAIJudgeConfig(JudgeConfig):
    """A model behind an OpenAI-compatible endpoint; the key comes from the environment."""

    base_url: str = "https://api.openai.com/v1"
    """Address that /chat/completions follows."""
    model: str = "gpt-4o-mini-2024-07-18"
    """Model of the endpoint, the one of MERV's scripts/eval_gpt.py; name a dated one, others change."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; an endpoint of your own may need none."""
    temperature: float | None = 0.0
    """Temperature of the judge; None leaves it to the endpoint."""
    max_tokens: int | None = 500
    """Longest reply in tokens; None leaves it to the endpoint, as reasoning models need it."""
    concurrency: int = 8
    """Requests at a time."""
    timeout_s: float = 60.0
    """Seconds to wait for an answer."""
    backoff_s: float = 1.0
    """Seconds before the second attempt at a busy or broken endpoint; each further one waits twice as long."""

    def __post_init__(self) -> None:
        """Refuse an address that is none, and numbers that make no sense."""
        super().__post_init__()
        check_url(self.base_url)
        if self.concurrency < 1 or not self.timeout_s > 0 or not self.backoff_s >= 0:
            raise ConfigError(
                f"judge concurrency {self.concurrency} must be at least 1, timeout_s {self.timeout_s:g} above 0, "
                f"backoff_s {self.backoff_s:g} at least 0"
            )

    def build(self) -> "OpenAIJudge":
        """The judge, with the key of the environment.

        Raises:
            ConfigError: OpenAI is to be asked and there is no key, or it is none.
        """
        key = os.environ.get(self.api_key_env, "").strip()
        check_key(key, self.api_key_env)
        url = self.base_url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        endpoint = Endpoint(url, key or None, self.timeout_s)
        if not key and endpoint.host == OPENAI:
            raise ConfigError(
                f"the judge at {OPENAI} needs a key and {self.api_key_env} is not set; set it, or name an endpoint of "
                "your own with judge.base_url"
            )
        return OpenAIJudge(self, endpoint)


class OpenAIJudge(Judge):
    """Asks an endpoint, patiently where it is busy."""

    def __init__(self, config: OpenAIJudgeConfig, endpoint: Endpoint) -> None:
        """Ask `endpoint` as `config` says."""
        self.config, self.endpoint, self.gate = config, endpoint, Gate()
        self.concurrency = config.concurrency
        self.name = f"judge `{config.model}` at {endpoint.host}"

    def identity(self) -> dict[str, Any]:
        """The whole address, for behind another one may be another model of the same name; and the options."""
        return {"type": "openai", "base_url": self.config.base_url.rstrip("/"), **self._options()}

    def describe(self) -> dict[str, Any]:
        """Host, model and options."""
        return {"type": "openai", "host": self.endpoint.host, **self._options()}

    def replies(self, prompts: Sequence[Prompt], stop: Event) -> list[str | None]:
        """A reply to each prompt; a refused prompt has an empty one.

        Raises:
            RunStopped: the endpoint was busy or broken at every attempt, or has no quota left.
            ConfigError: it refuses the key, the model or the request.
        """
        return [self._reply(prompt, stop) for prompt in prompts]

    def _options(self) -> dict[str, Any]:
        given = {"temperature": self.config.temperature, "max_tokens": self.config.max_tokens}
        return {"model": self.config.model, **{name: value for name, value in given.items() if value is not None}}

    def _reply(self, prompt: Prompt, stop: Event) -> str | None:
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        request = {**self._options(), "messages": [*messages, {"role": "user", "content": prompt.user}]}
        for attempt in range(self.config.max_attempts):
            self.gate.wait(stop)
            if stop.is_set():
                return None
            answer = self.endpoint.post(request)
            if 200 <= answer.status < 300:
                return _content(answer)
            if answer.error.get("code") in REFUSED_PROMPTS:
                return ""
            if not self._may_recover(answer):
                raise self._refusal(answer)
            self._hold_back(answer, attempt)
        raise RunStopped(f"{self.name} does not answer after {self.config.max_attempts} attempts: {_said(answer)}")

    @staticmethod
    def _may_recover(answer: Answer) -> bool:
        return answer.status == 0 or answer.status >= 500 or answer.status in BUSY

    def _hold_back(self, answer: Answer, attempt: int) -> None:
        """Close the gate for as long as the endpoint asks, or twice as long as before.

        Raises:
            RunStopped: that is too long.
        """
        if answer.error.get("code") == "insufficient_quota":
            raise RunStopped(f"{self.name} has no quota left (429)")
        asked = answer.retry_after_s
        if asked is not None and asked > MAX_WAIT_S:
            raise RunStopped(f"{self.name} asks to come back in {asked:.0f} s ({answer.status})")
        backoff = min(self.config.backoff_s * 2**attempt, MAX_WAIT_S)
        self.gate.close_for(backoff if asked is None else asked)

    def _refusal(self, answer: Answer) -> ConfigError:
        """What the user has to change; an answer about the key is not repeated."""
        key = self.config.api_key_env
        remedies = {
            401: f"refuses the key in {key}; set a valid one",
            403: f"forbids this with the key in {key}; use one that may",
            404: "does not know this model or address; see judge.model and judge.base_url, which mostly ends in /v1",
        }
        if remedy := remedies.get(answer.status):
            return ConfigError(f"{self.name} {remedy} ({answer.status})")
        if 300 <= answer.status < 400:
            return ConfigError(f"{self.name} sends requests elsewhere; set judge.base_url to there ({answer.status})")
        return ConfigError(f"{self.name} refuses the request: {_said(answer)}; see the options of judge")


def _content(answer: Answer) -> str | None:
    """The text of the first choice, empty where the model gave none; None when this is no chat completion."""
    try:
        content = answer.values["choices"][0]["message"].get("content")
    except (TypeError, KeyError, IndexError, AttributeError):
        return None
    return content if isinstance(content, str) else ""


def _said(answer: Answer) -> str:
    """A failure in a few words."""
    if answer.status == 0:
        return answer.text
    message = " ".join(str(answer.error.get("message", "")).split())[:200]
    return f"{message} ({answer.status})" if message else f"status {answer.status}"
