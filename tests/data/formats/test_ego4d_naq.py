import pytest

from merv.data.formats.ego4d_naq import read

from ..role_layout import write


def naq(tmp_path, sentences, times=None, **entry):
    times = [[1.0, 2.5]] * len(sentences) if times is None else times
    clip = {"num_frames": 900, "fps": 30.0, "sentences": sentences, "exact_times": times, **entry}
    return write(tmp_path / "train.json", {"clip": clip})


def test_seconds_of_a_clip_follow_from_its_frames(tmp_path):
    (sample,) = read(naq(tmp_path, ["c  picks a cup"]), tmp_path, dataset="n").samples

    assert sample.meta == {"task": "moment", "query": "c picks a cup", "windows": [(1.0, 2.5)], "duration": 30.0}
    assert sample.media[0].path == tmp_path / "clip.mp4"


def test_what_videomind_does_not_train_on_is_skipped_by_reason(tmp_path):
    sentences = ["c waits here", "Where is the cup?", "did I sit?", "c takes #unsure", "c waits  here", "c sits down"]
    times = [[1.0, 2.5]] * 5 + [[3.0, 3.0]]

    reading = read(naq(tmp_path, [*sentences, "c stands up"], [*times, [4, 5]]), tmp_path, dataset="n")

    assert list(reading.rows) == [6]
    assert reading.skipped == {
        "said more than once of their video": 2,
        "that ask, as those of NLQ do": 2,
        "marked #unsure": 1,
        "with a span without length": 1,
    }


def test_other_splits_keep_questions(tmp_path):
    path = naq(tmp_path, ["where is the cup?", "c takes #unsure"])

    assert len(read(path, tmp_path, dataset="n", narrations_only=False).samples) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fps": 0}, "num_frames and fps: found 900 and 0; expected numbers above 0"),
        ({"num_frames": None}, "num_frames and fps: found None and 30.0"),
        ({"exact_times": []}, "sentences and exact_times are not lists of one length: found 1 and 0"),
        ({"exact_times": [3]}, "window: found 3; expected start and end in seconds"),
        ({"sentences": [[3]]}, "field query: found list [3]; expected text"),
    ],
)
def test_a_clip_of_another_shape_is_a_bad_row(tmp_path, change, reason):
    (bad,) = read(naq(tmp_path, **{"sentences": ["c sits down"], **change}), tmp_path, dataset="n").bad_rows

    assert bad.reason.startswith("video `clip`: ")
    assert reason in bad.reason
