import dataclasses
import json
import multiprocessing
from pathlib import Path

import pytest

from merv.errors import ConfigError, RunStopped
from merv.evaluation import answers
from merv.evaluation.runner import evaluate
from merv.evaluation.task import Parsed
from merv.evaluation.tasks.mcq import McqTask
from merv.models.reply import Reply
from merv.video.media import MediaRef, Span

from .fakes import RuleLM, evaluate_as_rank, right_unless_big, toy_task

RESULTS = {
    "accuracy": 6 / 10,
    "accuracy/even": 3 / 5,
    "accuracy/odd": 3 / 5,
    "num_items": 10,
    "unparsed": 1,
    "failed": 0,
}


def run(out_dir, task=None, model=None, **options):
    options = {"batch_size": 4, "max_new_tokens": 8, "num_workers": 0, **options}
    return evaluate(model or RuleLM(right_unless_big), task or toy_task(10), out_dir=out_dir, **options)


def rows_in(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_every_answer_is_kept_judged_and_summed_up(tmp_path):
    model = RuleLM(right_unless_big)

    results = run(tmp_path, model=model, about_model={"path": "runs/a", "weights_sha256": "abc"})

    assert results == pytest.approx(RESULTS)
    rows = rows_in(tmp_path)
    assert [row["index"] for row in rows] == list(range(10))
    assert rows[2].items() >= {"id": "q2", "text": "It is a square.", "value": 2, "ok": True, "failed": None}.items()
    assert rows[7].items() >= {"text": "no idea", "value": None, "ok": False, "scores": {"accuracy": 0.0}}.items()
    saved = json.loads((tmp_path / "results.json").read_text())
    assert {key: saved[key] for key in RESULTS} == pytest.approx(RESULTS)
    assert model.options == {"max_new_tokens": 8, "do_sample": False, "num_beams": 1}


def test_the_card_says_how_the_numbers_came_about(tmp_path):
    run(tmp_path, about_model={"path": "runs/a", "weights_sha256": "abc"})

    card = json.loads((tmp_path / "card.json").read_text())
    assert card["model"] == {"path": "runs/a", "weights_sha256": "abc"}
    assert (card["task"], card["condition"], card["parser"]) == ("toy", "video", "parse_option/1")
    assert (card["frames"], card["resize"], card["model_config"]["type"]) == ([8], "resize-naive", "multi-encoder")
    assert card["generation"]["max_new_tokens"] == 8
    assert (card["num_items"], card["unparsed"], card["failed"]) == (10, 1, 0)
    assert len(card["prompts_sha256"]) == 64
    assert card["versions"]["torch"]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_size_changes_nothing(tmp_path, batch_size):
    run(tmp_path / "a")
    run(tmp_path / "b", batch_size=batch_size)

    assert (tmp_path / "a/predictions.jsonl").read_text() == (tmp_path / "b/predictions.jsonl").read_text()
    assert (tmp_path / "a/results.json").read_text() == (tmp_path / "b/results.json").read_text()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_item_whose_video_is_missing_has_failed_and_its_neighbours_have_not(tmp_path, num_workers):
    for number in (0, 2, 3):
        (tmp_path / f"{number}.mp4").touch()

    results = run(tmp_path / "out", toy_task(4, tmp_path), num_workers=num_workers)

    assert (results["accuracy"], results["failed"], results["unparsed"]) == (3 / 4, 1, 0)
    rows = rows_in(tmp_path / "out")
    assert [row["scores"]["accuracy"] for row in rows] == [1, 0, 1, 1]
    assert "1.mp4` does not exist" in rows[1]["failed"]
    assert rows[1]["text"] == ""


def test_a_task_whose_videos_are_all_missing_ends_with_everything_failed(tmp_path):
    model = RuleLM(right_unless_big)

    results = run(tmp_path / "out", toy_task(30, tmp_path), model)

    assert (results["accuracy"], results["failed"]) == (0, 30)
    assert model.asked == []


def test_a_resumed_evaluation_asks_only_what_is_missing(tmp_path):
    whole = run(tmp_path / "whole")
    lines = (tmp_path / "whole/predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/predictions.jsonl").write_text("".join(lines[:5]) + lines[5][:40])
    model = RuleLM(right_unless_big)

    results = run(tmp_path / "torn", model=model)

    assert model.asked == [f"question {number:03d}" for number in range(5, 10)]
    assert results == whole
    assert (tmp_path / "torn/predictions.jsonl").read_text() == "".join(lines)


def test_a_finished_evaluation_asks_nothing_and_says_the_same(tmp_path):
    first = run(tmp_path)
    model = RuleLM(right_unless_big)

    assert run(tmp_path, model=model) == first
    assert model.asked == []


def test_answers_with_strange_characters_survive(tmp_path):
    says = "a\u2028b\x85c\n\ud800 ring"

    first = run(tmp_path, model=RuleLM(lambda prompt: says))

    assert run(tmp_path) == first
    assert {row["text"] for row in map(json.loads, (tmp_path / "predictions.jsonl").read_text().split("\n")[:-1])} == {
        says
    }


def test_without_resume_a_folder_with_answers_is_refused(tmp_path):
    run(tmp_path, resume=False)

    with pytest.raises(ConfigError, match=r"predictions\.jsonl holds answers; resume it"):
        run(tmp_path, resume=False)


@pytest.mark.parametrize(
    "change",
    [
        {"max_new_tokens": 9},
        {"about_model": {"path": "runs/a", "weights_sha256": "other"}},
        {"task": toy_task(9)},
        {"task": toy_task(10, name="other")},
    ],
)
def test_answers_of_another_evaluation_are_refused(tmp_path, change):
    about = {"about_model": {"path": "runs/a", "weights_sha256": "abc"}}
    run(tmp_path, **about)

    with pytest.raises(ConfigError, match="holds answers of another model, task, prompt or media"):
        run(tmp_path, **{**about, **change})


def shown(*media):
    task = toy_task(1)
    task._samples = [dataclasses.replace(task.samples()[0], media=media)]
    return task


@pytest.mark.parametrize(
    "media",
    [MediaRef(Path("a/1.mp4"), span=Span(0.0, 1.0)), MediaRef(Path("b/1.mp4")), MediaRef(Path("a/1.mp4"), "image")],
)
def test_answers_about_another_clip_or_stretch_are_refused(tmp_path, media):
    run(tmp_path, shown(MediaRef(Path("a/1.mp4"))))

    with pytest.raises(ConfigError, match="holds answers of another model, task, prompt or media"):
        run(tmp_path, shown(media))


def test_a_missing_video_is_said_and_asked_again_once_its_line_is_deleted(tmp_path, caplog):
    media, out_dir = tmp_path / "1.mp4", tmp_path / "out"
    run(out_dir, shown(MediaRef(media)))
    said = [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]
    (out_dir / "predictions.jsonl").write_text("")
    media.with_suffix(".mkv").touch()

    results = run(out_dir, shown(MediaRef(media.with_suffix(".mkv"))))

    assert len(said) == 1
    assert said[0].startswith("1 of 1 items failed and count as wrong, first `q0`: ")
    assert f"delete their lines in {out_dir / 'predictions.jsonl'}" in said[0]
    assert (results["failed"], results["accuracy"]) == (0, 1)


class Pointing(RuleLM):
    """Says when, with a head, and how sure it is."""

    def reply(self, batch, **options):
        return [Reply(text, ((1.0, 2.0, 0.9),), score=0.5) for text in self.respond(batch, **options)]


class FirstSecond(McqTask):
    """Right is a moment that begins at second 1."""

    def read(self, sample, reply):
        return Parsed(reply.spans[0][0], ok=reply.score == 0.5)

    def score(self, sample, parsed):
        return {"accuracy": float(parsed.value == 1.0)}


def test_what_a_reply_has_beside_its_text_is_kept_and_judged_again_from_there(tmp_path):
    task = FirstSecond("toy", toy_task(3).samples())
    model = RuleLM(right_unless_big)

    first = run(tmp_path, task, Pointing(right_unless_big))

    assert (first["accuracy"], first["unparsed"]) == (1.0, 0)
    assert rows_in(tmp_path)[0].items() >= {"spans": [[1.0, 2.0, 0.9]], "score": 0.5, "value": 1.0}.items()
    assert run(tmp_path, task, model) == first
    assert model.asked == []


def test_a_row_of_a_plain_text_holds_nothing_more(tmp_path):
    run(tmp_path)

    assert not {"spans", "score", "record"} & set(rows_in(tmp_path)[0])


def test_a_corrected_answer_counts_without_asking_again(tmp_path):
    run(tmp_path)
    task, model = toy_task(10), RuleLM(right_unless_big)
    task.samples()[0].meta["answer"] = 1

    results = run(tmp_path, task, model)

    assert results["accuracy"] == pytest.approx(5 / 10)
    assert rows_in(tmp_path)[0].items() >= {"answer": 1, "scores": {"accuracy": 0.0}}.items()
    assert model.asked == []


def test_a_judge_that_is_away_leaves_what_an_earlier_one_said(tmp_path, monkeypatch):
    task = toy_task(10)
    monkeypatch.setattr(
        task, "settle", lambda items: [dataclasses.replace(i, scores={"accuracy": 1.0}) for i in items]
    )
    run(tmp_path, task)
    monkeypatch.setattr(task, "settle", raise_stopped)

    with pytest.raises(RunStopped):
        run(tmp_path, task)

    assert {row["scores"]["accuracy"] for row in rows_in(tmp_path)} == {1.0}
    assert json.loads((tmp_path / "results.json").read_text())["accuracy"] == 1.0


def raise_stopped(items):
    raise RunStopped("the judge is away")


def test_the_same_weights_in_another_folder_resume(tmp_path):
    run(tmp_path, about_model={"path": "runs/a", "weights_sha256": "abc"})
    model = RuleLM(right_unless_big)

    run(tmp_path, model=model, about_model={"path": "elsewhere", "weights_sha256": "abc"})

    assert model.asked == []


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"max_new_tokens": 0}])
def test_sizes_that_make_no_sense_are_refused(tmp_path, change):
    with pytest.raises(ConfigError, match="each must be at least 1"):
        run(tmp_path, **change)


