from pathlib import Path

import pytest

from merv.data.datasets import DatasetConfig
from merv.errors import ConfigError
from merv.evaluation.task import TaskConfig


def test_questions_of_a_task_are_rows_of_every_stage(synthetic_data):
    task = TaskConfig.new("synthetic-mcq", dataset_root_dir=Path(synthetic_data[3]))

    source = DatasetConfig.new("task", task=task, max_samples=3).load("finetune")

    assert (source.name, len(source)) == ("synthetic-mcq", 3)
    assert [sample.turns[-1].role for sample in source] == ["user"] * 3
    assert list(source) == list(task.build().samples()[:3])
    assert source.task.name == "synthetic-mcq"


def test_a_number_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigError, match="max_samples is 0; give at least 1, or null"):
        DatasetConfig.new("task", max_samples=0)
