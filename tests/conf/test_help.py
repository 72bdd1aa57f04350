import dataclasses

import pytest
from conf_shapes import Model, MultiEncoder, Run
from draccus import ChoiceRegistry

from merv.conf.help import field_docs, help_text
from merv.conf.parse import parse
from merv.conf.tree import start
from merv.registry import Registry


def help_of(config_class, width=100):
    return help_text(config_class, start(config_class), "train", width)


def printed(capsys, *args):
    with pytest.raises(SystemExit):
        parse(Run, [*args, "--help"], prog="train")
    return capsys.readouterr().out


def test_help_gives_type_default_and_docstring_of_an_option():
    text = help_of(Run)

    assert "  --seed <int>  [default: 7]\n        Seed of everything drawn.\n" in text
    assert "  --resume_from <path | null>  [default: null]\n" in text
    assert "  --model.num_frames <list[int]>  [default: [4,4]]\n        Frames each encoder sees.\n" in text


def test_help_lists_registered_names_and_literal_choices():
    text = help_of(Run)

    assert "registered: hf-vlm, merv-base, merv-tiny" in text
    assert "one of: align, full-align, finetune, full-finetune" in text


def test_help_groups_options_by_nested_config():
    text = help_of(Run)

    groups = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert groups[:5] == ["options:", "model:", "model.align:", "model.align.lora:", "model.full_align:"]
    assert len(groups) == len(set(groups))
    assert "model.finetune:\n  The LLM learns. Options as explained for model.align.\n" in text


def test_help_shows_the_defaults_of_the_chosen_type(capsys):
    text = printed(capsys, "--model.type", "hf-vlm")

    assert "--model.size_px <int>  [default: 980]" in text
    assert "--model.type  [default: hf-vlm]" in text
    assert "--model.num_frames" not in text


def test_help_shows_what_a_file_changes(capsys, tmp_path):
    (tmp_path / "a.yaml").write_text("model: {type: merv-base, finetune_epochs: 5}")

    text = printed(capsys, "--config_path", str(tmp_path / "a.yaml"))

    assert "--model.finetune.epochs <int>  [default: 5]" in text


def test_help_begins_with_the_story_of_the_command():
    text = help_of(Run)

    assert text.startswith("usage: train [--option value")
    assert "\nTrain a model on a dataset.\n" in text
    assert "This part is not for the help" not in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_help_keeps_to_the_width_of_the_terminal(width):
    lines = help_of(Run, width).splitlines()

    assert all(len(line) <= width for line in lines if not line.lstrip().startswith("--"))


def test_help_marks_what_has_no_default():
    config_class = dataclasses.make_dataclass("Config", [("run_id", str), ("model", Model)])

    text = help_of(config_class)

    assert "--run_id <text>  [required]" in text
    assert "--model.type  [default: merv-tiny]" in text


def test_docstrings_of_fields_are_inherited_by_presets():
    assert field_docs(MultiEncoder)["model_id"] == "Name of the model."
    assert field_docs(Model.get("merv-tiny"))["num_frames"] == "Frames each encoder sees."


@dataclasses.dataclass
class Node:
    size: int = 1
    below: "Node | None" = None


@dataclasses.dataclass
class Empty(Registry, ChoiceRegistry, kind="empty"):
    pass


def test_a_config_that_can_hold_itself_is_not_followed_without_end():
    names = [line.split()[0] for line in help_of(Node).splitlines() if line.startswith("  --")]

    assert names[2:] == ["--size", "--below", "--below.size", "--below.below"]


def test_a_family_without_members_says_so():
    text = help_of(dataclasses.make_dataclass("Config", [("part", Empty)]))

    assert "  --part.type  [required]\n        registered: nothing\n" in text
