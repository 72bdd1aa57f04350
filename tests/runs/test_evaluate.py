import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from merv.conf import files
from merv.conf.parse import parse, run_main
from merv.data.formats.synthetic import write_synthetic
from merv.errors import CheckpointError, ConfigError, SampleError
from merv.evaluation.tasks.mcq import SyntheticMcqConfig
from merv.models.base import ModelConfig
from merv.models.stage import LoraConfig
from merv.models.weights import save_parts
from merv.runs import ask, evaluate
from merv.runs.ask import AskConfig
from merv.runs.evaluate import EvalConfig
from merv.runs.pretrain_config import PretrainConfig
from merv.video.media import MediaRef, Span


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_synthetic(root / "download/synthetic", num_train=1, num_eval=4, seed=1, side=32)
    return root


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> Path:
    """What `merv train` leaves of a merv-tiny, untrained."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    config = PretrainConfig(model=ModelConfig.get("merv-tiny")(), run_root_dir=folder.parent, run_id="tiny")
    model = config.model.build(seed=1)
    files.save(config, folder / "config.yaml")
    save_parts(folder / "model.safetensors", model.state_dict(), model.parts(), LoraConfig())
    return folder


@pytest.mark.parametrize("condition", ["video", "no-video", "single-frame"])
def test_a_run_is_evaluated_into_its_own_folder(finished_run, drawn, condition, caplog):
    config = EvalConfig(
        finished_run, SyntheticMcqConfig(drawn, condition), batch_size=3, max_new_tokens=2, num_workers=0
    )

    with caplog.at_level("INFO"):
        assert evaluate.run(config) == 0

    out = finished_run / "eval" / ("synthetic-mcq" if condition == "video" else f"synthetic-mcq-{condition}")
    results = json.loads((out / "results.json").read_text())
    assert (results["num_items"], results["failed"]) == (4, 0)
    card = json.loads((out / "card.json").read_text())
    weights = (finished_run / "model.safetensors").read_bytes()
    assert card["model"] == {"path": str(finished_run), "weights_sha256": sha256(weights).hexdigest()}
    assert (card["condition"], card["frames"]) == (condition, [4, 8, 8])
    assert "accuracy/direction" in caplog.text


def test_an_evaluation_of_nothing_but_failures_fails(finished_run, drawn, tmp_path, monkeypatch, caplog):
    def ask_about(names):
        task = SyntheticMcqConfig(drawn)
        made = task.build()
        samples = [
            replace(one, media=(MediaRef(tmp_path / "no.mp4"),)) if one.id in names else one for one in made.samples()
        ]
        monkeypatch.setattr(type(made), "samples", lambda self: samples)
        out = tmp_path / f"{len(names)}"
        status = evaluate.run(EvalConfig(finished_run, task, max_new_tokens=1, out_dir=out, num_workers=0))
        monkeypatch.undo()
        return status, json.loads((out / "results.json").read_text())["failed"]

    names = [one.id for one in SyntheticMcqConfig(drawn).build().samples()]

    with caplog.at_level("ERROR"):
        assert ask_about(names[1:]) == (0, 3)
        assert not caplog.messages
        assert ask_about(names) == (1, 4)
    [line] = caplog.messages
    assert line.startswith("all 4 items of task `synthetic-mcq` failed, so nothing was measured; failed_items in ")


def test_the_command_line_names_the_task_and_its_condition():
    words = ["--model", "runs/a", "--task.type", "synthetic-mcq", "--task.condition", "no-video", "--batch_size", "2"]

    assert parse(EvalConfig, words) == EvalConfig(Path("runs/a"), SyntheticMcqConfig(condition="no-video"), 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --model <path>"),
        (["--model", "runs/a", "--task.condition", "blind"], "blind"),
        (["--model", "runs/a", "--task.type", "synthetic_mcq"], "synthetic-mcq"),
        (["--model", "runs/a", "--batch_size", "0"], "batch_size 0"),
    ],
)
def test_mistakes_are_one_line_and_status_2(words, message, capsys):
    assert run_main(evaluate.run, EvalConfig, words, prog="merv evaluate") == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_that_is_no_run_is_refused(tmp_path, drawn):
    with pytest.raises(CheckpointError, match="is no run"):
        evaluate.run(EvalConfig(tmp_path, SyntheticMcqConfig(drawn)))


def test_a_question_is_answered_through_write(finished_run, drawn):
    video = drawn / "download/synthetic/videos/eval-000000.mp4"
    written: list[str] = []

    config = AskConfig(finished_run, video, question="What shape is it?", start=0.5, end=1.0, max_new_tokens=3)
    assert ask.run(config, written.append) == 0

    assert len(written) > 1
    assert "".join(written).endswith("\n")
    assert config.sample().media == (MediaRef(video, span=Span(0.5, 1.0)),)


def test_a_question_about_a_missing_video_says_so(finished_run, tmp_path):
    with pytest.raises(SampleError, match=r"no\.mp4"):
        ask.run(AskConfig(finished_run, tmp_path / "no.mp4", question="What?"), lambda text: None)


@pytest.mark.parametrize(
    ("options", "media"),
    [
        ({"video": Path("a.mp4")}, (MediaRef(Path("a.mp4")),)),
        ({"video": Path("a.mp4"), "start": 2.0}, (MediaRef(Path("a.mp4"), span=Span(2.0, float("inf"))),)),
        ({"video": Path("a.mp4"), "end": 2.0}, (MediaRef(Path("a.mp4"), span=Span(0.0, 2.0)),)),
        ({"image": Path("a.png")}, (MediaRef(Path("a.png"), "image"),)),
        ({}, ()),
    ],
)
def test_a_question_points_at_its_media(options, media):
    assert AskConfig(Path("runs/a"), question="What?", **options).sample().media == media


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"question": " "}, "question is empty"),
        ({"video": Path("a"), "image": Path("b")}, "both set"),
        ({"start": 3.0, "end": 2.0}, "start 3 s and end 2 s"),
        ({"start": -1.0}, "start -1 s"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
    ],
)
def test_questions_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        AskConfig(**{"model": Path("runs/a"), "question": "What?", **options})
