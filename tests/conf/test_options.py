import pytest

from merv.conf.options import Option, in_order, read_options
from merv.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--a", "1"], [("a", "1")]),
        (["--a=1=2"], [("a", "1=2")]),
        (["--a="], [("a", "")]),
        (["--a", ""], [("a", "")]),
        (["--a", "-1"], [("a", "-1")]),
        (["--a", "--b", "x"], [("a", None), ("b", "x")]),
        (["--a=--b"], [("a", "--b")]),
        (["--a", "-h"], [("a", None), ("help", None)]),
        ([], []),
    ],
)
def test_words_become_options(words, options):
    assert read_options(words) == options


@pytest.mark.parametrize("words", [["x"], ["-a", "1"], ["--"], ["--a", "1", "2"], ["--=3"], ["--a=1", "2"]])
def test_words_that_belong_to_no_option_are_refused(words):
    with pytest.raises(ConfigError, match=r"not an option|belongs to no option"):
        read_options(words)


def test_types_come_first_then_groups_then_values_as_typed():
    names = ["m.b", "k.a.type", "m-n.c", "m.type", "m_n", "x", "m.a"]

    ordered = in_order([Option(name, "1") for name in names])

    assert [option.name for option in ordered] == ["m.type", "m_n", "k.a.type", "m.b", "m-n.c", "x", "m.a"]


def test_a_group_is_chosen_before_the_types_inside_it():
    names = ["task.judge.command", "task.judge.type", "task"]

    ordered = in_order([Option(name, "1") for name in names])

    assert [option.name for option in ordered] == ["task", "task.judge.type", "task.judge.command"]
