"""Tokens an endpoint counted, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from merv.errors import ConfigError

MILLION = 1_000_000


@dataclass(frozen=True)
class Usage:
    """Tokens of one reply, or of many."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Tokens of both."""
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)

    def cost(self, price_per_million: Sequence[float]) -> float:
        """Money for these tokens, at prices for a million tokens of prompts and of replies."""
        prompt, completion = price_per_million
        return (self.prompt_tokens * prompt + self.completion_tokens * completion) / MILLION


def check_prices(price_per_million: Sequence[float]) -> None:
    """Refuse prices that are none.

    Raises:
        ConfigError: they are not two numbers of at least 0.
    """
    if len(price_per_million) != 2 or not all(0 <= price < float("inf") for price in price_per_million):
        found = ", ".join(f"{price:g}" for price in price_per_million)
        raise ConfigError(
            f"price_per_million is [{found}]; give two prices of at least 0, for prompts and for replies: "
            "--price_per_million '[0.15,0.6]'"
        )
