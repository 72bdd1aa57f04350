import json
from pathlib import Path

import pytest
from evaluation.folders import write_evaluation

from merv.conf.parse import parse, run_main
from merv.errors import ConfigError
from merv.runs import compare
from merv.runs.compare import CompareConfig, find_evaluation, named


@pytest.fixture
def two_runs(tmp_path) -> tuple[Path, Path]:
    a, b = tmp_path / "runs/a", tmp_path / "runs/b"
    write_evaluation(a / "eval/toy", [1, 0, 0])
    write_evaluation(b / "eval/toy", [1, 1, 1])
    return a, b


@pytest.mark.parametrize("below", ["", "eval/toy"])
def test_runs_or_evaluations_are_compared(two_runs, below, tmp_path):
    a, b = two_runs
    written: list[str] = []
    out = tmp_path / "new/differences.json"

    assert compare.run(CompareConfig(a / below, b / below, out=out), written.append) == 0

    assert "| accuracy " in "".join(written)
    saved = json.loads(out.read_text())
    assert (saved["task"], saved["b"]) == ("toy", str(b / "eval/toy"))
    assert saved["differences"][0]["difference"] == pytest.approx(2 / 3)
    assert saved["totals"] == {"num_items": [3, 3]}


def test_a_run_with_several_evaluations_needs_the_task(two_runs):
    a, _ = two_runs
    write_evaluation(a / "eval/other", [1])

    assert find_evaluation(a, "toy") == a / "eval/toy"
    with pytest.raises(ConfigError, match=r"holds 2 evaluations; give --task other\|toy"):
        find_evaluation(a)


@pytest.mark.parametrize(
    ("below", "task", "message"),
    [
        ("none", "", r"there is no folder .*none"),
        ("", "mvbench", r"holds no evaluation of `mvbench`; give --task toy"),
        ("eval", "", r"holds no finished evaluation; run `merv eval --model"),
    ],
)
def test_a_path_without_the_evaluation_is_refused(two_runs, below, task, message):
    with pytest.raises(ConfigError, match=message):
        find_evaluation(two_runs[0] / below, task)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["x", "y"], ["--a=x", "--b=y"]),
        (["x", "y", "--task", "toy"], ["--a=x", "--b=y", "--task", "toy"]),
        (["--task", "toy", "x", "--out=o.json", "y"], ["--a=x", "--b=y", "--task", "toy", "--out=o.json"]),
        (["--b", "y", "x"], ["--a=x", "--b", "y"]),
        (["-h"], ["-h"]),
        (["x"], ["--a=x"]),
    ],
)
def test_a_and_b_may_stand_without_their_names(words, options):
    assert named(words) == options


def test_a_third_word_is_one_too_many():
    with pytest.raises(ConfigError, match=r"`z` is one word too many"):
        named(["x", "y", "z"])


def test_the_command_line_gives_a_config():
    words = named(["runs/a", "runs/b", "--task", "007"])

    assert parse(CompareConfig, words) == CompareConfig(Path("runs/a"), Path("runs/b"), "007")


@pytest.mark.parametrize("words", [["--a=none", "--b=none"], ["--a=none"]])
def test_mistakes_are_one_line_and_status_2(words, capsys):
    assert run_main(lambda config: compare.run(config, print), CompareConfig, words, prog="merv compare") == 2

    assert capsys.readouterr().err.count("\n") == 1
