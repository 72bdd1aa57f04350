"""Options of building questions: how an endpoint is asked, and who answers without the video."""

import re
from dataclasses import dataclass

from draccus import ChoiceRegistry

from merv.endpoint.chat import Access
from merv.endpoint.endpoint import check_key_name
from merv.errors import ConfigError
from merv.registry import Registry


@dataclass
class ChatOptions:
    """How an endpoint is asked."""

    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; an endpoint of your own may need none."""
    temperature: float | None = 1.0
    """Temperature of the writer; None leaves it to the endpoint."""
    max_tokens: int | None = 1000
    """Longest reply in tokens; None leaves it to the endpoint, as reasoning models need it."""
    json_object: bool = True
    """Ask the endpoint to hold the model to JSON (`response_format`); false for endpoints that refuse the field."""
    send_seed: bool = True
    """Send a seed, another one each attempt; false for endpoints that refuse the field."""
    concurrency: int = 8
    """Requests at a time."""
    timeout_s: float = 60.0
    """Seconds to wait for an answer."""
    backoff_s: float = 1.0
    """Seconds before the second attempt at a busy or broken endpoint; each further one waits twice as long."""
    max_attempts: int = 5
    """Times one reply is asked for while the endpoint is busy or broken."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense, and a key where its variable's name belongs."""
        check_key_name(self.api_key_env)
        if self.concurrency < 1 or self.max_attempts < 1 or not self.timeout_s > 0 or not self.backoff_s >= 0:
            raise ConfigError(
                f"chat concurrency {self.concurrency} and max_attempts {self.max_attempts} must be at least 1, "
                f"timeout_s {self.timeout_s:g} above 0, backoff_s {self.backoff_s:g} at least 0"
            )

    def access(self, base_url: str, model: str) -> Access:
        """How to get at a model."""
        patience = {"timeout_s": self.timeout_s, "backoff_s": self.backoff_s}
        return Access(base_url, model, self.api_key_env, **patience, max_attempts=self.max_attempts)


@dataclass
class BlindConfig(Registry, ChoiceRegistry, kind="blind model"):
    """Base of who may answer without the video: `--blind.type merv`."""


@BlindConfig.register_subclass("none")
@dataclass
class NoBlindConfig(BlindConfig):
    """Nobody: every question that was written is kept."""


@dataclass
class AskedBlindConfig(BlindConfig):
    """A model that is asked every question without the video, and how questions are dropped."""

    rounds: int = 4
    """Times each question is asked, each time with its options in another order."""
    check_rounds: int = 1
    """Times what is kept is asked once more: the rounds that chose the questions flatter them.  0 does without."""
    target: float = 0.2
    """Blind accuracy to come down to; with so few options that guessing is right more often, that is enough."""
    alpha: float = 0.1
    """A question is dropped only if guessing were right in as many rounds with a lower probability than this."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if self.rounds < 1 or self.check_rounds < 0:
            raise ConfigError(
                f"blind rounds {self.rounds} must be at least 1 and check_rounds {self.check_rounds} at least 0"
            )
        if not 0 <= self.target <= 1 or not 0 < self.alpha <= 1:
            raise ConfigError(f"blind target {self.target:g} and alpha {self.alpha:g} must lie between 0 and 1")

    def check_rounds_suffice(self, num_options: int) -> None:
        """Refuse rounds so few that no question can be told from a guess.

        Raises:
            ConfigError: even a question answered right in every round might be guessed.
        """
        chance = num_options**-self.rounds
        if chance >= self.alpha:
            raise ConfigError(
                f"blind rounds {self.rounds}: among {num_options} options guessing is right every time with "
                f"probability {chance:.2g}, not below alpha {self.alpha:g}; raise --blind.rounds"
            )


@BlindConfig.register_subclass("endpoint")
@dataclass
class EndpointBlindConfig(AskedBlindConfig):
    """A model behind an OpenAI-compatible endpoint, asked as --chat says but for temperature and length."""

    llm: str | None = None
    """Address that /chat/completions follows; None means the writer's."""
    model: str | None = None
    """The model; None means the writer's."""
    temperature: float | None = 0.0
    """Temperature of its answers; None leaves it to the endpoint."""
    max_tokens: int | None = 16
    """Longest answer in tokens; None leaves it to the endpoint, as reasoning models need it."""
    price_per_million: list[float] | None = None
    """Its prices for a million tokens of prompts and of replies; None means the writer's, of the same model only."""


@BlindConfig.register_subclass("merv")
@dataclass
class MervBlindConfig(AskedBlindConfig):
    """A model of merv, which gets the words and no video."""

    model: str = ""
    """Folder of a run or name of a published model."""
    batch_size: int = 8
    """Questions answered at a time."""
    max_new_tokens: int = 16
    """Longest answer in tokens."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no sense, and no model."""
        super().__post_init__()
        if not self.model:
            raise ConfigError("blind model of merv is not named; set --blind.model to a run's folder")
        if self.batch_size < 1 or self.max_new_tokens < 1:
            raise ConfigError(
                f"blind batch_size {self.batch_size} and max_new_tokens {self.max_new_tokens} must be at least 1"
            )


def read_sizes(text: str) -> tuple[int, int]:
    """Fewest and most options of `4..6`, or of `5`.

    Raises:
        ConfigError: it is neither, or lies outside 2 to 26.
    """
    match = re.fullmatch(r"\s*(\d+)\s*(?:(?:\.\.|-|,)\s*(\d+)\s*)?", text)
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 2 <= least <= most <= 26:
        raise ConfigError(f"num_options is `{text}`; write how many options a question may have, such as 4..6 or 5")
    return least, most
