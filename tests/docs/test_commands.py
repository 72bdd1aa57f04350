"""Every command and every Python block of README and docs is run, with small numbers, in the order it stands there."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import types
from unittest import mock

import pytest
from packaging.requirements import Requirement
from torch.distributed.run import get_args_parser

from docs.reading import PAGES, ROOT, all_commands, blocks, commands, shell_blocks
from docs.stand_in import endpoint_for
from merv.conf.parse import parse
from merv.runs.cli import main
from merv.runs.pretrain_config import PretrainConfig

README = ROOT / "README.md"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXAMPLE = ROOT / "examples" / "merv_example_encoder"
SCRIPTS = {"scripts/pretrain_video.py": "train", "scripts/train_grpo.py": "train-grpo", "scripts/evaluate.py": "eval"}
"""Scripts torchrun starts, and the commands they are."""
SMALL = {"max_steps": 2, "global_batch_size": 4, "per_device_batch_size": 4}
STAGES = ("align", "full_align", "finetune", "full_finetune")


def smaller(words):
    """The words of a merv command with small numbers before its own options, which therefore win."""
    command, *rest = words
    if command in ("train", "train-grpo") and not {"--plan", "--config_path"} & set(
        rest
    ):  # a repeated run has small numbers already
        sizes = [f"--model.{stage}.{name}" for stage in STAGES for name in SMALL]
        values = list(SMALL.values()) * len(STAGES)
        less = [f"{name}={value}" for name, value in zip(sizes, values, strict=True)]
        few = [f"--model.{stage}.max_steps=2" for stage in STAGES] if command == "train-grpo" else []
        less += ["--max_completion_length", "4"] if command == "train-grpo" else []
        return [command, *less, "--num_workers", "0", "--trackers", "jsonl", *drawing(rest), *rest, *few]
    if command == "ask":
        return [*words, "--max_new_tokens", "4"]
    if command == "eval":
        return [command, "--num_workers", "0", "--max_new_tokens", "4", *rest]
    if command == "data" and "synthetic" in rest:
        return [*words, *drawing(["--dataset.type", "synthetic"])]
    return words


def drawing(words):
    drawn = "--dataset.type" in words and words[words.index("--dataset.type") + 1] == "synthetic"
    return ["--dataset.num_train", "40", "--dataset.num_eval", "8"] if drawn else []


def as_merv(words):
    """The words `merv` gets: torchrun's own options are checked and the script becomes the command it is."""
    if words[0] == "merv":
        return words[1:]
    given = get_args_parser().parse_args(words[1:])
    return [SCRIPTS[given.training_script], *given.training_script_args]


def check_pip(words):
    """What is installed exists: folders, files of constraints and packages they name, extras."""
    lists = [(ROOT / word).read_text() for word in words if word.endswith(".txt")]
    pinned = {line.partition("==")[0] for text in lists for line in text.splitlines() if "==" in line}
    options = {"install", "-e", "-c", *pinned}
    for word in words[1:]:
        if word not in options:
            folder, _, extras = word.partition("[")
            assert (ROOT / folder).exists(), word
            listed = Requirement(f"merv[{extras}" if extras else "merv").extras
            assert listed <= set(PYPROJECT["project"]["optional-dependencies"]), word


def check_make(words):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(words[1:]) <= set(targets), words


def check_file(words):
    name = words[-1]
    assert (ROOT / name).is_file() or name == ".venv/bin/activate", words


def check_python(words):
    """A benchmark, which may ask for a machine the tests do not have: its options are read, it is not run."""
    path = ROOT / words[1]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "path", [str(path.parent), *sys.path]):
        spec.loader.exec_module(module)
    [config] = [
        value for name, value in vars(module).items() if name.endswith("Config") and value.__module__ == path.stem
    ]
    parse(config, words[2:])


OTHERS = {"make": check_make, "pip": check_pip, ".ci/run": check_file, "source": check_file, "python": check_python}
"""Commands that are looked at and not run."""


