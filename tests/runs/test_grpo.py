"""GRPO runs from command line to folder, in this process."""

import json
from pathlib import Path

import pytest
from grpo_runs import grpo_words, train_grpo, write_plugin
from helpers import assert_same_weights, course, rows, run_words, train
from safetensors.torch import load_file
from tiny_vlms import tiny_vlm
from torch.testing import assert_close

import merv
from merv.conf import files
from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError, RunStopped
from merv.runs.cli import main
from merv.runs.grpo_config import GrpoRunConfig
from merv.runs.listing import listing


def lines(run):
    return [json.loads(line) for line in (run / "completions.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_reward_of_a_run_on_clips_rises(synthetic_data, tmp_path):
    reward = f"{write_plugin(tmp_path)}:names_colours"
    sizes = {"max_steps": 20, "learning_rate": 1e-2}

    train_grpo(grpo_words(synthetic_data, tmp_path, "run", reward, "--num_generations", "8", **sizes))

    rewards = [row["reward"] for row in rows(tmp_path / "run")]
    assert sum(rewards[:5]) / 5 < 0.4
    assert sum(rewards[-5:]) / 5 > 0.8
    assert any(line["prompt"].count("Options") for line in lines(tmp_path / "run"))


def test_a_run_leaves_its_records_and_a_model_that_answers(synthetic_data, tmp_path):
    words = grpo_words(synthetic_data, tmp_path, "run", "accuracy,text-similarity", max_steps=2)

    train_grpo(words)

    run = tmp_path / "run"
    row = rows(run)[0]
    assert {"reward", "reward/accuracy", "reward/text-similarity", "reward_std", "completion_tokens"} <= row.keys()
    assert {"truncated", "groups_without_spread"} <= row.keys()
    assert "kl" not in row, "beta is 0"
    assert len(lines(run)) == 2 * 4 * 4
    assert files.load(GrpoRunConfig, run / "config.yaml") == parse(GrpoRunConfig, words)
    assert isinstance(merv.load(run, device="cpu").generate(prompt="What colour is snow?", max_new_tokens=2), str)


@pytest.mark.parametrize("lora", [(), ("--model.finetune.lora.rank", "2")])
def test_a_model_of_transformers_is_left_as_transformers_or_peft_load_it(lora, synthetic_data, tmp_path):
    folder = tiny_vlm("qwen2.5-vl", tmp_path / "published")
    own = ["--model.type", "hf-vlm", "--model.path", str(folder), "--beta", "0.1", *lora, *synthetic_data]
    sizes = ["--model.finetune.global_batch_size", "2", "--model.finetune.per_device_batch_size", "1"]
    sizes += ["--model.finetune.train_strategy", "single", "--model.finetune.max_steps", "1", "--num_workers", "0"]
    reward = [
        "--reward",
        f"{write_plugin(tmp_path)}:variety",
        "--num_generations",
        "2",
        "--max_completion_length",
        "4",
    ]

    train_grpo([*own, *sizes, *reward, "--run_id", "run", "--run_root_dir", str(tmp_path)])

    file = "adapter_model.safetensors" if lora else "model.safetensors"
    names = list(load_file(tmp_path / "run" / file))
    assert names
    assert not [name for name in names if "reference" in name]
    assert merv.load(tmp_path / "run", device="cpu").generate(prompt="What is it?", max_new_tokens=2) is not None


def test_completions_are_written_as_often_as_asked(synthetic_data, tmp_path):
    options = ("--log_completions", "2")

    train_grpo(grpo_words(synthetic_data, tmp_path, "run", "accuracy", *options, max_steps=3))

    assert sorted({line["step"] for line in lines(tmp_path / "run")}) == [1, 3]


def test_the_model_and_nothing_else_decides_the_answers(synthetic_data, tmp_path):
    reward = f"{write_plugin(tmp_path)}:variety"
    for name in ("one", "two"):
        train_grpo(grpo_words(synthetic_data, tmp_path, name, reward, max_steps=2))

    assert course(tmp_path / "one") == course(tmp_path / "two")
    assert lines(tmp_path / "one") == lines(tmp_path / "two")
    assert_same_weights(tmp_path / "one", tmp_path / "two")
    assert {line["completion"] for line in lines(tmp_path / "one")} > {lines(tmp_path / "one")[0]["completion"]}


def test_it_starts_from_the_finetune_run_of_its_model_and_no_later_run_starts_from_it_unasked(
    synthetic_data, tmp_path
):
    train(run_words(synthetic_data, tmp_path, "sft", stage="finetune", max_steps=1))
    train_grpo(grpo_words(synthetic_data, tmp_path, "first", "accuracy", max_steps=1))
    train_grpo(grpo_words(synthetic_data, tmp_path, "second", "accuracy", max_steps=1))
    from_it = ("--pretrained_checkpoint", str(tmp_path / "first"))
    train_grpo(grpo_words(synthetic_data, tmp_path, "third", "accuracy", *from_it, max_steps=1))

    assert parents(tmp_path / "first") == parents(tmp_path / "second") == [str(tmp_path / "sft")]
    assert parents(tmp_path / "third") == [str(tmp_path / "first")]


def test_a_resumed_run_stays_near_the_run_it_started_from_although_a_newer_one_is_there(synthetic_data, tmp_path):
    reward = f"{write_plugin(tmp_path)}:breaks_off"
    more = ("--beta", "0.5", "--save_checkpoint_after", "2", "--async_checkpoints", "false")
    train(run_words(synthetic_data, tmp_path, "sft", stage="finetune", max_steps=1))
    train_grpo(grpo_words(synthetic_data, tmp_path, "whole", reward, *more, max_steps=4))
    (tmp_path / "break").touch()
    command = grpo_words(synthetic_data, tmp_path, "run", reward, *more, max_steps=4)
    with pytest.raises(RunStopped, match="broken off"):
        train_grpo(command)
    (tmp_path / "break").unlink()
    train(run_words(synthetic_data, tmp_path, "newer", stage="finetune", max_steps=3))

    train_grpo(command)

    assert [row["kl"] for row in rows(tmp_path / "run")] == [row["kl"] for row in rows(tmp_path / "whole")]
    assert lines(tmp_path / "run") == lines(tmp_path / "whole")
    assert parents(tmp_path / "run") == [str(tmp_path / "sft")]


def parents(run):
    return json.loads((run / "lineage.json").read_text())["parents"]


def test_a_run_that_began_without_a_parent_gets_none_when_it_is_resumed(synthetic_data, tmp_path):
    reward = f"{write_plugin(tmp_path)}:breaks_off"
    more = ("--beta", "0.5", "--save_checkpoint_after", "2", "--async_checkpoints", "false")
    command = grpo_words(synthetic_data, tmp_path, "run", reward, *more, max_steps=3)
    (tmp_path / "break").touch()
    with pytest.raises(RunStopped, match="broken off"):
        train_grpo(command)
    (tmp_path / "break").unlink()
    train(run_words(synthetic_data, tmp_path, "newer", stage="finetune", max_steps=1))

    train_grpo(command)

    assert parents(tmp_path / "run") == []


def test_a_filled_feature_cache_changes_no_number(synthetic_data, tmp_path):
    reward = f"{write_plugin(tmp_path)}:variety"
    cached = ("--feature_cache", str(tmp_path / "features"))
    for name, more in (("without", ()), ("filling", cached), ("filled", cached)):
        train_grpo(grpo_words(synthetic_data, tmp_path, name, reward, "--beta", "0.5", *more, max_steps=2))

    for name in ("filling", "filled"):
        assert_close(course(tmp_path / name), course(tmp_path / "without"), rtol=1e-5, atol=1e-6)


def test_a_run_may_go_on_with_another_weight_of_the_divergence(synthetic_data, tmp_path):
    for steps, beta in enumerate(("0.5", "0", "0.5"), start=1):
        train_grpo(grpo_words(synthetic_data, tmp_path, "run", "accuracy", "--beta", beta, max_steps=steps))

    assert ["kl" in row for row in rows(tmp_path / "run")] == [True, False, True]


def test_the_system_message_stands_in_every_prompt(synthetic_data, tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text("Answer with one colour.")

    train_grpo(grpo_words(synthetic_data, tmp_path, "run", "accuracy", "--system", str(file), max_steps=1))

    assert all("Answer with one colour." in line["prompt"] for line in lines(tmp_path / "run"))


def test_questions_of_a_task_are_scored_by_the_task(synthetic_data, tmp_path):
    root = synthetic_data[3]
    data = ["--dataset.type", "task", "--dataset.task.type", "synthetic-mcq", "--dataset.task.dataset_root_dir", root]

    train_grpo(grpo_words(data, tmp_path, "run", "task", max_steps=1))

    assert {line["id"] for line in lines(tmp_path / "run")} <= {f"eval-{number}" for number in range(4)}
    assert "reward/task" in rows(tmp_path / "run")[0]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "raises",
            r"reward `raises` raised OSError: no disk for train-\d+ \(\S+plugin\.py:\d+\); it was scoring answers",
        ),
        ("gives_nan", r"reward `gives_nan` is nan for an answer to sample `train-\d+`"),
    ],
)
def test_a_reward_that_fails_stops_the_run_and_what_was_learnt_stays(synthetic_data, tmp_path, name, line):
    reward = f"{write_plugin(tmp_path)}:{name}"

    with pytest.raises(RunStopped, match=line) as caught:
        train_grpo(grpo_words(synthetic_data, tmp_path, "run", reward, max_steps=1))

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("reward", "line"),
    [
        ("{folder}/plugin.py:name_colours", "has no `name_colours`; did you mean `names_colours`"),
        ("{folder}/plugin.py:shape", "reward `shape` is str; expected a function"),
        ("{folder}/absent.py:f", "there is no file .*absent.py"),
        ("accuracy,accuracy", "two rewards are called `accuracy`"),
        ("task", "reward `task` scores answers to a task's questions, and the dataset is `synthetic`"),
        ("acuracy", "unknown reward `acuracy`; did you mean `accuracy`"),
    ],
)
def test_a_reward_that_is_not_there_costs_no_loading_time(synthetic_data, tmp_path, reward, line, monkeypatch):
    write_plugin(tmp_path)
    monkeypatch.setattr("merv.runs.assemble.starting_model", lambda config: pytest.fail("a model was built"))

    with pytest.raises(ConfigError, match=line):
        train_grpo(grpo_words(synthetic_data, tmp_path, "run", reward.format(folder=tmp_path)))


