import copy
import pickle
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from draccus import ChoiceRegistry

from merv.errors import ConfigError
from merv.registry import Registry, did_you_mean, load_plugins


@dataclass
class Part(Registry, ChoiceRegistry, kind="part"):
    size: int = 1


@Part.register_subclass("wheel")
@dataclass
class Wheel(Part):
    colours: list[str] = field(default_factory=list)
    limit: ClassVar[int] = 3


@dataclass
class Tool(Registry, ChoiceRegistry, kind="tool"):
    weight: float = 1.0


Big = Wheel.preset("big-wheel", size=9, colours=["red"])


def test_families_keep_apart():
    assert Part.available() == ["big-wheel", "wheel"]
    assert Tool.available() == []
    assert (Part.kind, Tool.kind) == ("part", "tool")


def test_a_registered_class_knows_its_name():
    assert Part.get("wheel") is Wheel
    assert Wheel().type_name == "wheel"
    assert Big().type_name == "big-wheel"


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(ConfigError, match=r"unknown part `whel`; did you mean `wheel`.* registered: big-wheel, wheel"):
        Part.get("whel")


def test_a_name_belongs_to_one_class():
    Part.register_subclass("wheel", Wheel)

    with pytest.raises(ValueError, match=r"part `wheel` is .*Wheel; .*Tool needs another name"):
        Part.register_subclass("wheel", Tool)


def test_a_preset_changes_defaults_only():
    assert Big() == Big(size=9, colours=["red"])
    assert isinstance(Big(), Wheel)
    assert Big.size == 9
    assert Wheel() == Wheel(size=1, colours=[])


def test_a_preset_gives_every_config_its_own_lists():
    Big().colours.append("blue")

    assert Big().colours == ["red"]


@pytest.mark.parametrize("name", ["spokes", "limit", "kind"])
def test_a_preset_of_an_unknown_field_is_refused(name):
    with pytest.raises(ValueError, match=f"preset `other`: Wheel has no field `{name}`; it has size, colours"):
        Wheel.preset("other", **{name: 1})
    assert "other" not in Part.available()


def test_presets_can_be_pickled_and_copied():
    config = Big(size=4)

    assert pickle.loads(pickle.dumps(config)) == config
    assert type(pickle.loads(pickle.dumps(config))) is Big
    assert copy.deepcopy(config) == config


def test_did_you_mean_lists_what_is_registered():
    assert did_you_mean("zzz", ["b", "a"]) == "registered: a, b"
    assert did_you_mean("zzz", []) == "registered: nothing"


def test_a_plugin_that_is_not_there_is_one_line():
    with pytest.raises(ConfigError, match="plugin `no_such_package` cannot be imported: No module named"):
        load_plugins(["no_such_package"])


def test_importing_a_plugin_registers_its_classes(tmp_path, monkeypatch):
    (tmp_path / "registry_plugin.py").write_text(
        "from merv.registry import Registry\nfrom draccus import ChoiceRegistry\n"
        "class Family(Registry, ChoiceRegistry, kind='thing'): ...\n"
        "Family.register_subclass('one', type('One', (Family,), {}))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    load_plugins(["registry_plugin"])

    import registry_plugin

    assert registry_plugin.Family.available() == ["one"]
