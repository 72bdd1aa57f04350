"""What `merv export` can be asked for."""

import pytest

from merv.runs.cli import main
from merv.runs.export import EXPORTERS


def test_alone_it_lists_what_there_is(capsys):
    assert main(["export"]) == 2
    alone = capsys.readouterr().out

    assert main(["export", "--help"]) == 0
    assert capsys.readouterr().out == alone
    assert all(f"merv export {word} " in alone for word in EXPORTERS)


def test_a_wrong_word_is_told_with_near_ones(capsys):
    assert main(["export", "consolidat", "runs/a"]) == 2

    line = capsys.readouterr().err
    assert "`consolidat` cannot be exported; did you mean `consolidate`? there is: consolidate, meg" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("word", EXPORTERS)
def test_each_has_its_own_help(word, capsys):
    assert main(["export", word, "--help"]) == 0

    assert f"usage: merv export {word}" in capsys.readouterr().out
