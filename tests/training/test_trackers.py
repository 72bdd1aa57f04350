import json
import math
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.errors import ConfigError
from merv.training.trackers import JsonlTracker, TensorboardTracker, WandbTracker, build_trackers, keep_rows


def rows(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def log_steps(run_dir, steps, *, resume_step=0):
    tracker = JsonlTracker(run_dir, resume_step=resume_step)
    for step in steps:
        tracker.log(step, {"loss": float(step)})
    tracker.close()


def test_jsonl_has_a_row_a_step_under_short_names(tmp_path):
    tracker = JsonlTracker(tmp_path)
    tracker.log(1, {"train/loss": 2.5, "lr": 1e-3, "eval/nextqa/accuracy": 0.5})
    tracker.close()

    assert rows(tmp_path) == [{"step": 1, "loss": 2.5, "lr": 1e-3, "eval/nextqa/accuracy": 0.5}]


def test_jsonl_writes_null_for_a_number_that_is_not_finite(tmp_path):
    tracker = JsonlTracker(tmp_path)
    tracker.log(1, {"loss": math.nan, "grad_norm": math.inf})
    tracker.close()

    assert rows(tmp_path) == [{"step": 1, "loss": None, "grad_norm": None}]


def test_each_row_is_on_disk_before_the_next_step(tmp_path):
    tracker = JsonlTracker(tmp_path)

    tracker.log(1, {"loss": 1.0})

    assert len(rows(tmp_path)) == 1
    tracker.close()


def test_resuming_drops_the_rows_past_the_checkpoint(tmp_path):
    log_steps(tmp_path, range(1, 8))

    log_steps(tmp_path, range(5, 7), resume_step=4)

    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_fresh_run_in_an_old_folder_starts_with_no_rows(tmp_path):
    log_steps(tmp_path, range(1, 4))

    log_steps(tmp_path, [1])

    assert [row["step"] for row in rows(tmp_path)] == [1]


@given(cut=st.integers(0, 60))
def test_a_file_cut_anywhere_keeps_whole_rows_only(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "metrics.jsonl"
    whole = "".join(json.dumps({"step": step, "loss": 0.5}) + "\n" for step in (1, 2))
    path.write_text(whole[: min(cut, len(whole))])

    keep_rows(path, last_step=9)
    with path.open("a") as file:
        file.write('{"step": 3}\n')

    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps in ([3], [1, 3], [1, 2, 3])


def test_a_file_that_needs_no_repair_is_left_as_it_is(tmp_path):
    log_steps(tmp_path, [1, 2])
    before = (tmp_path / "metrics.jsonl").stat()

    assert keep_rows(tmp_path / "metrics.jsonl", last_step=2) == 0

    after = (tmp_path / "metrics.jsonl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_tensorboard_shows_training_numbers_under_train(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TensorboardTracker(tmp_path)
    tracker.log_config({"model": "merv-tiny"})
    for step in (1, 2):
        tracker.log(step, {"loss": 3.0 - step, "eval/nextqa/accuracy": 0.5})
    tracker.close()

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "eval/nextqa/accuracy"}
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(1, 2.0), (2, 1.0)]


def test_tensorboard_forgets_steps_past_the_one_resumed_from(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = TensorboardTracker(tmp_path)
    for step in (1, 2, 3):
        first.log(step, {"loss": 1.0})
    first.close()
    second = TensorboardTracker(tmp_path, resume_step=1)
    second.log(2, {"loss": 9.0})
    second.close()

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(1, 1.0), (2, 9.0)]


class FakeRun:
    def __init__(self):
        self.config, self.logged, self.axes, self.finished = FakeConfig(), [], {}, False

    def define_metric(self, name, step_metric):
        self.axes[name] = step_metric

    def log(self, numbers):
        self.logged.append(numbers)

    def finish(self):
        self.finished = True


class FakeConfig(dict):
    def update(self, values, allow_val_change):
        assert allow_val_change
        super().update(values)


@pytest.fixture
def wandb(monkeypatch):
    """A module that takes the place of wandb; `wandb.refuses` makes the first init fail as without an API key."""
    module = types.ModuleType("wandb")
    module.errors = types.SimpleNamespace(Error=type("Error", (Exception,), {}))
    module.run, module.inits, module.refuses = FakeRun(), [], False

    def init(**options):
        module.inits.append(options)
        if module.refuses and options.get("mode") != "offline":
            raise module.errors.Error("api_key not configured")
        return module.run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_run_carries_our_name_and_logs_under_train(wandb, tmp_path):
    tracker = WandbTracker(tmp_path, run_id="merv/base 1", project="merv", entity="lab")
    tracker.log_config({"seed": 7})
    tracker.log(3, {"loss": 1.5, "eval/nextqa/accuracy": 0.5})
    tracker.close()

    (options,) = wandb.inits
    assert options == {
        "project": "merv",
        "entity": "lab",
        "name": "merv/base 1",
        "id": "merv-base-1",
        "dir": str(tmp_path),
        "resume": "allow",
    }
    assert wandb.run.axes == {"*": "step"}
    assert wandb.run.config == {"seed": 7}
    assert wandb.run.logged == [{"step": 3, "train/loss": 1.5, "eval/nextqa/accuracy": 0.5}]
    assert wandb.run.finished


def test_wandb_goes_offline_when_the_service_refuses(wandb, tmp_path, caplog):
    wandb.refuses = True

    WandbTracker(tmp_path, run_id="run", project="merv")

    assert [options.get("mode") for options in wandb.inits] == [None, "offline"]
    assert "api_key not configured" in caplog.text
    assert "wandb sync" in caplog.text


def test_missing_wandb_names_the_extra_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)

    with pytest.raises(ConfigError, match=r"pip install merv\[wandb\]"):
        build_trackers(["wandb"], tmp_path, run_id="run")


def test_all_named_trackers_get_every_number(wandb, tmp_path):
    trackers = build_trackers(["jsonl", "tensorboard", "wandb", "jsonl"], tmp_path, run_id="run", resume_step=0)
    trackers.log_config({"seed": 7})
    trackers.log(1, {"loss": 2.0})
    trackers.close()

    assert len(trackers.trackers) == 3
    assert rows(tmp_path) == [{"step": 1, "loss": 2.0}]
    assert wandb.run.logged == [{"step": 1, "train/loss": 2.0}]
    assert list((tmp_path / "tensorboard").iterdir())


def test_other_processes_write_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "1")
    trackers = build_trackers(["jsonl", "tensorboard"], tmp_path, run_id="run")

    trackers.log(1, {"loss": 2.0})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_mistyped_tracker_is_refused_on_every_process(monkeypatch, tmp_path, rank):
    monkeypatch.setenv("RANK", rank)

    with pytest.raises(ConfigError, match="unknown tracker `tensorbord`; did you mean `tensorboard`"):
        build_trackers(["tensorbord"], tmp_path, run_id="run")
