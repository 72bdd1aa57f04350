"""`merv data WHAT`: look at a dataset before training on it, convert it, download one, build one."""

from collections.abc import Callable, Sequence

from merv.runs.words import command_word

USAGE = """\
usage: merv data WHAT [options]

  check      rows, missing media, lengths: before a run    merv data check videollava
  show       the frames and words of one row as a picture  merv data show synthetic --index 3
  convert    to messages JSONL or WebDataset shards        merv data convert synthetic --to messages --out rows
  download   a dataset or a base model, resumed, checked   merv data download nextqa --root data
  build-gqa  grounded questions written by an LLM          merv data build-gqa --source qvhighlights --llm URL

`merv data WHAT --help` lists its options.
"""


def data(args: Sequence[str], write: Callable[[str], None]) -> int:
    """Do with datasets what the first word says; gives the exit status.

    Raises:
        ConfigError: it says nothing we know.
    """
    return command_word(args, ACTIONS, USAGE, write, refusal="there is nothing called `{word}` to do with data")


def _check(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.data_check import main

    return main(args, write)


def _show(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.data_show import main

    return main(args, write)


def _convert(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.data_convert import main

    return main(args, write)


def _download(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.data_download import main

    return main(args, write)


def _build_gqa(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.data_build_gqa import main

    return main(args, write)


ACTIONS: dict[str, Callable[[Sequence[str], Callable[[str], None]], int]] = {
    "check": _check,
    "show": _show,
    "convert": _convert,
    "download": _download,
    "build-gqa": _build_gqa,
}
