import json
from pathlib import Path

import pytest

from merv.conf.parse import parse
from merv.errors import ConfigError
from merv.runs.cli import main
from merv.runs.plot import PlotConfig, named, plot


@pytest.fixture
def two_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b,c"):
        Path("runs", name).mkdir(parents=True)
        rows = [{"step": step, "loss": 1 / step, "reward": step} for step in range(1, 4)]
        Path("runs", name, "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["runs/a", "runs/b,c"]


@pytest.mark.parametrize("options", [[], ["--metric", "reward"], ["--together"], ["--smooth", "2"]])
def test_the_command_draws_a_picture(two_runs, options):
    assert main(["plot", *options, *two_runs]) == 0

    assert Path("loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_is_there_is_drawn_anew(two_runs):
    Path("out.png").write_text("old")

    assert main(["plot", *two_runs, "--out", "out.png"]) == 0
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (["a"], PlotConfig([Path("a")])),
        (["a", "--out", "x.png", "b,[c"], PlotConfig([Path("a"), Path("b,[c")], Path("x.png"))),
        (["--together", "a"], PlotConfig([Path("a")], together=True)),
        (["--together", "false", "a"], PlotConfig([Path("a")])),
        (["--runs", "a,b", "--smooth=9"], PlotConfig([Path("a"), Path("b")], smooth=9)),
    ],
)
def test_runs_may_stand_without_their_name(words, config):
    assert parse(PlotConfig, named(words)) == config


def test_runs_are_named_in_one_way():
    with pytest.raises(ConfigError, match=r"`a` stands beside --runs; name the runs in one way"):
        named(["a", "--runs=b"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth": 0}, "smooth is 0; it is a number of steps, 1 or more"),
        ({"out": Path("loss.jpg")}, r"out is loss\.jpg; the picture is a PNG, name it loss\.png"),
    ],
)
def test_values_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        PlotConfig(**options)


def test_without_a_run_nothing_is_drawn():
    with pytest.raises(ConfigError, match="there is no run to draw"):
        plot(PlotConfig())


@pytest.mark.parametrize("words", [[], ["none"], ["runs/a", "--metric", "los"], ["runs/a", "--runs=b"]])
def test_mistakes_are_one_line_and_status_2(two_runs, words, capsys):
    assert main(["plot", *words]) == 2

    shown = capsys.readouterr().err
    assert shown.startswith("merv plot: error: ")
    assert shown.count("\n") == 1
