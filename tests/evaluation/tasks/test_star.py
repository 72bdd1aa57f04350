from merv.evaluation.tasks.star import StarConfig
from merv.video.media import Span

from .small import real, small


def test_types_stretches_and_answers(tmp_path):
    samples = small("star", tmp_path).build().samples()

    assert [sample.meta["kind"] for sample in samples] == ["Interaction", "Sequence", "Sequence"]
    assert [sample.meta["answer"] for sample in samples] == [1, 0, 2]
    assert samples[0].media[0].span == Span(0.25, 1.0)
    assert samples[0].media[0].path == tmp_path / "star/videos/ABCDE.mp4"


def test_the_genuine_record_is_read():
    (sample,) = StarConfig(annotations=real("annotations", "star", "STAR_val.json")).build().samples()

    assert (sample.id, sample.meta["kind"]) == ("Interaction_T1_3772", "Interaction")
    assert sample.meta["options"] == ["The closet/cabinet.", "The window.", "The laptop.", "The door."]
    assert (sample.meta["answer"], sample.media[0].span) == (0, Span(8.9, 15.5))


def test_a_hundred_and_fifty_genuine_questions_are_read():
    path = real("annotations", "star", "SEMI_SYNTHETIC_STAR_val.json")

    samples = StarConfig(annotations=path).build().samples()

    assert (len(samples), {len(sample.meta["options"]) for sample in samples}) == (150, {4})
