import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from conf_shapes import Dataset, HfVlm, Lora, Model, MultiEncoder, Precision, Run, Stage, Synthetic, VideoLlava
from hypothesis import given, settings
from hypothesis import strategies as st

from merv.conf.parse import parse
from merv.errors import ConfigError

ENCODERS = [
    "languagebind-video-noclass",
    "dinov2-video-all-tokens",
    "hiera-base-plus-video",
    "siglip-vit-b16-224px-all-no-cls",
]

# The options of the four published training commands, as they stand in a shell script.
PUBLISHED = {
    "base": """--run_id $ID --model.model_id $ID --model.type "merv-base" \
        --dataset.type "videollava" --stage finetune""",
    "encoders": """--run_id $ID --model.model_id $ID --model.type "merv-base" \
        --model.video_backbone_ids ['languagebind-video-noclass','dinov2-video-all-tokens','hiera-base-plus-video','siglip-vit-b16-224px-all-no-cls'] \
        --model.num_frames [16,16,32,16] --model.projector_token_length 16 --model.visual_feature_length 256 \
        --dataset.type "videollava" --stage finetune""",  # noqa: E501 - one word on the command line
    "qwen": """--run_id $ID --model.model_id $ID --model.finetune_per_device_batch_size 2 \
        --model.llm_backbone_id "qwen2.5-7b-instruct" --model.type "merv-base" --dataset.type "videollava" \
        --stage finetune""",
    "llama": """--run_id $ID --model.model_id $ID --model.llm_backbone_id "llama3.1-8b-chat" \
        --model.finetune_per_device_batch_size 4 --model.type "merv-base" --dataset.type "videollava" \
        --stage finetune""",
}


def run_config(*args: str) -> Run:
    return parse(Run, args)


