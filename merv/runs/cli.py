"""The `merv` command: a word for the action, then its options.

merv train --model.type merv-tiny --dataset.type synthetic --stage align
"""

import sys
from collections.abc import Callable, Sequence

import merv
from merv.errors import ConfigError, MervError
from merv.registry import did_you_mean

USAGE = """\
usage: merv COMMAND [options]

  train    train one stage of a model            merv train --model.type merv-tiny --dataset.type synthetic
  ask      ask a model about a video             merv ask runs/demo-finetune clip.mp4 "What shape is it?"
  eval     score a model on a task               merv eval --model runs/demo-finetune --task.type synthetic-mcq
  demo     draw data, train, score: the tour     merv demo
  list     names one can choose                  merv list video-backbones
  doctor   versions, devices, decoders, disk     merv doctor

`merv COMMAND --help` lists a command's options.  Several processes: torchrun ... scripts/pretrain_video.py
"""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit status."""
    words = list(sys.argv[1:] if args is None else args)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        sys.stdout.write(f"merv {merv.__version__}\n")
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        sys.stderr.write(f"merv: error: unknown command `{name}`; {did_you_mean(name, COMMANDS)}\n")
        return 2
    return COMMANDS[name](rest)


def _train(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.pretrain import pretrain
    from merv.runs.pretrain_config import PretrainConfig

    return run_main(pretrain, PretrainConfig, args, prog="merv train")


def _ask(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.ask import AskConfig, run

    return run_main(lambda c: run(c, _write_line), AskConfig, _ask_options(args), prog="merv ask")


def _ask_options(args: list[str]) -> list[str]:
    """`merv ask MODEL VIDEO "question"`: words without dashes before the first option, or after `--`."""
    names = ("model", "video", "question")
    given = [a for a in args[: next((i for i, a in enumerate(args) if a.startswith("--")), len(args))]]
    options = args[len(given) :]
    if len(given) == 2:  # a question about nothing
        names = ("model", "question", "")
    return [word for name, value in zip(names, given, strict=False) for word in (f"--{name}={value}",)] + options


def _eval(args: list[str]) -> int:
    from merv import runtime
    from merv.conf.parse import run_main
    from merv.runs.evaluate import EvalConfig, run

    runtime.setup_logging()
    return run_main(run, EvalConfig, args, prog="merv eval")


def _demo(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.demo import DemoConfig, run

    return run_main(lambda c: run(c, _write_line), DemoConfig, args, prog="merv demo")


def _list(args: list[str]) -> int:
    from merv.registry import load_plugins
    from merv.runs.listing import FAMILIES, listing

    def show() -> None:
        words, plugins = _plugins(args)
        load_plugins(plugins)
        if len(words) != 1:
            raise ConfigError(f"name one kind: merv list {'|'.join(FAMILIES)}")
        _write_line(listing(words[0]))

    return _in_one_line(show, "merv list")


def _plugins(args: list[str]) -> tuple[list[str], list[str]]:
    """Split off `--plugins a,b`."""
    words, plugins, rest = [], [], list(args)
    while rest:
        word = rest.pop(0)
        if word == "--plugins" and rest:
            plugins += rest.pop(0).split(",")
        elif word.startswith("--plugins="):
            plugins += word.partition("=")[2].split(",")
        else:
            words.append(word)
    return words, plugins


def _doctor(args: list[str]) -> int:
    from merv.runs.doctor import doctor

    report = doctor()
    _write_line(report.text())
    return report.exit_status


def _in_one_line(action: Callable[[], None], prog: str) -> int:
    try:
        action()
    except MervError as error:
        sys.stderr.write(f"{prog}: error: {error}\n")
        return 2
    return 0


def _write_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": _train,
    "ask": _ask,
    "eval": _eval,
    "demo": _demo,
    "list": _list,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
