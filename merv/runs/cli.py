"""The `merv` command: a word for the action, then its options.

merv train --model.type merv-tiny --dataset.type synthetic --stage align
"""

import sys
from collections.abc import Callable, Sequence

import merv
from merv.errors import ConfigError
from merv.registry import did_you_mean

USAGE = """\
usage: merv COMMAND [options]

  train    train one stage of a model            merv train --model.type merv-tiny --dataset.type synthetic
  train-grpo  train it from rewards (GRPO)       merv train-grpo --dataset.type synthetic --reward accuracy
  ask      ask a model about a video             merv ask runs/demo-full-finetune clip.mp4 "What shape is it?"
  eval     score a model on a task               merv eval --model runs/demo-full-finetune --task synthetic-mcq
  compare  two evaluations side by side          merv compare runs/a runs/b --task synthetic-mcq
  plot     curves of several runs as a picture   merv plot runs/a runs/b --out loss.png
  data     check, show, convert, download, build merv data check videollava
  filter   choose images to train on             merv filter clip-quality images --threshold auto
  export   roles, merged, whole, for Megatron    merv export merge --adapter runs/a --out merged
  demo     draw data, train, score: the tour     merv demo
  demo-roles  the same for roles in a chain      merv demo-roles
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
        tail = did_you_mean(name, COMMANDS).replace("registered:", "commands:")
        sys.stderr.write(f"merv: error: unknown command `{name}`; {tail}\n")
        return 2
    try:
        return COMMANDS[name](rest)
    except (ImportError, RuntimeError) as error:
        from merv.runs.backends import explain  # an accelerator's package may keep torch from being imported

        trouble = explain(error)
        if trouble is None:
            raise
        sys.stderr.write(f"merv {name}: error: {trouble}\n")
        return 2


def _train(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.pretrain import pretrain
    from merv.runs.pretrain_config import PretrainConfig

    return run_main(pretrain, PretrainConfig, args, prog="merv train")


def _train_grpo(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.grpo import grpo
    from merv.runs.grpo_config import GrpoRunConfig

    return run_main(grpo, GrpoRunConfig, args, prog="merv train-grpo")


def _ask(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.ask import AskConfig, named, run

    def action() -> int:
        return run_main(lambda c: run(c, _write), AskConfig, named(args), prog="merv ask")

    return _in_one_line(action, "merv ask")


def _eval(args: list[str]) -> int:
    from merv import runtime
    from merv.conf.parse import run_main
    from merv.runs.evaluate import EvalConfig, run

    runtime.setup_logging()
    return run_main(run, EvalConfig, args, prog="merv eval")


def _compare(args: list[str]) -> int:
    from merv import runtime
    from merv.conf.parse import run_main
    from merv.runs.compare import CompareConfig, named, run

    runtime.setup_logging()

    def action() -> int:
        return run_main(lambda c: run(c, _write), CompareConfig, named(args), prog="merv compare")

    return _in_one_line(action, "merv compare")


def _plot(args: list[str]) -> int:
    from merv import runtime
    from merv.conf.parse import run_main
    from merv.runs.plot import PlotConfig, named, plot

    runtime.setup_logging()
    return _in_one_line(lambda: run_main(plot, PlotConfig, named(args), prog="merv plot"), "merv plot")


def _export(args: list[str]) -> int:
    from merv import runtime
    from merv.runs.export import export

    runtime.setup_logging()
    return _in_one_line(lambda: export(args, _write), " ".join(["merv export", *args[:1]]))


def _data(args: list[str]) -> int:
    from merv import runtime
    from merv.runs.data import data

    runtime.setup_logging()
    return _in_one_line(lambda: data(args, _write), " ".join(["merv data", *args[:1]]))


def _filter(args: list[str]) -> int:
    from merv import runtime
    from merv.runs.filter import filter_images

    runtime.setup_logging()
    return _in_one_line(lambda: filter_images(args, _write), " ".join(["merv filter", *args[:1]]))


def _demo(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.demo import DemoConfig, run

    return run_main(lambda c: run(c, _write_line), DemoConfig, args, prog="merv demo")


def _demo_roles(args: list[str]) -> int:
    from merv.conf.parse import run_main
    from merv.runs.demo_roles import DemoRolesConfig, run

    return run_main(lambda c: run(c, _write_line), DemoRolesConfig, args, prog="merv demo-roles")


def _list(args: list[str]) -> int:
    from merv.registry import load_plugins
    from merv.runs.listing import FAMILIES, listing

    usage = f"merv list {'|'.join(FAMILIES)} [--plugins package,...]"

    def show() -> int:
        words, plugins = _plugins(args)
        if words in (["-h"], ["--help"]):
            _write_line(f"usage: {usage}\n\nThe names that can be chosen, one a line.")
            return 0
        load_plugins(plugins)
        if len(words) != 1:
            raise ConfigError(f"found {len(words)} kinds; name one: {usage}")
        _write_line(listing(words[0]))
        return 0

    return _in_one_line(show, "merv list")


def _plugins(args: list[str]) -> tuple[list[str], list[str]]:
    """Split off `--plugins a,b`.

    Raises:
        ConfigError: another option, or no package.
    """
    words: list[str] = []
    plugins: list[str] = []
    rest = list(args)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        if name == "--plugins":
            value = value if has_value or not rest else rest.pop(0)
            if not value:
                raise ConfigError("`--plugins` needs a value: package,package")
            plugins += value.split(",")
        elif name.startswith("-") and name not in ("-h", "--help"):
            raise ConfigError(f"there is no option `{name}`; there is --plugins package,package")
        else:
            words.append(name)
    return words, plugins


def _doctor(args: list[str]) -> int:
    from merv.runs.doctor import doctor

    if args in (["-h"], ["--help"]):
        _write_line("usage: merv doctor\n\nVersions, devices, decoders, disk; what is missing and how to get it.")
        return 0
    if args:
        sys.stderr.write(f"merv doctor: error: found `{args[0]}`; it takes no options\n")
        return 2
    report = doctor()
    _write_line(report.text())
    return report.exit_status


def _in_one_line(action: Callable[[], int], prog: str) -> int:
    from merv.conf.mistakes import USER_ERRORS, tell

    try:
        return action()
    except USER_ERRORS as error:
        return tell(error, prog)


def _write_line(text: str) -> None:
    _write(text + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": _train,
    "train-grpo": _train_grpo,
    "ask": _ask,
    "eval": _eval,
    "compare": _compare,
    "plot": _plot,
    "data": _data,
    "filter": _filter,
    "export": _export,
    "demo": _demo,
    "demo-roles": _demo_roles,
    "list": _list,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
