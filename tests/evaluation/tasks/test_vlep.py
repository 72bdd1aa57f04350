import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.vlep import VlepConfig
from merv.video.media import Span

from .small import VLEP, small, write


def test_the_premise_is_shown_and_two_events_are_offered(tmp_path):
    (sample,) = small("vlep", tmp_path).build().samples()

    assert (sample.id, sample.meta["answer"], sample.media[0].span) == ("3", 1, Span(0.25, 1.0))
    assert sample.turns[0].text.startswith("Which of these is more likely to happen next?\n(A) She eats.")


@pytest.mark.parametrize("times", [[], [1.0], [2.0, 1.0], ["a", "b"]])
def test_times_that_are_no_stretch_are_refused(tmp_path, times):
    path = write(tmp_path / "dev.jsonl", [{**VLEP[0], "ts": times}])

    with pytest.raises(ConfigError, match=r"row 0: .* is no stretch of seconds"):
        VlepConfig(annotations=path).build()


def test_the_test_split_is_refused(tmp_path):
    path = write(tmp_path / "test.jsonl", [{k: v for k, v in VLEP[0].items() if k != "answer"}])

    with pytest.raises(ConfigError, match="has no answers"):
        VlepConfig(annotations=path).build()


def test_the_dialogue_of_the_premise_is_quoted(tmp_path):
    lines = [{"text": "Hungry?", "start": 0.5, "end": 0.9}, {"text": "Later.", "start": 5, "end": 6}]
    write(tmp_path / "vlep/vlep_subtitles.jsonl", [{"vid_name": "clip_ep", "sub": lines}])

    task = small("vlep", tmp_path, subtitles=True).build()

    assert task.samples()[0].turns[0].text.startswith("Subtitles:\nHungry?\nWhich of these")
    assert task.describe()["without_subtitles"] == 0
