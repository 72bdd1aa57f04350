import pytest

from merv.errors import ConfigError
from merv.rl.config import GrpoConfig


def config(**options):
    return GrpoConfig(**{"reward": ["accuracy"], **options})


def test_defaults_are_those_of_trl():
    found = config()

    assert (found.num_generations, found.beta, found.temperature, found.max_completion_length) == (8, 0.0, 1.0, 256)
    assert found.weights == [1.0]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"num_generations": 1}, "num_generations is 1; it must be at least 2"),
        ({"max_completion_length": 0}, "max_completion_length is 0; it must be at least 1"),
        ({"rollout_batch_size": 0}, "rollout_batch_size is 0"),
        ({"top_k": -1}, "top_k is -1; it must be at least 0"),
        ({"log_completions": -1}, "log_completions is -1"),
        ({"temperature": 0.0}, "temperature is 0; answers are sampled"),
        ({"top_p": 0.0}, "top_p is 0; it is a probability"),
        ({"beta": -1.0}, "beta is -1; it must not be negative"),
        ({"reward": []}, "reward is empty; name at least one"),
        ({"reward_weights": [1.0, 2.0]}, "2 reward_weights for 1 rewards; give one each"),
        ({"reward_options": {"format": {}}}, "reward_options names `format`, which reward does not"),
    ],
)
def test_options_that_cannot_work_are_refused(options, line):
    with pytest.raises(ConfigError, match=line):
        config(**options)


def test_a_system_message_is_a_text_or_a_file(tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text("Think first.\nThen answer.\n")

    assert config(system=str(file)).system_text() == "Think first.\nThen answer."
    assert config(system="Think first.").system_text() == "Think first."
    assert config(system="a\nb" * 200).system_text() == "a\nb" * 200
    with pytest.raises(
        ConfigError, match=r"system: there is no file .*missing\.txt; name a file, or write the message"
    ):
        config(system=str(tmp_path / "missing.txt")).system_text()
