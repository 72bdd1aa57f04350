from dataclasses import dataclass, field

import pytest
from draccus import ChoiceRegistry

from merv.errors import ConfigError
from merv.registry import Registry
from merv.runs.facts import short
from merv.runs.listing import FAMILIES, changed_defaults, first_line, listing, table


@pytest.fixture
def kitchen():
    @dataclass
    class DishConfig(Registry, ChoiceRegistry, kind="dish"):
        servings: int = 2

    @DishConfig.register_subclass("soup")
    @dataclass
    class SoupConfig(DishConfig):
        """Hot and liquid.

        Eaten with a spoon.
        """

        salt: float = 0.5
        herbs: list[str] = field(default_factory=list)

    @DishConfig.register_subclass("bread")
    @dataclass
    class BreadConfig(DishConfig):
        servings: int = 8

    SoupConfig.preset("soup-salty", salt=2.0, herbs=["dill"])
    return DishConfig


def test_a_table_has_a_line_a_name_with_what_differs_from_the_class_it_derives_from(kitchen):
    assert table(kitchen).splitlines() == [
        "bread                        servings=8",
        "soup        Hot and liquid.",
        "soup-salty  Hot and liquid.  salt=2.0, herbs=['dill']",
    ]


def test_an_empty_family_says_so():
    @dataclass
    class EmptyConfig(Registry, ChoiceRegistry, kind="ghost"):
        pass

    assert table(EmptyConfig) == "no ghost is registered"


def test_the_signature_dataclass_writes_is_no_docstring(kitchen):
    assert first_line(kitchen.get("bread")) == ""
    assert first_line(kitchen.get("soup")) == "Hot and liquid."


def test_values_too_long_for_a_table_are_left_out(kitchen):
    verbose = kitchen.get("soup").preset("soup-long", herbs=["parsley", "chervil", "tarragon", "chives"])

    assert changed_defaults(verbose, kitchen) == {}


def test_video_backbones_are_listed_with_their_presets():
    lines = {line.split()[1]: " ".join(line.split()[2:]) for line in listing("video-backbones").splitlines()}

    assert lines["tiny-frames"] == "| 124 K | 8 | 8 x 8 x 8 | 96 | drawn |"
    assert lines["tiny-motion"] == "| 201 K | 8 | 4 x 8 x 8 | 96 | drawn |"
    assert "| 16 x 14 x 14 | 768 | google/vivit-b-16x2-kinetics400 |" in lines["vivit-google-b-all-no-cls-16frames"]
    assert "| 8 x 257 | 1024 |" in lines["languagebind-video"]


def test_language_models_are_listed_with_their_sizes():
    lines = {line.split()[1]: " ".join(line.split()[2:]) for line in listing("llm-backbones").splitlines()}

    assert lines["llama2-7b-pure"] == "| 6.74 B | 32 | 4096 | 32064 | meta-llama/Llama-2-7b-hf |"


@pytest.mark.parametrize(
    ("count", "text"), [(7, "7"), (999, "999"), (1234, "1.23 K"), (124_000, "124 K"), (6_738_939_904, "6.74 B")]
)
def test_counts_are_told_in_three_digits(count, text):
    assert short([count]) == text


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_every_kind_lists_something(kind):
    text = listing(kind)

    assert not text.startswith("no ")
    assert text == text.strip()


def test_an_unknown_kind_names_near_ones():
    with pytest.raises(ConfigError, match="unknown kind `fusion`; did you mean `fusions`"):
        listing("fusion")
