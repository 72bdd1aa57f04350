import pytest

from merv.data.build.options import (
    BlindConfig,
    ChatOptions,
    EndpointBlindConfig,
    MervBlindConfig,
    read_sizes,
)
from merv.errors import ConfigError


@pytest.mark.parametrize(("text", "sizes"), [("4..6", (4, 6)), ("5", (5, 5)), (" 4 - 6 ", (4, 6)), ("4,6", (4, 6))])
def test_sizes_are_a_number_or_a_range(text, sizes):
    assert read_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "6..4", "1", "4..27", "four", "4..5..6"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match=r"num_options is `.*`; write how many options .* such as 4\.\.6 or 5"):
        read_sizes(text)


def test_three_may_answer_without_the_video():
    assert BlindConfig.available() == ["endpoint", "merv", "none"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rounds": 0}, "rounds 0 must be at least 1"),
        ({"check_rounds": -1}, "check_rounds -1 at least 0"),
        ({"target": 1.5}, "target 1.5 and alpha"),
        ({"alpha": 0.0}, "alpha 0 must lie between"),
    ],
)
def test_numbers_of_blind_asking_that_make_no_sense_are_refused(options, says):
    with pytest.raises(ConfigError, match=says):
        EndpointBlindConfig(**options)


def test_too_few_rounds_to_tell_anything_are_refused():
    EndpointBlindConfig(rounds=2).check_rounds_suffice(4)

    with pytest.raises(ConfigError, match=r"blind rounds 1: among 4 options .* probability 0\.25, .* --blind\.rounds"):
        EndpointBlindConfig(rounds=1).check_rounds_suffice(4)


def test_a_model_of_merv_has_a_name_and_sizes():
    with pytest.raises(ConfigError, match=r"blind model of merv is not named; set --blind\.model"):
        MervBlindConfig()
    with pytest.raises(ConfigError, match="batch_size 0 and max_new_tokens 16 must be at least 1"):
        MervBlindConfig(model="x", batch_size=0)


@pytest.mark.parametrize("option", [{"concurrency": 0}, {"max_attempts": 0}, {"timeout_s": 0.0}, {"backoff_s": -1.0}])
def test_numbers_of_asking_that_make_no_sense_are_refused(option):
    with pytest.raises(ConfigError, match="must be at least 1"):
        ChatOptions(**option)