def test_the_command_tells_mistakes_in_one_line(synthetic_data, tmp_path, capsys):
    status = main(["train-grpo", *grpo_words(synthetic_data, tmp_path, "run", f"{tmp_path}/absent.py:f")])

    assert status == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("merv train-grpo: error: reward `")
    assert main(["train-grpo", "--model.type", "merv-tiny"]) == 2
    assert "reward is empty" in capsys.readouterr().err


def test_a_checkpoint_of_another_method_is_refused(synthetic_data, tmp_path):
    train(run_words(synthetic_data, tmp_path, "run", stage="finetune", max_steps=1))

    with pytest.raises(CheckpointError, match="method is None there, grpo here"):
        train_grpo(grpo_words(synthetic_data, tmp_path, "run", "accuracy", max_steps=2))


def test_a_run_has_a_name_of_its_own():
    words = ["--model.type", "merv-tiny", "--dataset.type", "synthetic", "--reward", "accuracy"]

    assert parse(GrpoRunConfig, words).run_id == "merv-tiny-finetune-grpo"


def test_rewards_are_listed():
    found = [line.split()[0] for line in listing("rewards").splitlines()]

    assert found == ["accuracy", "format", "task", "temporal-iou", "text-similarity"]


def test_the_published_script_names_what_is_there_with_the_published_values():
    script = Path(__file__).parents[2] / "scripts" / "grpo" / "vase_3d.sh"
    words = script.read_text().partition("train_grpo.py")[2].replace('"$@"', "").replace("\\", "").strip('"').split()

    found = parse(GrpoRunConfig, [*words, "--reward", "text-similarity", "--dataset.annotations", "vases.json"])

    assert (found.num_generations, found.beta, found.max_completion_length) == (4, 0.001, 256)
    assert (found.stage_config.learning_rate, found.stage_config.warmup_ratio) == (1e-6, 0.01)