def refused(*args: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(Run, args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def words_in_bash(line: str, cwd: Path) -> list[str]:
    script = f'ID="merv-run"\nprintf "%s\\n" {line}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout.splitlines()


@pytest.fixture(params=["local", "merv.runs.pretrain"])
def run_class(request):
    if request.param == "local":
        return Run
    return pytest.importorskip(request.param, reason="the pretraining command is not written yet").PretrainConfig


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_command_lines_parse_as_bash_hands_them_over(name, run_class, tmp_path):
    config = parse(run_class, words_in_bash(PUBLISHED[name], tmp_path))

    assert (config.model.type_name, config.dataset.type_name) == ("merv-base", "videollava")
    assert (config.run_id, config.model.model_id, config.stage) == ("merv-run", "merv-run", "finetune")
    if name == "encoders":
        assert config.model.video_backbone_ids == ENCODERS
        assert config.model.num_frames == [16, 16, 32, 16]
        assert (config.model.projector_token_length, config.model.visual_feature_length) == (16, 256)
    if name == "qwen":
        assert config.model.llm_backbone_id == "qwen2.5-7b-instruct"
        assert config.model.finetune.per_device_batch_size == 2


def test_bash_takes_the_quotes_out_of_brackets(tmp_path):
    words = words_in_bash("--model.video_backbone_ids ['a','b']", tmp_path)

    assert words == ["--model.video_backbone_ids", "[a,b]"]
    assert run_config(*words).model.video_backbone_ids == ["a", "b"]


def test_no_options_give_the_defaults():
    assert run_config() == Run()


def test_an_option_keeps_its_siblings_as_the_preset_had_them():
    config = run_config("--model.finetune.lora.alpha", "2", "--model.finetune.epochs=3")

    assert config.model.finetune == Stage(epochs=3, per_device_batch_size=4, lora=Lora(rank=99, alpha=2.0))
    assert config.model.num_frames == [4, 4]
    assert config.model.type_name == "merv-tiny"


def test_a_type_is_chosen_before_its_options_wherever_it_stands():
    late = run_config("--model.size_px", "490", "--model.type", "hf-vlm")
    early = run_config("--model.type", "hf-vlm", "--model.size_px", "490")

    assert late == early
    assert late.model == HfVlm(size_px=490)


def test_an_option_given_twice_takes_the_later_value():
    assert run_config("--seed", "1", "--seed", "2").seed == 2
    flat_last = run_config("--model.finetune.epochs", "2", "--model.finetune_epochs", "3")
    nested_last = run_config("--model.finetune_epochs", "3", "--model.finetune.epochs", "2")
    assert (flat_last.model.finetune.epochs, nested_last.model.finetune.epochs) == (3, 2)


def test_a_value_may_start_with_one_dash():
    assert run_config("--pause", "-1e-5").pause == -1e-5
    assert run_config("--seed=-3").seed == -3
    assert run_config("--notes=--x=y").notes == "--x=y"


def test_a_boolean_may_stand_alone():
    assert run_config("--plan", "--seed", "1").plan is True
    assert run_config("--plan", "off").plan is False


def test_other_options_need_a_value():
    assert refused("--model.projector_token_length", "--plan") == "`--model.projector_token_length` needs a value: int"
    assert "`--run_id` needs a value: text" in refused("--run_id")
    assert "`model.type` has no value; registered: hf-vlm, merv-base, merv-tiny" in refused("--model.type")


def test_hyphens_and_underscores_are_alike_in_names():
    config = run_config("--run-root-dir", "out", "--model.finetune-per-device-batch-size", "2")

    assert config.run_root_dir == Path("out")
    assert config.model.finetune.per_device_batch_size == 2


def test_entries_of_a_dict_are_reached_by_dots():
    config = run_config("--model.backbone_options.tiny.depth", "3", "--model.backbone_options.vivit-b.rate", "1e-4")

    assert config.model.backbone_options == {"tiny": {"depth": 3, "dim": 8}, "vivit-b": {"rate": 1e-4}}


def test_null_drops_an_entry_of_a_dict():
    assert run_config("--model.backbone_options.tiny.dim", "null").model.backbone_options == {"tiny": {"depth": 2}}
    assert run_config("--encoders.first", "null").encoders == {}


def test_a_dict_given_whole_replaces_the_default():
    config = run_config("--model.backbone_options", "{vit: {depth: 1, name: '007'}}", "--extra.a.b", "[1, x]")

    assert config.model.backbone_options == {"vit": {"depth": 1, "name": "007"}}
    assert config.extra == {"a": {"b": [1, "x"]}}


def test_options_change_configs_kept_in_a_dict():
    config = run_config("--encoders.first.weight", "2", "--encoders.second.type", "synthetic")

    assert config.encoders == {"first": VideoLlava(weight=2.0), "second": Synthetic()}


def test_defaults_are_not_shared_between_two_parses():
    shared = {"depth": {"of": 1}}
    config_class = dataclasses.make_dataclass(
        "Config", [("extra", dict[str, dict[str, int]], dataclasses.field(default_factory=lambda: shared))]
    )

    parse(config_class, ["--extra.depth.of", "2"])

    assert parse(config_class, []).extra == {"depth": {"of": 1}}


def test_an_optional_config_comes_with_its_type_and_goes_with_null(tmp_path):
    assert run_config("--teacher.type", "hf-vlm", "--teacher.size_px", "3").teacher == HfVlm(size_px=3)
    assert run_config("--teacher.model_id", "x").teacher == Model.get("merv-tiny")(model_id="x")
    (tmp_path / "a.yaml").write_text("teacher: {type: hf-vlm}")
    assert run_config("--config_path", str(tmp_path / "a.yaml"), "--teacher", "null").teacher is None


def test_a_list_of_configs_is_written_in_braces():
    config = run_config("--mixture", "[{type: synthetic, num-samples: 3}, {type: videollava}]")

    assert config.mixture == [Synthetic(num_samples=3), VideoLlava()]
    assert "mixture.0.num_sample" in refused("--mixture", "[{type: synthetic, num_sample: 3}]")


def test_values_take_the_declared_type():
    config = run_config(
        *("--run_id", "007", "--seed", "1e3", "--resume_from", "null", "--notes", "", "--precision", "fp32"),
        *("--frames", "16,16", "--pause", "never", "--trackers", "[007, true]"),
    )

    assert (config.run_id, config.seed, config.resume_from, config.notes) == ("007", 1000, None, "")
    assert (config.precision, config.frames, config.pause) == (Precision.FULL, [16, 16], "never")
    assert config.trackers == ["007", "true"]


def test_files_are_laid_over_one_another_and_options_over_them(tmp_path):
    (tmp_path / "a.yaml").write_text("run_id: 007\nseed: 1\nmodel:\n  num_frames: [1, 2]\n  type: merv-base\n")
    (tmp_path / "b.json").write_text('{"seed": 2, "model": {"finetune_epochs": 5, "finetune": {"max_steps": 9}}}')

    config = run_config(
        "--model.llm_max_length",
        "64",
        "--config_path",
        str(tmp_path / "a.yaml"),
        f"--config-path={tmp_path / 'b.json'}",
    )

    assert (config.run_id, config.seed) == ("007", 2)
    assert (config.model.num_frames, config.model.llm_max_length) == ([1, 2], 64)
    assert config.model.finetune == Stage(epochs=5, max_steps=9, per_device_batch_size=4, lora=Lora(rank=99))


def test_another_type_starts_its_part_of_the_file_afresh(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {type: hf-vlm, size_px: 1, model_id: old}\nseed: 3")

    config = run_config("--config_path", str(tmp_path / "a.yaml"), "--model.type", "merv-base")

    assert config == Run(model=MultiEncoder(), seed=3)


def test_the_same_type_keeps_what_the_file_says(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {type: hf-vlm, size_px: 1}")

    config = run_config("--config_path", str(tmp_path / "a.yaml"), "--model.type", "hf-vlm")

    assert config.model == HfVlm(size_px=1)


def test_plugins_are_imported_before_types_are_chosen(tmp_path, monkeypatch):
    (tmp_path / "conf_plugin.py").write_text(
        "from dataclasses import dataclass\n"
        "from conf_shapes import Dataset\n"
        "@Dataset.register_subclass('from-plugin')\n"
        "@dataclass\n"
        "class FromPlugin(Dataset):\n"
        "    height: int = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Dataset, "_choice_registry", dict(Dataset._choice_registry))

    config = run_config("--dataset.type", "from-plugin", "--dataset.height", "2", "--plugins", "conf_plugin")

    assert (config.dataset.type_name, config.dataset.height) == ("from-plugin", 2)


def test_a_config_that_keeps_its_plugins_loads_them_from_its_file(tmp_path, monkeypatch):
    for name in ("kept_plugin", "more_plugin"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "a.yaml").write_text("plugins: [kept_plugin]")
    monkeypatch.syspath_prepend(tmp_path)
    config_class = dataclasses.make_dataclass(
        "Config", [("plugins", list[str], dataclasses.field(default_factory=list))]
    )

    from_file = parse(config_class, ["--config_path", str(tmp_path / "a.yaml")])
    from_option = parse(config_class, ["--plugins", "more_plugin"])

    assert (from_file.plugins, from_option.plugins) == (["kept_plugin"], ["more_plugin"])
    assert {"kept_plugin", "more_plugin"} <= set(sys.modules)


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_text_reaches_a_text_field_unchanged(text):
    assert run_config(f"--run_id={text}").run_id == text


def test_a_registered_name_given_for_a_group_chooses_its_type():
    short = parse(Run, ["--model", "hf-vlm"])

    assert short == parse(Run, ["--model.type", "hf-vlm"])
    assert type(short.model) is not type(Run().model)
