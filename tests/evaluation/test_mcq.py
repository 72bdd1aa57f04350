import json
from pathlib import Path

import draccus
import pytest

from merv.data.formats.synthetic import write_synthetic
from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed, TaskConfig
from merv.evaluation.tasks.mcq import McqConfig, SyntheticMcqConfig
from merv.video.decode import read_clip
from merv.video.media import MediaRef, Span

ROW = {"id": "a", "video": "a.mp4", "question": "What?", "options": ["ring", "cross"], "answer": "cross"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_synthetic(root / "download/synthetic", num_train=1, num_eval=8, seed=1, side=32)
    return root


def write(tmp_path, *rows):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(list(rows)))
    return path


def test_synthetic_questions_read_their_own_answers_as_right(drawn):
    task = SyntheticMcqConfig(drawn).build()

    for sample in task.samples():
        right = sample.meta["options"][sample.meta["answer"]]
        assert task.score(sample, task.parse(sample, right)) == {"accuracy": 1.0}
        assert sample.turns[-1].text.count(f") {right}") == 1
        assert sample.media[0].path.is_file()
    assert [s.meta["kind"] for s in task.samples()] == ["shape", "colour", "direction", "order"] * 2


def test_no_video_asks_the_same_question_about_nothing(drawn):
    with_video = SyntheticMcqConfig(drawn).build()
    without = SyntheticMcqConfig(drawn, condition="no-video").build()

    assert [s.turns for s in without.samples()] == [s.turns for s in with_video.samples()]
    assert not any(s.media for s in without.samples())
    assert (with_video.name, without.name) == ("synthetic-mcq", "synthetic-mcq-no-video")


def test_single_frame_shows_the_middle_frame_in_place_of_all(drawn):
    sample = SyntheticMcqConfig(drawn, condition="single-frame").build().samples()[3]

    clip = read_clip(sample.media[0], num_frames=4)

    whole = read_clip(MediaRef(sample.media[0].path), num_frames=16)
    assert clip.times == (whole.times[8],) * 4
    assert (clip.frames == whole.frames[8]).all()


def test_a_list_with_image_and_numbered_answer_is_read(tmp_path):
    path = write(tmp_path, ROW, {"question": "And?", "image": "b.png", "options": ["x", "y", "z"], "answer": 2})

    first, second = McqConfig(annotations=path, condition="video").build().samples()

    assert first.turns[0].text == "What? Options: (A) ring (B) cross"
    assert first.media == (MediaRef(tmp_path / "a.mp4"),)
    assert (second.media, second.meta["answer"]) == ((MediaRef(tmp_path / "b.png", "image"),), 2)


def test_single_frame_of_an_image_is_the_image_and_of_a_video_needs_its_duration(tmp_path):
    image = {**ROW, "video": None, "image": "b.png"}
    path = write(tmp_path, image, {**ROW, "duration": 3.0})
    shown = McqConfig(annotations=path, condition="single-frame").build().samples()
    assert [s.media[0].span for s in shown] == [None, Span(1.5, 1.5)]

    with pytest.raises(ConfigError, match="question `a` has no duration"):
        McqConfig(annotations=write(tmp_path, ROW), condition="single-frame").build()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("text", "row 1: expected an object"),
        ({**ROW, "question": None}, "row 1: expected an object"),
        ({**ROW, "options": ["one"]}, "row 1: options is"),
        ({**ROW, "answer": "ball"}, "row 1: answer 'ball' is not one of"),
        ({**ROW, "options": ["cross", "cross"]}, "row 1: answer 'cross' is not one of"),
        ({**ROW, "answer": 2}, "row 1: answer 2"),
        ({**ROW, "answer": True}, "row 1: answer True"),
    ],
)
def test_rows_that_are_not_questions_are_refused(tmp_path, row, message):
    with pytest.raises(ConfigError, match=message):
        McqConfig(annotations=write(tmp_path, ROW, row)).build()


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("{}", "no list"), ("[]", "no list")])
def test_files_that_hold_no_list_are_refused(tmp_path, text, message):
    (tmp_path / "q.json").write_text(text)

    with pytest.raises(ConfigError, match=message):
        McqConfig(annotations=tmp_path / "q.json").build()


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"eval\.json is missing"):
        SyntheticMcqConfig(tmp_path).build()


@pytest.mark.parametrize("name", ["mcq", "synthetic-mcq"])
def test_configs_survive_a_round_trip_through_draccus(name):
    config = TaskConfig.get(name)(condition="no-video")

    assert draccus.decode(TaskConfig, draccus.encode(config, TaskConfig)) == config


def test_the_summary_counts_unparsed_and_failed_apart(drawn):
    task = SyntheticMcqConfig(drawn).build()
    shape, colour, direction, order = task.samples()[:4]

    summary = task.summary(
        [
            Item(shape, {"accuracy": 1.0}, Parsed(0)),
            Item(colour, {"accuracy": 0.0}, Parsed(1)),
            Item(direction, {"accuracy": 0.0}, Parsed(ok=False)),
            Item(order, {"accuracy": 0.0}, Parsed(ok=False), failed="does not decode"),
        ]
    )

    assert summary == {
        "accuracy": 0.25,
        "accuracy/colour": 0.0,
        "accuracy/direction": 0.0,
        "accuracy/order": 0.0,
        "accuracy/shape": 1.0,
        "num_items": 4,
        "unparsed": 1,
        "failed": 1,
    }
