import json
import logging
import shutil

import draccus
import numpy as np
import pytest
from PIL import Image

import merv.conf.models  # noqa: F401 - registers merv-tiny
from merv.data.formats.synthetic import encode_clip
from merv.errors import ConfigError
from merv.evaluation.runner import evaluate
from merv.evaluation.task import Item, Parsed, TaskConfig
from merv.models.base import ModelConfig

from .small import MLVU, MVBENCH, NAMES, STAR, small, write


@pytest.fixture(scope="module")
def model():
    return ModelConfig.new("merv-tiny", llm_max_length=1024).build(seed=0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    frames = np.random.default_rng(0).integers(0, 255, (2, 16, 32, 32, 3), dtype=np.uint8)
    for number in range(2):
        encode_clip(folder / f"{number}.mp4", frames[number], 8)
    (folder / "frames").mkdir()
    for number in range(4):
        Image.fromarray(frames[0, number]).save(folder / f"frames/{number:05d}.jpg")
    return folder


def accuracies(task, values):
    """The summary when the answers are read as `values`, None as nothing."""
    parsed = [Parsed(value, ok=value is not None) for value in values]
    pairs = zip(task.samples(), parsed, strict=True)
    return task.summary([Item(sample, task.score(sample, p), p, str(p.value)) for sample, p in pairs])


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_runs_from_its_files_to_its_card(tmp_path, model, clips, name):
    task = small(name, tmp_path / "data").build()
    paths = sorted({ref.path for sample in task.samples() for ref in sample.media})
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            shutil.copy(clips / f"{number % 2}.mp4", path)
        else:
            shutil.copytree(clips / "frames", path)

    results = evaluate(
        model, task, batch_size=4, out_dir=tmp_path / "out", max_new_tokens=2, num_workers=0, decode_deadline_s=600
    )

    assert (results["num_items"], results["failed"]) == (len(task.samples()), 0)
    assert 0 <= results["accuracy"] <= 1
    card = json.loads((tmp_path / "out/card.json").read_text())
    assert card["protocol"] == "merv"
    assert (card["task"], card["parser"], card["without_right_option"]) == (name, "parse_option/1", 0)


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_are_right_in_every_protocol_and_letters_are_read(tmp_path, name):
    for protocol in TaskConfig.get(name).protocols:
        task = small(name, tmp_path, protocol=protocol).build()

        read = [task.parse(sample, "ABCDE"[sample.meta["answer"]]) for sample in task.samples()]

        assert task.name == (name if protocol == "merv" else f"{name}-{protocol}")
        assert [parsed.value for parsed in read] == [sample.meta["answer"] for sample in task.samples()]
        assert accuracies(task, [parsed.value for parsed in read])["accuracy"] == 1.0
        assert task.describe()["protocol"] == protocol
        for sample in task.samples():
            last = sample.meta["options"][-1].casefold()
            assert last in sample.turns[-1].text.casefold()


@pytest.mark.parametrize("name", NAMES)
def test_without_video_the_same_is_asked_and_a_limit_cuts(tmp_path, name):
    whole = small(name, tmp_path).build()
    blind = small(name, tmp_path, condition="no-video", limit=1).build()

    assert blind.samples()[0].turns == whole.samples()[0].turns
    assert (len(blind.samples()), blind.samples()[0].media) == (1, ())
    assert (blind.name, blind.describe()["condition"]) == (f"{name}-no-video", "no-video")


@pytest.mark.parametrize("name", NAMES)
def test_configs_survive_a_round_trip_through_draccus(tmp_path, name):
    config = TaskConfig.get(name)(data_root=tmp_path, protocol="videomind", limit=3)

    assert draccus.decode(TaskConfig, draccus.encode(config, TaskConfig)) == config


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_says_where_to_get_it(tmp_path, name):
    with pytest.raises(ConfigError, match=r"is missing; (download it from|make it as) https://"):
        TaskConfig.get(name)(data_root=tmp_path).build()


def test_a_protocol_that_a_benchmark_lacks_is_refused_with_those_it_has():
    with pytest.raises(ConfigError, match=r"star has no protocol `aria`; it has merv, reference, videomind$"):
        TaskConfig.get("star")(protocol="aria")


def test_a_single_frame_is_the_middle_of_the_stretch(tmp_path):
    task = small("star", tmp_path, condition="single-frame").build()

    span = task.samples()[0].media[0].span

    assert span.start == span.end == 0.625


def test_accuracy_is_told_apart_by_group_and_unread_answers_are_wrong(tmp_path):
    task = small("star", tmp_path).build()

    assert accuracies(task, [1, 0, None]) == {
        "accuracy": 2 / 3,
        "mean_over_types": 0.75,
        "accuracy/Interaction": 1.0,
        "accuracy/Sequence": 0.5,
        "num_items": 3,
        "unparsed": 1,
        "failed": 0,
    }


def test_an_answer_that_is_no_option_is_never_right_and_counted(tmp_path, caplog):
    config = small("mlvu", tmp_path)
    path = config.annotation_path / "1_plotQA.json"
    write(path, [{**MLVU, "question_type": "plotQA", "answer": "Pink"}])

    with caplog.at_level(logging.WARNING):
        task = config.build()

    assert "1 questions, first `1_plotQA_0`, have no right option" in caplog.text
    assert task.describe()["without_right_option"] == 1
    broken = task.samples()[0]
    assert [task.score(broken, Parsed(value))["accuracy"] for value in range(4)] == [0.0] * 4


def test_of_equal_options_the_last_is_right(tmp_path):
    config = small("mvbench", tmp_path)
    write(config.annotation_path / "action_sequence.json", [{**MVBENCH, "candidates": ["Sit.", "Run.", "Sit."]}])

    assert config.build().samples()[0].meta["answer"] == 2


def test_a_list_in_which_no_answer_is_an_option_is_refused(tmp_path):
    path = write(tmp_path / "star.json", [{**row, "answer": "A cat."} for row in STAR])

    with pytest.raises(ConfigError, match="no answer is among its question's options"):
        TaskConfig.get("star")(annotations=path).build()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": None}, "row 0: field choices: found nothing"),
        ({"choices": [{"choice": "one"}]}, "row 0: options are .'one'.; expected a list of at least two texts"),
        ({"choices": [{"choice": 1}, {"choice": 2}]}, "row 0: field choices: found list .1, 2.; expected texts"),
        ({"question": 3}, "row 0: field question: found int 3; expected text"),
        ({"end": 0.0}, "row 0: 0.25 to 0.0 is no stretch of seconds"),
        ({"start": "soon"}, "row 0: start is 'soon'; expected a number"),
    ],
)
def test_rows_that_cannot_be_asked_are_refused_in_one_line(tmp_path, change, message):
    path = write(tmp_path / "star.json", [{**STAR[0], **change}])

    with pytest.raises(ConfigError, match=message) as caught:
        TaskConfig.get("star")(annotations=path).build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["question_id", "question", "video_id", "start", "choices"])
def test_a_missing_field_is_named(tmp_path, missing):
    path = write(tmp_path / "star.json", [{name: value for name, value in STAR[0].items() if name != missing}])

    with pytest.raises(ConfigError, match=f"row 0: (field )?{missing}(:| is) "):
        TaskConfig.get("star")(annotations=path).build()
