"""The words of a command line as options: `--name value`, `--name=value`, `--flag`."""

from collections.abc import Sequence
from typing import NamedTuple

from merv.errors import ConfigError


class Option(NamedTuple):
    """One option as typed."""

    name: str
    """The dotted name, without dashes in front."""
    text: str | None
    """The value; None when the option stands alone."""


def read_options(args: Sequence[str]) -> list[Option]:
    """Split the words of a command line, in their order.

    The word after an option is its value unless it starts with two dashes; `-1e-5` is a value, `--x=--y` gives one
    with dashes.

    Raises:
        ConfigError: a word that belongs to no option.
    """
    options: list[Option] = []
    words = list(args)
    while words:
        word = words.pop(0)
        name, has_value, text = word.removeprefix("--").partition("=")
        if word == "-h":
            options.append(Option("help", None))
        elif not word.startswith("--") or not name:
            raise ConfigError(_stray(word, options))
        elif has_value:
            options.append(Option(name, text))
        elif words and not words[0].startswith("--") and words[0] != "-h":
            options.append(Option(name, words.pop(0)))
        else:
            options.append(Option(name, None))
    return options


def words_apart(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words that stand alone, and options with their values, for commands whose every option has a value."""
    words: list[str] = []
    options: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word != "-h" and not word.startswith("--"):
            words.append(word)
            continue
        options.append(word)
        if word not in ("-h", "--help") and "=" not in word and rest and not rest[0].startswith("--"):
            options.append(rest.pop(0))
    return words, options


def with_value(flag: str, args: Sequence[str]) -> list[str]:
    """The words with a value for a flag that stands alone, or the next word would be taken for it."""
    following = [*args, ""][1:]
    return [
        f"{word}=true" if word == flag and after not in ("true", "false") else word
        for word, after in zip(args, following, strict=True)
    ]


def _stray(word: str, before: Sequence[Option]) -> str:
    if not before or before[-1].text is None:
        return f"`{word}` is not an option; options look like --seed 7"
    name, text = before[-1]
    return f"`{word}` after `--{name} {text}` belongs to no option; several values are one word, as in --{name} a,b"


def in_order(options: Sequence[Option]) -> list[Option]:
    """Sort options so that each lands on what it refines; of equals the later wins.

    Choices of a type and values of whole groups come first, outer before inner and of one group the type, then single
    values as typed.
    """
    names = [option.name.replace("-", "_") for option in options]
    groups = {name[:at] for name in names for at, sign in enumerate(name) if sign == "."}

    def rank(option: Option) -> tuple[int, int, int]:
        name = option.name.replace("-", "_")
        depth = name.count(".")
        if is_type(option):
            return 0, depth - 1, 0
        return (0, depth, 1) if name in groups else (1, 0, 0)

    return sorted(options, key=rank)


def is_type(option: Option) -> bool:
    """Whether the option may choose a registered type."""
    return option.name.rpartition(".")[2] == "type"
