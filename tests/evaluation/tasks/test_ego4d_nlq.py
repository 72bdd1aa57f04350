import pytest

from merv.errors import ConfigError

from .small import write
from .span_small import answered, small

QUERY = {"clip_start_sec": 2.0, "clip_end_sec": 4.0, "query": "Where is the cat?", "template": "Objects: Where is X?"}
CLIP = {
    "clip_uid": "clip-a",
    "video_start_sec": 30.0,
    "video_end_sec": 40.0,
    "annotations": [{"annotation_uid": "u", "language_queries": [QUERY, {"clip_start_sec": 0.0}, QUERY]}],
}


def test_a_question_is_asked_as_it_is(tmp_path):
    sample = small("ego4d-nlq", tmp_path).build().samples()[0]

    assert sample.turns[-1].text.startswith("Where is the cat? The video is 10.0 seconds long. Answer with the start")
    assert sample.media[0].path.name == "clip-a.mp4"


def test_the_official_file_gives_windows_in_the_clip_and_skips_queries_without_text(tmp_path):
    path = write(tmp_path / "nlq_val.json", {"videos": [{"video_uid": "v", "clips": [CLIP]}]})

    samples = small("ego4d-nlq", tmp_path, annotations=path).build().samples()

    assert [sample.id for sample in samples] == ["u_0", "u_2"]
    assert (samples[0].meta["windows"], samples[0].meta["duration"]) == ([(2.0, 4.0)], 10.0)


@pytest.mark.parametrize(("protocol", "hit"), [("official", 0.0), ("videomind", 0.5)])
def test_official_asks_for_more_than_the_threshold(tmp_path, protocol, hit):
    task = small("ego4d-nlq", tmp_path, protocol=protocol).build()

    items = answered(task, [[2, 6]], [[5, 5]])  # an IoU of exactly 0.5; a true window without length is never met

    assert task.summary(items)["R1@0.5"] == hit
    assert [item.scores["R1@0.5"] for item in items] == [2 * hit, 0.0]
    assert task.summary(items)["mIoU"] == 0.25


def test_later_spans_count_for_r5(tmp_path):
    task = small("ego4d-nlq", tmp_path).build()

    summary = task.summary(answered(task, [[8, 9], [2, 4]], [[0, 1]]))

    assert (summary["R1@0.3"], summary["R5@0.3"]) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no `videos`"),
        ({"videos": [{}]}, "has no `clips`"),
        ({"videos": [{"clips": [{**CLIP, "video_end_sec": "x"}]}]}, "video_end_sec is 'x'"),
        (
            {"videos": [{"clips": [{**CLIP, "annotations": [{"language_queries": [{"query": "Where?"}]}]}]}]},
            "windows are",
        ),
    ],
)
def test_a_bad_official_file_is_named(tmp_path, content, message):
    path = write(tmp_path / "nlq_val.json", content)

    with pytest.raises(ConfigError, match=message):
        small("ego4d-nlq", tmp_path, annotations=path).build()
