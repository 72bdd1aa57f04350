"""The `merv` command as a user meets it: help, lists, questions, and who of several processes speaks."""

import shutil

import pytest
from helpers import course, run_words

from merv.backbones.video.base import VideoBackboneConfig
from merv.conf import files, mistakes
from merv.conf.parse import parse
from merv.models.stage import StageConfig
from merv.runs.ask import named
from merv.runs.cli import COMMANDS, main
from merv.runs.listing import FAMILIES
from merv.runs.pretrain_config import PretrainConfig

PLAN = ["train", "--model.type", "merv-tiny", "--dataset.type", "synthetic", "--plan"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def one_of_two(monkeypatch):
    """Call it with a rank to be that process of two, as torchrun says it."""

    def be(rank):
        for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}.items():
            monkeypatch.setenv(name, str(value))

    monkeypatch.setattr(mistakes, "PATIENCE_S", 0.0)
    return be


def test_without_a_command_the_usage_is_shown(capsys):
    assert main([]) == 2
    assert main(["--help"]) == 0

    shown = capsys.readouterr().out
    assert all(shown.count(f"\n  {name} ") == 2 for name in COMMANDS)


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("merv 0.")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command, capsys):
    assert main([command, "--help"]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: merv {command}")
    assert shown.count("--plugins") == (0 if command in ("doctor", "export", "data", "filter") else 1)


def test_help_of_a_type_shows_its_defaults_and_every_stage(capsys):
    assert main(["train", "--help", "--model.type", "merv-tiny"]) == 0

    shown = capsys.readouterr().out
    assert "--model.type  [default: merv-tiny]" in shown
    assert "[default: [tiny-frames,tiny-coarse,tiny-motion]]" in shown
    for stage in ("align", "full_align", "finetune", "full_finetune"):
        assert all(f"--model.{stage}.{name}" in shown for name in vars(StageConfig()))


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_every_kind_can_be_listed(kind, capsys):
    assert main(["list", kind]) == 0
    assert capsys.readouterr().out.strip()


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "merv_outside_cli.py").write_text(
        "from dataclasses import dataclass\n"
        "from merv.backbones.video.base import VideoBackboneConfig\n"
        "@VideoBackboneConfig.register_subclass('outside-cli')\n"
        "@dataclass\n"
        "class Outside(VideoBackboneConfig):\n"
        "    '''From outside.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "merv_outside_cli"
    VideoBackboneConfig.get_known_choices().pop("outside-cli", None)


def test_a_list_shows_what_a_plugin_registers(plugin, capsys):
    assert main(["list", "video-backbones", f"--plugins={plugin}"]) == 0
    assert "outside-cli" in [line.split()[1] for line in capsys.readouterr().out.splitlines()]


def test_doctor_reports(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("everything merv needs is here\n")


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("run a.mp4 What?", "--model=run --video=a.mp4 --question=What?"),
        ("run What?", "--model=run --question=What?"),
        ("run a.mp4", "--model=run --video=a.mp4"),
        ("run", "--model=run"),
        ("run a.mp4 --start 1 What? --end=2", "--model=run --video=a.mp4 --question=What? --start 1 --end=2"),
        ("--start -1 run a.mp4 What?", "--model=run --video=a.mp4 --question=What? --start -1"),
        ("run What? --image a.png", "--model=run --question=What? --image a.png"),
        ("run a.mp4 --question What?", "--model=run --video=a.mp4 --question What?"),
        ("a.mp4 What? --model run", "--video=a.mp4 --question=What? --model run"),
        ("run -what?", "--model=run --question=-what?"),
        ("-h", "-h"),
    ],
)
def test_words_of_a_question_may_stand_without_names(words, options):
    assert named(words.split()) == options.split()


def test_a_folder_of_frames_is_a_video_though_it_has_no_suffix(tmp_path):
    (tmp_path / "frames").mkdir()

    assert named(["run", "frames"]) == ["--model=run", "--video=frames"]


def test_a_question_is_answered_with_or_without_names(trained_run, synthetic_data, capsys):
    clip = f"{synthetic_data[3]}/download/synthetic/videos/eval-000000.mp4"
    short = ["--start", "0.5", "--end", "1", "--max_new_tokens", "4"]

    assert main(["ask", str(trained_run), clip, "What shape is it?", *short]) == 0
    words = capsys.readouterr()
    assert main(["ask", "--model", str(trained_run), "--video", clip, "--question", "What shape is it?", *short]) == 0

    assert words.out == capsys.readouterr().out
    assert words.out.endswith("\n")
    assert words.err == ""


@pytest.mark.parametrize("name", ["007", "1_0", "true", "null-and-void", "include x", "1e3", "~"])
def test_a_name_stays_the_text_that_was_typed(name, tmp_path):
    config = parse(PretrainConfig, ["--run_id", name, "--model.type", "merv-tiny", "--wandb_project", name])
    files.save(config, tmp_path / "config.yaml")

    assert config.run_dir.name == config.wandb_project == name
    assert parse(PretrainConfig, ["--config_path", str(tmp_path / "config.yaml")]) == config


def test_the_config_a_run_saves_reproduces_it(trained_run):
    root = trained_run.parent

    assert main(["train", "--config_path", str(trained_run / "config.yaml"), "--run_id", "again"]) == 0

    assert course(root / "again") == course(trained_run)
    shutil.rmtree(root / "again")


def test_a_mistake_in_the_options_is_told_by_the_first_process_alone(one_of_two, capsys):
    one_of_two(1)
    assert main(["train", "--modle", "x"]) == 2
    assert capsys.readouterr() == ("", "")

    one_of_two(0)
    assert main(["train", "--modle", "x"]) == 2
    assert capsys.readouterr().err == "merv train: error: there is no option `--modle`; did you mean `--model`?\n"


def test_a_later_mistake_carries_the_rank(one_of_two, synthetic_data, tmp_path, capsys):
    one_of_two(1)

    assert main(["train", *run_words(synthetic_data, tmp_path, "x", strategy="ddpp")]) == 2

    assert capsys.readouterr().err.startswith("[rank 1] merv train: error: unknown strategy `ddpp`; did you mean")


@pytest.mark.parametrize("words", [["train", "--help"], PLAN])
def test_help_and_plan_are_printed_by_the_first_process_alone(words, one_of_two, capsys):
    one_of_two(1)
    assert main(words) == 0
    assert capsys.readouterr().out == ""

    one_of_two(0)
    assert main(words) == 0
    assert capsys.readouterr().out != ""
