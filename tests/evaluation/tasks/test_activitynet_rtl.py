import pytest

from merv.errors import ConfigError

from .small import write
from .span_small import answered, small


def test_the_truth_is_the_first_two_times_of_the_answer(tmp_path):
    samples = small("activitynet-rtl", tmp_path).build().samples()

    assert [sample.meta["windows"] for sample in samples] == [[(2.0, 4.0)], [(6.0, 9.5)], [(0.0, 0.5)]]
    assert samples[0].media[0].path.name == "v_a.mp4"
    assert samples[0].turns[-1].text.startswith("When is it most exciting? The video is 10.0 seconds long.")


@pytest.mark.parametrize(("protocol", "mean"), [("official", 0.25), ("videomind", 1 / 3)])
def test_official_means_over_videos_and_videomind_over_questions(tmp_path, protocol, mean):
    task = small("activitynet-rtl", tmp_path, protocol=protocol).build()

    summary = task.summary(answered(task, [[2, 4]], [], []))  # one of two right on the one video, none on the other

    assert summary["mIoU"] == pytest.approx(mean)
    assert summary["P@0.5" if protocol == "official" else "R1@0.5"] == pytest.approx(mean)
    assert summary["unparsed"] == 2


def test_an_answer_in_litas_form_is_read(tmp_path):
    task = small("activitynet-rtl", tmp_path).build()

    assert task.parse(task.samples()[0], "<2.00> <4.00> The cat jumps.").value["spans"] == [[2.0, 4.0]]


def test_a_row_without_two_times_is_named(tmp_path):
    row = {"question_id": "a", "vid": "a", "duration": 10, "question": "When?", "answer": "<2.0> it jumps"}
    path = write(tmp_path / "rows.json", [row])

    with pytest.raises(ConfigError, match=r"row 0: answer '<2.0> it jumps' holds no two times"):
        small("activitynet-rtl", tmp_path, annotations=path).build()
