"""Commands of two words, such as `merv export merge`: the second one chooses."""

from collections.abc import Callable, Mapping, Sequence

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
