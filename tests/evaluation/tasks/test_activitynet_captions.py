import pytest

from merv.errors import ConfigError

from .small import real, write
from .span_small import moments, small


def test_every_sentence_of_a_video_is_a_question_with_its_own_window(tmp_path):
    samples = small("activitynet-captions", tmp_path).build().samples()

    assert [sample.id for sample in samples] == ["v_a_0", "v_a_1", "v_b_0"]
    assert [sample.meta["query"] for sample in samples] == ["A cat jumps.", "It sleeps.", "A dog sleeps."]
    assert samples[1].meta["windows"] == [(6.0, 11.5)]  # past the 10 s of the video, as annotated
    assert samples[2].meta["windows"] == [(1.0, 4.0)]  # annotated backwards
    assert samples[0].media == samples[1].media


def test_rows_in_the_form_of_lighthouse_are_the_same_questions(tmp_path):
    path = write(tmp_path / "val.jsonl", moments("v_a"))

    (sample,) = small("activitynet-captions", tmp_path, annotations=path).build().samples()

    assert (sample.id, sample.meta["windows"], sample.meta["query"]) == ("0", [(2, 4), (6, 9)], "a cat jumps")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no object of videos"),
        ({"v_a": 3}, "`v_a` is no object"),
        ({"v_a": {"duration": 10, "sentences": []}}, "`v_a`: field timestamps: found nothing; expected a list"),
        ({"v_a": {"duration": 10, "timestamps": [[1, 2]], "sentences": []}}, "not lists of one length"),
        ({"v_a": {"duration": 10, "timestamps": None, "sentences": []}}, "timestamps: found nothing"),
        ({"v_a": {"duration": None, "timestamps": [[1, 2]], "sentences": ["x"]}}, "duration is None"),
        ({"v_a": {"duration": 10, "timestamps": [[1, "x"]], "sentences": ["x"]}}, "windows are"),
    ],
)
def test_a_bad_file_is_named(tmp_path, rows, message):
    path = write(tmp_path / "val_2.json", rows)

    with pytest.raises(ConfigError, match=message):
        small("activitynet-captions", tmp_path, annotations=path).build()


def test_the_genuine_files_are_read():
    folder = real("annotations", "activitynet_captions")

    second = small("activitynet-captions", folder, annotations=folder / "val_2.json").build().samples()
    rows = folder / "lighthouse_val_release.jsonl"
    lighthouse = small("activitynet-captions", folder, annotations=rows).build().samples()
    first = small("activitynet-captions", folder, annotations=folder / "val_1.json").build().samples()

    assert (second[0].id, second[0].meta["windows"], second[0].meta["duration"]) == (
        "v_uqiMw7tQ1Cc_0",
        [(0.0, 4.14)],
        55.15,
    )
    assert len(lighthouse) == 150
    both = zip(first, lighthouse, strict=False)  # the excerpts begin with the same video
    assert [a.turns == b.turns and a.meta["windows"] == b.meta["windows"] for a, b in both][:2] == [True, True]
