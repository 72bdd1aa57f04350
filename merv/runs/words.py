"""Commands of two words, such as `merv export merge`: the second one chooses; words that name a dataset."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from merv.conf.options import with_value, words_apart
from merv.errors import ConfigError
from merv.registry import did_you_mean

Write = Callable[[str], None]
Action = Callable[[Sequence[str], Write], int]


def command_word(args: Sequence[str], actions: Mapping[str, Action], usage: str, write: Write, *, refusal: str) -> int:
    """Do what the first word says with all words; gives the exit status.

    Args:
        args: The words after the command's first.
        actions: What can be done, by word.
        usage: Shown when there is no word, with status 2, or when it is asked for.
        write: Where text goes.
        refusal: Beginning of the message about another word, with `{word}` in it.

    Raises:
        ConfigError: there is no such action.
    """
    word = args[0] if args else "nothing"
    if word in ("nothing", "-h", "--help", "help"):
        write(usage)
        return 0 if args else 2
    if word not in actions:
        tail = did_you_mean(word, actions).replace("registered:", "there is:")
        raise ConfigError(f"{refusal.format(word=word)}; {tail}")
    return actions[word](args, write)


def dataset_named(args: Sequence[str], word: str, usage: str, *, flags: Sequence[str] = ()) -> list[str]:
    """The words of `merv data WORD NAME ...` as options, the name as `--dataset.type`.

    Args:
        args: The words, `word` among them.
        word: What is done with the dataset.
        usage: How it is written, for messages.
        flags: Options that may stand without a value.

    Raises:
        ConfigError: there is no dataset, or a word that belongs to no option.
    """
    words, options = words_apart(reduce(lambda rest, flag: with_value(flag, rest), flags, list(args)))
    names = [found for found in words if found != word]
    if len(names) > 1:
        raise ConfigError(f"`{names[1]}` is no option: {usage}")
    if names and (os.sep in names[0] or names[0].endswith((".json", ".jsonl"))):
        raise ConfigError(
            f"`{names[0]}` is a path; name a dataset, for a list of your own: merv data {word} messages "
            "--dataset.annotations LIST --dataset.media_root DIR"
        )
    if names:
        return [f"--dataset.type={names[0]}", *options]
    given = {option.partition("=")[0] for option in options}
    if not given & {"--dataset.type", "--config_path", "--help", "-h"}:
        raise ConfigError(f"which dataset? {usage}")
    return options
