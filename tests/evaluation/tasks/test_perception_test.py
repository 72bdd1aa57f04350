import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.perception_test import PerceptionTestConfig
from merv.video.media import Span

from .small import PERCEPTION, real, small, write


def test_clips_end_at_their_end_frame_where_the_rate_is_known(tmp_path):
    first, second = small("perception-test", tmp_path).build().samples()

    assert (first.id, first.media[0].span) == ("video_1_0", Span(0.0, 1.5))
    assert (first.meta["duration"], first.meta["groups"]) == (2.0, ("physics", "descriptive"))
    assert (second.media[0].span, second.meta["groups"]) == (None, ("memory",))


def test_lmms_eval_wants_the_bare_letter(tmp_path):
    task = small("perception-test", tmp_path, protocol="lmms-eval").build()

    assert [task.parse(task.samples()[0], text).value for text in ("B", "B.")] == [1, None]


def test_a_test_split_is_refused(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "answer_id"} for row in PERCEPTION["video_1"]["mc_question"]]
    path = write(tmp_path / "test.json", {"video_1": {"metadata": {}, "mc_question": rows}})

    with pytest.raises(ConfigError, match="has no answers"):
        PerceptionTestConfig(annotations=path).build()


def test_a_video_without_questions_is_named(tmp_path):
    path = write(tmp_path / "valid.json", {"video_1": {"metadata": {}}})

    with pytest.raises(ConfigError, match="video video_1 has no `mc_question`"):
        PerceptionTestConfig(annotations=path).build()


def test_the_genuine_pair_is_read_in_merv_s_form():
    folder = real("annotations", "perception_test_mcq", "dummy_mcq")

    samples = PerceptionTestConfig(annotations=folder / "test_q.json", fps=30.0).build().samples()

    assert len(samples) == 9
    assert (samples[0].id, samples[0].meta["answer"]) == ("mcvqa_10336_0", 2)
    assert samples[0].meta["options"] == ["static or shaking", "I don't know", "moving"]
    assert samples[0].media[0].span == Span(0.0, 595 / 30)
    assert samples[0].media[0].path.name == "video_10336.mp4"
