import pytest

from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed
from merv.evaluation.tasks.videomme import VideommeConfig

from .small import VIDEOMME, real, small, write

SRT = "1\n00:00:01,000 --> 00:00:02,000\n<i>Two</i> of them\n"


def test_options_lose_their_letters_and_accuracy_is_told_apart_by_length(tmp_path):
    task = small("videomme", tmp_path).build()

    assert task.samples()[0].meta["options"] == ["One.", "Two.", "Three.", "Four."]
    assert task.samples()[0].media[0].path == tmp_path / "videomme/data/clip1.mp4"
    summary = task.summary([Item(s, task.score(s, Parsed(1)), Parsed(1)) for s in task.samples()])
    assert (summary["accuracy/short"], summary["accuracy/long"], summary["accuracy/Knowledge"]) == (1.0, 0.0, 0.5)


def test_subtitles_stand_before_the_question_and_a_video_without_is_counted(tmp_path):
    place = tmp_path / "videomme/subtitle"
    place.mkdir(parents=True)
    (place / "clip1.srt").write_text(SRT)

    task = small("videomme", tmp_path, subtitles=True).build()

    first, second = (sample.turns[0].text for sample in task.samples())
    assert first.startswith("Subtitles:\nTwo of them\nHow many shapes?")
    assert second.startswith("How many shapes?")
    assert task.describe()["without_subtitles"] == 1
    assert task.name == "videomme-subtitles"


def test_the_official_prompt_names_subtitles_where_there_are_some(tmp_path):
    place = tmp_path / "videomme/subtitle"
    place.mkdir(parents=True)
    (place / "clip1.srt").write_text(SRT)

    task = small("videomme", tmp_path, subtitles=True, protocol="official").build()

    first, second = (sample.turns[0].text for sample in task.samples())
    assert first.startswith("This video's subtitles are listed below:\nTwo of them\nSelect the best answer")
    assert "based on the video and the subtitles." in first
    assert "based on the video. Respond" in second
    assert second.endswith("A. One.\nB. Two.\nC. Three.\nD. Four.\nThe best answer is:")


def test_subtitles_that_are_nowhere_are_asked_for(tmp_path):
    with pytest.raises(ConfigError, match=r"subtitles .*videomme/subtitle are missing"):
        small("videomme", tmp_path, subtitles=True).build()


def test_the_form_of_the_official_template_is_read(tmp_path):
    about = {"video_id": "001", "duration": "short", "domain": "Knowledge"}
    asked = {name: VIDEOMME[0][name] for name in ("question_id", "task_type", "question", "options", "answer")}
    path = write(tmp_path / "all.json", [{**about, "questions": [asked, {**asked, "question_id": "001-2"}]}])

    samples = VideommeConfig(annotations=path).build().samples()

    assert [sample.id for sample in samples] == ["001-1", "001-2"]
    assert samples[0].media[0].path.name == "001.mp4"


@pytest.mark.parametrize("answer", ["E", "one", 1])
def test_an_answer_that_is_no_letter_of_an_option_is_refused(tmp_path, answer):
    path = write(tmp_path / "all.json", [{**VIDEOMME[0], "answer": answer}])

    with pytest.raises(ConfigError, match=f"answer {answer!r} is none of its 4 options"):
        VideommeConfig(annotations=path).build()


def test_the_genuine_table_is_read():
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    path = real("annotations", "videomme", "test-00000-of-00001.parquet")

    samples = VideommeConfig(annotations=path).build().samples()

    assert len(samples) == 1500
    assert (samples[0].id, samples[0].media[0].path.name) == ("001-1", "fFjv93ACGo8.mp4")
    assert (samples[0].meta["options"][2], samples[0].meta["answer"]) == ("Berries.", 2)
    assert samples[0].meta["groups"] == ("Counting Problem", "short", "Knowledge")
