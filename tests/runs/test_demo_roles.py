"""The role models' tour without its training: what it would run, and the table it ends with."""

import shlex

import pytest

from merv.conf.parse import parse
from merv.data.datasets import DatasetConfig
from merv.errors import ConfigError, RunStopped
from merv.evaluation.task import TaskConfig
from merv.runs import demo_roles
from merv.runs.demo_roles import ASKED, QUESTIONS, STEPS, DemoRolesConfig, run_id, summary, train_roles
from merv.runs.pretrain_config import PretrainConfig


@pytest.fixture
def start(monkeypatch):
    """Call with a status: processes end with it at once.  Gives the list of their commands and threads."""

    def with_status(status):
        begun = []

        class Ended:
            returncode = status

            def __init__(self, command, env):
                begun.append((command, env["OMP_NUM_THREADS"]))

            def poll(self):
                return self.returncode

            def terminate(self):
                pass

            def __class_getitem__(cls, kind):
                return cls

        monkeypatch.setattr(demo_roles.subprocess, "Popen", Ended)
        monkeypatch.setattr(demo_roles.os, "cpu_count", lambda: 8)
        monkeypatch.setattr(demo_roles.time, "sleep", lambda seconds: None)
        return begun

    return with_status


def test_every_role_is_trained_once_by_a_command_that_parses(start, tmp_path):
    started = start(0)
    tour = DemoRolesConfig(run_root_dir=tmp_path / "runs", dataset_root_dir=tmp_path / "data", scale=0.1)

    train_roles(tour)

    configs = [parse(PretrainConfig, command[4:]) for command, _ in started]
    assert all(command[1:4] == ["-m", "merv", "train"] for command, _ in started)
    assert [config.run_id for config in configs] == [run_id(role) for role in STEPS]
    for role, config in zip(STEPS, configs, strict=True):
        assert (config.model.role, config.model.type_name) == (role, f"role-tiny-{role}")
        assert config.dataset == DatasetConfig.new(f"synthetic-{role}", dataset_root_dir=tmp_path / "data")
        assert config.run_dir == tmp_path / "runs" / f"demo-{role}"
        assert config.stage_config.max_steps == round(STEPS[role] * 0.1)
    assert {threads for _, threads in started} == {"4"}


def test_a_tour_of_almost_nothing_takes_a_step_of_every_role(start, tmp_path):
    started = start(0)
    train_roles(DemoRolesConfig(run_root_dir=tmp_path, scale=1e-6))

    assert {parse(PretrainConfig, command[4:]).stage_config.max_steps for command, _ in started} == {1}


def test_a_role_that_fails_is_one_line_with_its_command(start, tmp_path):
    start(1)

    with pytest.raises(RunStopped, match=r"training the \w+ failed; to see it alone: .* -m merv train ") as caught:
        train_roles(DemoRolesConfig(run_root_dir=tmp_path))

    assert "\n" not in str(caught.value)
    words = shlex.split(str(caught.value).partition(" train ")[2])
    assert parse(PretrainConfig, words).run_id in {run_id(role) for role in STEPS}


@pytest.mark.parametrize(
    ("options", "found"), [({"num_processes": 0}, "num_processes 0"), ({"scale": 0.0}, "scale 0")]
)
def test_a_tour_of_nothing_is_refused(options, found):
    with pytest.raises(ConfigError, match=found):
        DemoRolesConfig(**options)


def test_what_is_asked_is_registered_and_described_and_its_roles_are_trained():
    assert ASKED.keys() == QUESTIONS.keys()
    assert all(TaskConfig.get(name) for name in ASKED)
    assert {role for agents in ASKED.values() for agent in agents for role in agent} == set(STEPS)


def test_the_tour_ends_with_a_row_for_each_who_answers_and_what_it_took():
    when, which = ASKED
    results = {
        f"{when}: grounder": {"iou": 0.4567, "R1@0.5": 0.42},
        f"{which}: planner, answerer": {"iou": 0.1, "R1@0.5": 0.05, "accuracy": 0.625},
    }

    said = summary(results, 90.0, 150.0).splitlines()

    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said if line.startswith("|")]
    assert len(cells) == 4
    first, second = (dict(zip(cells[0], row, strict=True)) for row in cells[2:])
    assert (first["who answers"], first["right option"], first["mIoU"], first["R1@0.5"]) == (
        "grounder",
        "-",
        "0.46",
        "42 %",
    )
    assert (second["who answers"], second["right option"], second["R1@0.5"]) == ("planner, answerer", "62.5 %", "5 %")
    assert said[-1].startswith("trained in 1.5 minutes, 2.5 with the questions, on ")
