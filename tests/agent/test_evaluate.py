import json
import signal

import pytest
from helpers import ProcessGroup, wait_for

from merv.agent.chain import ChainConfig
from merv.agent.evaluate import ChainAnswering
from merv.errors import ConfigError, SampleError
from merv.evaluation.tasks.mcq import McqTask
from merv.evaluation.tasks.spans_task import GroundedQaTask, GroundingTask

from .fakes import ScriptedModel, both, choice, evaluate_fake, evaluate_slowly, grounded_task, moment

ALL = ("planner", "grounder", "verifier", "answerer")


def rows_in(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def begun(model):
    """Which items were answered."""
    return [sample.id for sample in model.asked("answerer")]


def test_moments_come_from_the_head_and_the_letter_from_the_answerer(tmp_path):
    results = evaluate_fake(ScriptedModel(), grounded_task(tmp_path), tmp_path / "out", words=ALL)

    assert (results["accuracy"], results["failed"], results["unparsed"]) == (1.0, 0, 0)
    assert results["iou"] == pytest.approx(5 / 6)
    row = rows_in(tmp_path / "out")[0]
    assert row["text"] == "(B) cross"
    assert row["spans"] == row["value"]["spans"] == [[10.0, 16.0, 0.8], [2.0, 4.0, 0.3], [6.0, 7.0, 0.3]]
    assert row["value"]["answer"] == 1
    assert row["record"]["planner"]["fallback"] is None


def test_the_card_holds_the_agent(tmp_path):
    evaluate_fake(ScriptedModel(), grounded_task(tmp_path), tmp_path / "out", words=ALL)

    card = json.loads((tmp_path / "out/card.json").read_text())
    assert card["agent"] == {
        "roles": list(ALL),
        "paths": [],
        "candidates": 5,
        "answer_min_seconds": 32.0,
        "options_prompt": "role",
    }
    assert card["generation"]["max_new_tokens"] == 8
    assert card["model"] == {"weights_sha256": "abc"}
    assert card["num_items"] == 4


@pytest.mark.parametrize(
    ("words", "paths", "name"),
    [
        (("verifier", "grounder"), [], "agent-grounder-verifier"),
        (("mupa",), [], "agent-paths-1-2-3"),
        (("mupa",), [2], "agent-paths-2"),
    ],
)
def test_each_agent_has_a_folder_of_its_own(tmp_path, words, paths, name):
    task = grounded_task(tmp_path)

    assert ChainAnswering(ScriptedModel(), task, words, ChainConfig(paths), max_new_tokens=8).name == name


def test_choices_and_moments_alone_are_scored_by_their_tasks(tmp_path):
    video = tmp_path / "a.mp4"
    video.touch()

    chosen = evaluate_fake(ScriptedModel(), McqTask("mcq", [choice(video)]), tmp_path / "1", words=ALL)
    found = evaluate_fake(ScriptedModel(), GroundingTask("when", [moment(video)]), tmp_path / "2")

    assert chosen["accuracy"] == 1.0
    assert found["R1@0.7"] == 1.0
    assert rows_in(tmp_path / "2")[0]["text"] == "10.0 - 16.0 seconds"


def test_a_missing_video_is_a_failed_item_and_its_neighbours_are_answered(tmp_path):
    task = grounded_task(tmp_path, missing=[1])

    results = evaluate_fake(ScriptedModel(), task, tmp_path / "out")

    assert (results["accuracy"], results["failed"]) == (3 / 4, 1)
    saved = json.loads((tmp_path / "out/results.json").read_text())
    assert saved["failed_items"] == [{"id": "g1", "reason": f"video `{tmp_path / '1.mp4'}` does not exist"}]
    assert "record" not in rows_in(tmp_path / "out")[1]


def test_a_video_that_hangs_is_a_failed_item(tmp_path):
    for name in ("hang", "good"):
        (tmp_path / f"{name}.mp4").touch()
    task = GroundedQaTask("grounded", [both(tmp_path / f"{name}.mp4", name) for name in ("hang", "good")])

    results = evaluate_fake(ScriptedModel(), task, tmp_path / "out", num_workers=1, decode_deadline_s=0.3)

    assert (results["accuracy"], results["failed"]) == (1 / 2, 1)
    assert "took longer than 0.3 s" in rows_in(tmp_path / "out")[0]["failed"]


def test_an_item_is_on_disk_before_the_next_is_begun(tmp_path):
    written = []

    def answer(sample):
        path = tmp_path / "out/predictions.jsonl"
        written.append(len(path.read_text().splitlines()) if path.exists() else 0)
        return ScriptedModel().script["answerer"]

    evaluate_fake(ScriptedModel(answerer=answer), grounded_task(tmp_path), tmp_path / "out")

    assert written == [0, 1, 2, 3]


def test_a_resumed_evaluation_asks_only_what_is_missing(tmp_path):
    task = grounded_task(tmp_path)
    whole = evaluate_fake(ScriptedModel(), task, tmp_path / "out")
    lines = (tmp_path / "out/predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "out/predictions.jsonl").write_text("".join(lines[:2]) + lines[2][:50])
    model = ScriptedModel()

    again = evaluate_fake(model, task, tmp_path / "out")

    assert begun(model) == ["g2", "g3"]
    assert again == whole
    assert (tmp_path / "out/predictions.jsonl").read_text() == "".join(lines)


def test_a_finished_evaluation_is_judged_again_from_its_moments(tmp_path):
    task, model = grounded_task(tmp_path), ScriptedModel()
    evaluate_fake(ScriptedModel(), task, tmp_path / "out")
    for sample in task.samples():
        sample.meta["windows"] = [(2.0, 4.0)]

    results = evaluate_fake(model, task, tmp_path / "out")

    assert results["iou"] == 0.0
    assert model.calls == []


@pytest.mark.parametrize(
    "change", [{"words": ALL}, {"chain": ChainConfig(candidates=3)}, {"chain": ChainConfig(answer_min_seconds=1.0)}]
)
def test_answers_of_another_agent_are_refused(tmp_path, change):
    task = grounded_task(tmp_path)
    evaluate_fake(ScriptedModel(), task, tmp_path / "out")

    with pytest.raises(ConfigError, match="holds answers of another model, task, prompt or media"):
        evaluate_fake(ScriptedModel(), task, tmp_path / "out", **change)


def test_a_task_that_asks_nothing_an_agent_can_answer_is_refused_before_anything_is_written(tmp_path):
    blind = choice()
    del blind.meta["question"]

    with pytest.raises(ConfigError, match=r"none of the 1 samples of task `mcq` will do: sample `q` has neither"):
        evaluate_fake(ScriptedModel(), McqTask("mcq", [blind]), tmp_path / "out")
    with pytest.raises(ConfigError, match="shows nothing; an agent looks for moments of one video"):
        evaluate_fake(ScriptedModel(), McqTask("mcq", [choice()], "no-video"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_reason_of_several_lines_becomes_one(tmp_path):
    evaluate_fake(ScriptedModel(grounder=SampleError("a\n  b")), grounded_task(tmp_path, 1), tmp_path / "out")

    assert rows_in(tmp_path / "out")[0]["failed"] == "a b"


@pytest.mark.dist
@pytest.mark.slow
def test_kill_9_loses_no_more_than_the_item_in_work_of_each_process(tmp_path):
    (tmp_path / "begun").mkdir()
    files = [tmp_path / f"out/predictions-rank{rank}.jsonl" for rank in range(2)]

    with ProcessGroup(evaluate_slowly, str(tmp_path), 20, world_size=2) as group:
        assert wait_for(lambda: all(file.exists() and len(file.read_text().splitlines()) >= 2 for file in files))
        group.send(signal.SIGKILL)
        for process in group.processes:
            process.join()

    kept = sum(len(file.read_text().splitlines()) for file in files)
    assert 4 <= kept < 20
    assert len(list((tmp_path / "begun").iterdir())) - kept <= 2
    model = ScriptedModel()
    results = evaluate_fake(model, grounded_task(tmp_path, 20), tmp_path / "out")
    assert (results["accuracy"], results["failed"], results["num_items"]) == (1.0, 0, 20)
    assert len(model.asked("answerer")) == 20 - kept