def run_shell(block, capfd):
    """Run a block's commands; gives what they said."""
    capfd.readouterr()
    faulty = block.page.name == "faults.md"
    for command in commands(block):
        if command.words[0] in OTHERS:
            OTHERS[command.words[0]](command.words)
            continue
        name, *rest = as_merv(command.words)
        with endpoint_for([name, *rest]) as words:
            status = main([name, *drawing(rest), *rest] if faulty else smaller(words))
        assert status == (2 if faulty else 0), f"{command}: {capfd.readouterr().err}"
    said = capfd.readouterr()
    return said.out + said.err


def run_python(block, module):
    """Run a Python block, or write the file its first line names, or compare it with the example it shows."""
    first = block.text.partition("\n")[0]
    if block.text.startswith('"""A video encoder in a package of its own'):
        assert block.text == (EXAMPLE / "merv_example_encoder.py").read_text(), f"{block} is not the example"
    elif named := re.fullmatch(r"# (\w+\.py)", first):
        with open(named[1], "w") as file:
            file.write(block.text)
    else:
        exec(compile(block.text, str(block), "exec"), module.__dict__)


def assert_shows(block, said):
    """Every line of a text block below commands was said; `...` stands for anything."""
    for line in block.text.splitlines():
        pattern = ".*".join(map(re.escape, line.split("...")))
        assert re.search(pattern, said), f"{block}: `{line}` is not in\n{said}"


@pytest.fixture(scope="session")
def done():
    """Pages that have been run."""
    return set()


def run_page(page, capfd):
    module = types.ModuleType("__main__")
    said = None
    for block in blocks(page):
        if block.language == "sh":
            said = run_shell(block, capfd)
            continue
        if block.language == "python":
            run_python(block, module)
        if block.language == "text" and said is not None and page.name == "faults.md":
            assert_shows(block, said)
        said = None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_runs(page, at_work, capfd, done):
    if README not in done:  # the runs of README are what the other pages speak of
        done.add(README)
        run_page(README, capfd)
    if page not in done:
        done.add(page)
        run_page(page, capfd)

    assert (at_work / "runs" / "first" / "model.safetensors").is_file()


def test_the_published_commands_parse_and_are_four():
    published = [
        parse(PretrainConfig, as_merv(command.words)[1:])
        for command in all_commands()
        if command.words[0] == "torchrun" and "merv-base" in command.words
    ]

    assert [config.run_id for config in published] == [
        "merv-run",
        "merv-novel",
        "merv-run-qwen2.5",
        "merv-run-llama3.1",
    ]
    assert all(config.model.model_id == config.run_id and config.plan for config in published)
    assert published[1].model.num_frames == [16, 16, 32, 16]
    assert published[1].model.video_backbone_ids[2] == "hiera-base-plus-video"
    assert published[2].model.finetune.per_device_batch_size == 2
    assert published[3].model.llm_backbone_id == "llama3.1-8b-chat"


def test_readme_shows_what_a_newcomer_needs():
    shown = [" ".join(command.words) for block in shell_blocks(README) for command in commands(block)]

    for wanted in (
        "make setup",
        "make demo",
        "make test",
        "make check",
        ".ci/run",
        "merv doctor",
        "merv ask",
        "merv eval",
    ):
        assert any(line.startswith(wanted) for line in shown), wanted


def test_the_example_is_found_by_the_entry_point_the_page_shows():
    [shown] = [block for block in blocks(ROOT / "docs" / "add_a_backbone.md") if block.language == "toml"]

    assert shown.text.strip() in (EXAMPLE / "pyproject.toml").read_text()


@pytest.mark.dist
@pytest.mark.slow
def test_the_first_torchrun_line_runs_as_torchrun_and_leaves_the_files_the_page_lists(at_work, tmp_path):
    first = next(c.words for c in all_commands() if c.words[0] == "torchrun" and "--plan" not in c.words)
    words = [*first[1:], *drawing(first), "--dataset.dataset_root_dir", str(at_work / "data"), "--num_workers", "1"]
    [tree] = [b.text for b in blocks(ROOT / "docs" / "train.md") if b.language == "text"]
    listed = {line.split()[1] for line in tree.splitlines() if line.startswith(("├──", "└──"))}

    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, "--run_root_dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    left = {path.name for path in (tmp_path / "first-align").iterdir()}
    assert left == listed - {"bad_samples.jsonl", "eval"}
