import json
import math

import torch

from merv.rl.completions import CompletionLog

from .questions import said


def write(log, *steps):
    for step in steps:
        scores = torch.tensor([[1.0, math.nan], [0.0, 0.5]])
        columns = {"rewards": scores, "reward": torch.tensor([1.0, 0.5]), "tokens": torch.tensor([3, 4])}
        log.write(step, said("a\nring", "ü"), columns, names=["first", "second"])


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_holds_what_was_asked_said_and_given(tmp_path):
    log = CompletionLog(tmp_path, every=1)
    write(log, 1)

    first, second = lines(tmp_path / "completions.jsonl")

    assert first == {
        "step": 1,
        "id": "row-0",
        "prompt": "What is it?",
        "completion": "a\nring",
        "rewards": {"first": 1.0, "second": None},
        "reward": 1.0,
        "tokens": 3,
    }
    assert (second["id"], second["completion"], second["rewards"]["second"]) == ("row-1", "ü", 0.5)


def test_every_so_many_steps_or_never(tmp_path):
    write(CompletionLog(tmp_path, every=2), 1, 2, 3)
    write(CompletionLog(tmp_path, every=0, rank=1), 1)

    assert [line["step"] for line in lines(tmp_path / "completions.jsonl")] == [1, 1, 3, 3]
    assert not (tmp_path / "completions-00001.jsonl").exists()


def test_a_resumed_run_drops_the_steps_it_does_again(tmp_path):
    write(CompletionLog(tmp_path, every=1, rank=1), 1, 2, 3)

    write(CompletionLog(tmp_path, every=1, rank=1, resume_step=2), 3)

    assert [line["step"] for line in lines(tmp_path / "completions-00001.jsonl")] == [1, 1, 2, 2, 3, 3]


def test_files_of_processes_there_are_no_more_lose_the_steps_that_are_done_again(tmp_path):
    write(CompletionLog(tmp_path, every=1, rank=1, world_size=3), 1, 2, 3)
    write(CompletionLog(tmp_path, every=1, rank=2, world_size=3), 1, 2, 3)

    CompletionLog(tmp_path, every=1, world_size=2, resume_step=2)

    steps = [[line["step"] for line in lines(tmp_path / f"completions-0000{rank}.jsonl")] for rank in (1, 2)]
    assert steps == [[1, 1, 2, 2, 3, 3], [1, 1, 2, 2]], "the second process tends its own"