def test_a_task_without_samples_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="task `toy` has no samples"):
        run(tmp_path, toy_task(0))


def test_a_process_that_stops_answering_is_named_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(answers, "PATIENCE_S", 0.05)
    monkeypatch.setattr(answers, "POLL_S", 0.01)

    with pytest.raises(RunStopped, match=r"5 of 10 answers are in .* look at the other processes"):
        run(tmp_path)

    assert (tmp_path / "predictions-rank0.jsonl").exists()


def test_one_process_takes_up_what_two_began(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "PATIENCE_S", 0.0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunStopped):
        run(tmp_path)
    monkeypatch.delenv("WORLD_SIZE")
    model = RuleLM(right_unless_big)

    assert run(tmp_path, model=model) == pytest.approx(RESULTS)
    assert model.asked == [f"question {number:03d}" for number in (1, 3, 5, 7, 9)]
    assert not list(tmp_path.glob("predictions-rank*"))


@pytest.mark.dist
@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    alone = run(tmp_path / "one", batch_size=2)
    (tmp_path / "two").mkdir()
    spawn = multiprocessing.get_context("spawn")

    processes = [spawn.Process(target=evaluate_as_rank, args=(r, 2, str(tmp_path / "two"), 10)) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)

    assert [process.exitcode for process in processes] == [0, 0]
    for rank in range(2):
        assert (tmp_path / "two" / f"returned-{rank}").read_text() == repr(alone)
    for name in ("predictions.jsonl", "results.json", "card.json"):
        assert (tmp_path / "two" / name).read_text() == (tmp_path / "one" / name).read_text()
    assert not list((tmp_path / "two").glob("predictions-rank*"))
