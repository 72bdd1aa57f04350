"""The command line of every merv program: options and files in, a checked config out, errors in one line.

    def main(config: PretrainConfig) -> int | None: ...

    sys.exit(run_main(main, PretrainConfig))

Defaults come first, then each `--config_path` file, then the options; `--<group>.type` is applied before the options
of its group wherever it stands on the line.  Of an option given twice the later value counts.  Values have the type
their field declares: `--run_id 007` is text, `--seed 007` is 7.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from merv import runtime
from merv.conf.aliases import STAGES
from merv.conf.files import lay_file
from merv.conf.help import help_text
from merv.conf.hints import fields_of
from merv.conf.lists import split
from merv.conf.mistakes import USER_ERRORS, of_rank, tell, tell_once
from merv.conf.names import unknown_name
from merv.conf.options import Option, in_order, is_type, read_options
from merv.conf.text import ALONE, Plain, read_mapping
from merv.conf.tree import Node, UnknownNameError, build, put, start
from merv.errors import ConfigError
from merv.registry import load_plugins

ConfigT = TypeVar("ConfigT")

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def parse(
    config_class: type[ConfigT],
    args: Sequence[str] | None = None,
    *,
    prog: str | None = None,
    aliases: Collection[str] = STAGES,
) -> ConfigT:
    """Build a config from the words of a command line.

    Args:
        config_class: the dataclass to build.
        args: the words; None means those of this process.
        prog: what `--help` calls the program; None means the name of the script.
        aliases: fields whose own fields may be written flat, see `merv.conf.aliases`.

    Raises:
        ConfigError: one line with the option or file, what was found and what was expected.
        SystemExit: `--help` was asked for and printed.
    """
    given = read_options(sys.argv[1:] if args is None else args)
    wants_help, paths, plugins, options = _common(config_class, given)
    files = [(path, read_mapping(path)) for path in paths]
    load_plugins([*_plugins_of(files), *plugins])
    tree = start(config_class)
    for path, data in files:
        lay_file(config_class, tree, path, data, aliases)
    for option in in_order(options):
        if is_type(option) or not wants_help:
            _put_option(config_class, tree, option, aliases)
    if wants_help:
        if runtime.is_main():
            sys.stdout.write(help_text(config_class, tree, prog or program_name()))
        raise SystemExit(0)
    return build(config_class, tree)


def run_main(
    main: Callable[[ConfigT], int | None],
    config_class: type[ConfigT],
    args: Sequence[str] | None = None,
    *,
    prog: str | None = None,
) -> int:
    """Parse, run `main`, and give the exit status.

    What a user can cause, in the options or later in the run, is one line on stderr and status 2; Ctrl-C is 130.
    Other exceptions are our own bugs and keep their traceback.  Under torchrun a mistake in the options, which all
    processes share, is told by the first of each machine; later ones by every process they happen to, with its rank.
    """
    prog = prog or program_name()
    try:
        try:
            config = parse(config_class, args, prog=prog)
        except SystemExit:  # --help
            return 0
        except USER_ERRORS as error:
            return tell_once(error, prog)
        return main(config) or 0
    except KeyboardInterrupt:
        sys.stderr.write(f"{of_rank(prog)}: interrupted\n")
        return INTERRUPTED
    except USER_ERRORS as error:
        return tell(error, of_rank(prog))


def program_name() -> str:
    """The name of the script that runs."""
    return Path(sys.argv[0]).name or "merv"


def _common(config_class: type, given: Iterable[Option]) -> tuple[bool, list[str], list[str], list[Option]]:
    """Take out the options every program has: whether help is wanted, config files, plugins; and leave the rest."""
    wants_help, paths, plugins, rest = False, [], [], []
    for option in given:
        name = option.name.replace("-", "_")
        if name == "help":
            wants_help = True
        elif name not in ("config_path", "plugins"):
            rest.append(option)
        elif not option.text:
            raise ConfigError(f"`--{name}` needs a value: {'a file' if name == 'config_path' else 'package,package'}")
        elif name == "config_path":
            paths.append(option.text)
        else:
            plugins += _names(option.text)
            rest += [option] if "plugins" in fields_of(config_class) else []
    return wants_help, paths, plugins, rest


def _plugins_of(files: Iterable[tuple[str, dict[Any, Any]]]) -> Iterable[str]:
    """The packages files name under `plugins`, for configs that keep them so that a run can be repeated."""
    for path, data in files:
        named = data.get("plugins") or []
        if not isinstance(named, str | list) or not all(isinstance(name, str) for name in named):
            raise ConfigError(f"{path}: `plugins` is not a list of package names; write plugins: [package]")
        yield from _names(named) if isinstance(named, str) else map(str, named)


def _names(text: str) -> list[str]:
    try:
        return [str(name) for name in split(text)]
    except ValueError as error:
        raise ConfigError(f"`--plugins {text}`: {error}; write package,package") from error


def _put_option(config_class: type, tree: Node, option: Option, stages: Collection[str]) -> None:
    value = ALONE if option.text is None else Plain(option.text)
    try:
        put(config_class, tree, option.name.split("."), value, "", stages)
    except UnknownNameError as error:
        raise ConfigError(unknown_name(error, config_class, tree, dashes="--")) from error
