"""What every kind of judge shares: the options, and the contract of a thing that replies to prompts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from draccus import ChoiceRegistry

from merv.endpoint.chat import Prompt
from merv.errors import ConfigError
from merv.evaluation.judge.prompts import Protocol
from merv.registry import Registry


class Judge(ABC):
    """Replies to prompts.  Several threads call it at once, as many as `concurrency`."""

    concurrency: int = 1
    """Calls at a time."""
    batch_size: int = 1
    """Prompts a call."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What decides a reply beside the prompt; the cache asks again when it changes.  Holds no secret."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a reader has to know of the judge, for the card.  Holds no secret."""

    @abstractmethod
    def replies(self, prompts: Sequence[Prompt], stop: Event) -> list[str | None]:
        """A reply to each prompt; None where something came that is no reply.

        Args:
            prompts: at most `batch_size`.
            stop: set when nobody waits for the replies any more; then None is one.

        Raises:
            RunStopped: the judge cannot be reached now.
            ConfigError: it will not reply before the user changes something.
        """


@dataclass
class JudgeConfig(Registry, ChoiceRegistry, kind="judge"):
    """Base of the judges a user can name: `--task.judge.type openai`."""

    protocol: Protocol = "merv"
    """How the judge is asked and its reply read; video-chatgpt reads as strictly as the published script."""
    prompt: Path | None = None
    """Text file to ask with, holding {question}, {answer} and {prediction}; None means the protocol's own words."""
    max_attempts: int = 5
    """Times a reply is asked for when the judge fails, and again when its replies cannot be read."""
    cache_dir: Path = Path("data/eval/judge-cache")
    """Folder of the replies there are; a judge is asked once."""

    def __post_init__(self) -> None:
        """Refuse to ask no time."""
        if self.max_attempts < 1:
            raise ConfigError(f"judge max_attempts is {self.max_attempts}; it must be at least 1")

    def build(self) -> Judge:
        """The judge; it is not asked yet.

        Raises:
            ConfigError: something it needs is missing.
        """
        raise TypeError(f"{type(self).__name__} does not define build()")
