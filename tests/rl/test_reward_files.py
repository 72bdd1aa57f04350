import pytest

from merv.data.dataset import Source
from merv.errors import ConfigError
from merv.rl.reward_files import find_reward
from merv.rl.rewards import score_all

from .questions import asked, said

DATA = Source("rows", [asked()])


def found(name, options=None):
    return find_reward(str(name), DATA, options or {})


def test_a_file_gives_its_function_and_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "vase_words.py").write_text("WORTH = 2.0\n")
    (tmp_path / "plugin.py").write_text(
        "from vase_words import WORTH\n\ndef vase_acc(responses, references):\n    return [WORTH] * len(responses)\n"
    )

    reward = found(f"{tmp_path}/plugin.py:vase_acc")

    assert reward.name == "vase_acc"
    assert score_all([reward], said("a")).tolist() == [[2.0]]


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "plugin.py").write_text(f"def worth(completions):\n    return [{number}.0]\n")

    rewards = [found(f"{tmp_path}/{number}/plugin.py:worth") for number in (1, 2)]

    assert score_all(rewards, said("a")).tolist() == [[1.0, 2.0]]


def test_a_module_gives_its_function(tmp_path, monkeypatch):
    (tmp_path / "rewards_of_mine.py").write_text(
        "class Worth:\n    def __call__(self, completions, **_):\n        return [3]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    assert score_all([found("rewards_of_mine:Worth")], said("a")).tolist() == [[3.0]]


def test_a_built_in_reward_takes_its_options():
    reward = found("format", {"pattern": "a+"})

    assert score_all([reward], said("aa", "ab")).tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("def vase_acc(completions): ...", "vase_ac", "has no `vase_ac`; did you mean `vase_acc`"),
        ("import math\nX = 1", "vase_acc", "has no `vase_acc`; it has nothing"),
        ("def vase_acc(completions): ...", "", "has no ``"),
        ("x = 1\nraise OSError('no disk')", "vase_acc", r"cannot be imported: \S+plugin\.py:2: OSError: no disk"),
        ("import sys\nsys.exit(0)", "vase_acc", r"cannot be imported: \S+plugin\.py:2: SystemExit: 0"),
        ("def broken(:", "vase_acc", r"cannot be imported: \S+plugin\.py:1: SyntaxError"),
    ],
)
def test_a_file_that_does_not_give_it_is_told_in_one_line(tmp_path, text, name, line):
    (tmp_path / "plugin.py").write_text(text)

    with pytest.raises(ConfigError, match=line) as caught:
        found(f"{tmp_path}/plugin.py:{name}")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("missing/plugin.py:f", "there is no file .*missing/plugin.py; built in are accuracy, format"),
        ("plugin.py", "names a file without a function; write `plugin.py:function`"),
        ("acuracy", "unknown reward `acuracy`; did you mean `accuracy`"),
        ("no_such_package.rewards:f", "module `no_such_package.rewards` cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(name, line):
    with pytest.raises(ConfigError, match=line):
        found(name)


def test_options_are_for_built_in_rewards(tmp_path):
    (tmp_path / "plugin.py").write_text("def f(completions): ...")

    with pytest.raises(ConfigError, match="takes no options; only built-in ones do: accuracy"):
        found(f"{tmp_path}/plugin.py:f", {"pattern": "a"})
    with pytest.raises(ConfigError, match="reward `format` has no option `patern`; did you mean `pattern`"):
        found("format", {"patern": "a"})
