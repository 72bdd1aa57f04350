import pytest

from merv.errors import ConfigError
from merv.filters.prompt_sets import read_prompts


def test_sentences_about_vases_come_along_eight_of_each():
    prompts = read_prompts()

    assert (len(prompts.positive), len(prompts.negative), prompts.source) == (8, 8, "vase")
    assert len({*prompts.positive, *prompts.negative}) == 16


def test_a_file_has_both_lists(tmp_path):
    file = tmp_path / "cups.yaml"
    file.write_text("positive: [a cup, ' a mug ']\nnegative:\n  - a shard\n")

    prompts = read_prompts(file)

    assert (prompts.positive, prompts.negative) == (("a cup", "a mug"), ("a shard",))
    assert prompts.source == str(file)


def test_a_list_that_is_not_wanted_may_be_missing(tmp_path):
    file = tmp_path / "cups.yaml"
    file.write_text("positive: [a cup]")

    assert read_prompts(file, wanted=("positive",)).negative == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("positive: [a]", "has no `negative`; write `positive:` and `negative:`"),
        ("positive: [a]\nnegative: []", "`negative` is an empty list"),
        ("positive: [a]\nnegative: b", "`negative` is 'b', no list"),
        ("positive: [a]\nnegative:", "`negative` is None, no list"),
        ("positive: [a, 7]\nnegative: [b]", "number 2 of `positive` is 7, no text"),
        ("positive: [a, ' ']\nnegative: [b]", "number 2 of `positive` is ' ', no text"),
        ("positive: [a]\nnegatives: [b]", "has `negatives`, which is neither list"),
        ("positive: [a\nnegative: [b]", "line 2: "),
        ("- a\n- b", "holds a list at the top"),
        ("", "holds nothing at the top"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text, said):
    file = tmp_path / "odd.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as refused:
        read_prompts(file)

    line = str(refused.value)
    assert said in line
    assert str(file) in line
    assert "\n" not in line


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"positive: [\xe9]")

    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_prompts(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 11\)"):
        read_prompts(tmp_path / "latin.yaml")
