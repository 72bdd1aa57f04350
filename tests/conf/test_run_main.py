import logging
from dataclasses import dataclass
from pathlib import Path

import draccus
import pytest
from conf_shapes import Run

from merv.conf.parse import parse, run_main
from merv.errors import RunStopped, SampleError


def test_help_exits_with_status_zero(capsys):
    with pytest.raises(SystemExit) as caught:
        parse(Run, ["--model.type", "hf-vlm", "--nonsense", "-h"])

    assert caught.value.code == 0
    assert "--model.size_px <int>  [default: 980]" in capsys.readouterr().out


def test_run_main_gives_the_status_of_main(capsys):
    seen = []

    assert run_main(lambda config: seen.append(config.seed), Run, ["--seed", "5"]) == 0
    assert run_main(lambda config: 3, Run, []) == 3
    assert run_main(lambda config: 3, Run, ["--help"], prog="train") == 0

    assert seen == [5]
    assert capsys.readouterr().out.startswith("usage: train [--option value")


@dataclass
class Strict:
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ValueError(f"share is {self.share},\n  more than 1")


def decode_with_draccus(config):
    draccus.decode(Strict, {"share": 2.0})


def stop(config):
    raise RunStopped("loss is nan at step 3; lower the learning rate")


def open_nothing(config):
    Path("no/such/file").read_text()


@pytest.mark.parametrize(
    ("main", "args", "line"),
    [
        (stop, ["--share", "2"], "share is 2.0, more than 1"),
        (stop, ["--sahre", "2"], "there is no option `--sahre`; did you mean `--share`?"),
        (stop, [], "loss is nan at step 3; lower the learning rate"),
        (decode_with_draccus, [], "share is 2.0, more than 1"),
        (open_nothing, [], "`no/such/file`: No such file or directory"),
    ],
)
def test_what_a_user_can_cause_is_one_line_and_status_two(main, args, line, capsys):
    assert run_main(main, Strict, args, prog="train") == 2
    assert capsys.readouterr().err == f"train: error: {line}\n"


def test_the_place_of_an_error_is_logged_for_debugging(caplog):
    caplog.set_level(logging.DEBUG, "merv.conf")

    run_main(stop, Strict, [])

    assert "in stop" in caplog.text


def test_our_own_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda config: 1 // 0, Strict, [])
    with pytest.raises(TimeoutError):
        run_main(lambda config: (_ for _ in ()).throw(TimeoutError("no file in it")), Strict, [])


def test_interrupting_gives_the_status_of_shells(capsys):
    def main(config):
        raise KeyboardInterrupt

    assert run_main(main, Strict, [], prog="train") == 130
    assert capsys.readouterr().err == "train: interrupted\n"


def test_sample_errors_end_a_run_in_one_line_too(capsys):
    def main(config):
        raise SampleError("row 3: a.mp4 is missing")

    assert run_main(main, Strict, [], prog="t") == 2
    assert capsys.readouterr().err == "t: error: row 3: a.mp4 is missing\n"
