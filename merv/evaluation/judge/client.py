"""A judge behind an OpenAI-compatible /chat/completions endpoint: OpenAI itself, vLLM, llama.cpp, Ollama, others."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from merv.endpoint.chat import Access, ChatClient, Naming, Prompt
from merv.endpoint.endpoint import check_key_name, check_url
from merv.errors import ConfigError
from merv.evaluation.judge.config import Judge, JudgeConfig

NAMING = Naming("judge", base_url="judge.base_url", model="judge.model", options="the options of judge")


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
        """Refuse an address that is none, numbers that make no sense, and a key where a name belongs."""
        super().__post_init__()
        check_key_name(self.api_key_env)
        check_url(self.base_url, "judge base_url")
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
        access = Access(
            self.base_url, self.model, self.api_key_env, self.timeout_s, self.backoff_s, max_attempts=self.max_attempts
        )
        return OpenAIJudge(self, ChatClient(access, NAMING))


class OpenAIJudge(Judge):
    """Asks an endpoint, patiently where it is busy."""

    def __init__(self, config: OpenAIJudgeConfig, client: ChatClient) -> None:
        """Ask through `client` as `config` says."""
        self.config, self.client = config, client
        self.concurrency = config.concurrency

    def identity(self) -> dict[str, Any]:
        """The whole address, for behind another one may be another model of the same name; and the options."""
        request = self.client.request(self._options())
        return {"type": "openai", "base_url": self.config.base_url.rstrip("/"), **request}

    def describe(self) -> dict[str, Any]:
        """Host, model and options."""
        return {"type": "openai", "host": self.client.endpoint.host, **self.client.request(self._options())}

    def replies(self, prompts: Sequence[Prompt], stop: Event) -> list[str | None]:
        """A reply to each prompt; a refused prompt has an empty one.

        Raises:
            RunStopped: the endpoint was busy or broken at every attempt, or has no quota left.
            ConfigError: it refuses the key, the model or the request.
        """
        found = [self.client.reply(prompt, stop, **self._options()) for prompt in prompts]
        return [None if reply is None else reply.text for reply in found]

    def _options(self) -> dict[str, Any]:
        return {"temperature": self.config.temperature, "max_tokens": self.config.max_tokens}
