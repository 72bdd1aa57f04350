"""From samples to rows with patches, for every role; and what cannot be asked."""

import pickle
from dataclasses import replace

import pytest
import torch

from merv.chat import IGNORE_INDEX, MEDIA, Turn
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.models.qwen2_vl.batch import PATCHES
from merv.models.qwen2_vl.roles import ROLES
from merv.models.qwen2_vl.tokens import REG, SEGMENT_END, SEGMENT_START, VIDEO, VISION_END, VISION_START
from merv.video.media import MediaRef, Span

from .role_rows import choosing, grounding, judging, role_config, sample, talk


@pytest.fixture(scope="module")
def processor():
    # Large enough for frames of two tokens.
    return role_config("grounder", max_pixels=56 * 56).build().processor


def text_of(processor, example):
    return processor.tokenizer.decode(example.input_ids)


def learned(processor, example):
    return processor.tokenizer.decode(example.labels[example.labels != IGNORE_INDEX])


def test_a_row_has_a_token_for_every_visual_one(processor, clips):
    found = processor.prepare(grounding(clips["wide"], (1.0, 2.0)))

    # 12 frames of four seconds, two a second: 8 frames in 4 steps.
    assert found.grid == (4, 2, 4)
    assert found.frames[PATCHES].shape == (4 * 2 * 4, 3 * 2 * 14 * 14)
    assert found.frames[PATCHES].dtype == torch.uint8
    assert (found.input_ids == processor.ids.video).sum() == 4 * 2
    assert f"{VISION_START}{VIDEO * 8}{VISION_END}When: the screen" in text_of(processor, found)
    assert found.shown == Span(0.0, 4.0)
    assert found.role == "grounder"


def test_only_the_answer_carries_loss(processor, clips):
    found = processor.prepare(grounding(clips["wide"], (1.0, 2.0)))

    assert learned(processor, found) == f" the screen shows a ring {REG}<|im_end|>"


def test_a_prompt_ends_where_the_model_is_to_speak(processor, clips):
    found = processor.prepare(grounding(clips["wide"], (1.0, 2.0)), answer=False)

    assert text_of(processor, found).endswith("<|im_start|>assistant\n")
    assert found.moments is None


def test_several_windows_become_several_moments(processor, clips):
    found = processor.prepare(grounding(clips["wide"], (0.0, 1.0), (3.0, 4.0))).moments

    torch.testing.assert_close(found.spans, torch.tensor([[0.0, 0.25], [0.75, 1.0]]))
    assert found.saliency.tolist() == [1, 0, 0, 1]


def test_the_drawn_step_depends_on_seed_and_row_alone(processor, clips):
    row = grounding(clips["long"], (0.0, 16.0))

    drawn = {processor.prepare(row).moments.positive for _ in range(3)}
    others = {processor.prepare(replace(row, id=str(number))).moments.positive for number in range(12)}
    seeds = {replace(processor, seed=seed).prepare(row).moments.positive for seed in range(12)}

    assert len(drawn) == 1
    assert len(others) > 3
    assert len(seeds) > 3


def test_windows_count_from_the_stretch_a_row_names(processor, clips):
    ref = replace(clips["wide"], span=Span(2.0, 4.0))

    found = processor.prepare(grounding(ref, (3.0, 4.0)))

    assert found.shown == Span(2.0, 4.0)
    torch.testing.assert_close(found.moments.spans, torch.tensor([[0.5, 1.0]]))


def test_a_rows_own_duration_counts(processor, clips):
    row = grounding(clips["wide"], (2.5, 5.0))
    timed = Sample(row.id, (), row.media, meta={**row.meta, "duration": 5.0})

    found = processor.prepare(timed)

    assert found.shown == Span(0.0, 5.0)
    torch.testing.assert_close(found.moments.spans, torch.tensor([[0.5, 1.0]]))


def test_a_grounder_without_windows_has_nothing_to_learn(processor, clips):
    with pytest.raises(SampleError, match=r"nothing the role grounder could learn from: no answer, windows or plan$"):
        processor.prepare(grounding(clips["wide"]))
    assert processor.prepare(grounding(clips["wide"]), answer=False).moments is None


def test_a_window_outside_of_the_video_is_refused(processor, clips):
    with pytest.raises(SampleError, match=r"the window 7..9 s lies outside of what is shown, 0..4 s"):
        processor.prepare(grounding(clips["wide"], (7.0, 9.0)))


def test_a_verifier_sees_the_candidate_marked_among_its_surroundings(processor, clips):
    judge = replace(processor.for_role("verifier"), budgets={"verifier": processor.budgets["grounder"]})

    found = judge.prepare(judging(clips["long"], (6.0, 10.0), 16.0, positive=True))

    assert found.shown == Span(4.0, 12.0)
    ids = found.input_ids.tolist()
    # 8 seconds twice a second: 16 frames in 8 steps of a token; the candidate is in the middle half.
    before, behind = ids.index(processor.ids.segment_start), ids.index(processor.ids.segment_end)
    first = ids.index(processor.ids.video)
    assert (before, behind) == (first + 2, first + 2 + 1 + 4)
    assert ids.count(processor.ids.video) == 8
    assert learned(judge, found) == " seen Yes.<|im_end|>"
    assert found.moments is None


def test_a_verifiers_words_name_its_marks(clips):
    judge = role_config("verifier", wording="videomind").build().processor

    found = judge.prepare(judging(clips["long"], (6.0, 10.0), 16.0), answer=False)

    assert text_of(judge, found).count(SEGMENT_START) == text_of(judge, found).count(SEGMENT_END) == 3


def test_a_verifier_needs_a_duration(processor, clips):
    row = sample(clips["long"], query="a ring", candidate=(6.0, 10.0))

    with pytest.raises(
        SampleError, match=r"^the row has no duration; a verifier needs the video's length in seconds$"
    ):
        processor.for_role("verifier").prepare(row, answer=False)


def test_a_verifier_needs_a_candidate(processor, clips):
    with pytest.raises(SampleError, match="the sample has no candidate"):
        processor.for_role("verifier").prepare(sample(clips["long"], query="a ring"), answer=False)


def test_a_candidate_outside_of_the_video_is_refused(processor, clips):
    with pytest.raises(SampleError, match=r"the candidate 17..19 s lies outside of the video, 0..16 s"):
        processor.for_role("verifier").prepare(judging(clips["long"], (17.0, 19.0), 16.0), answer=False)


def test_a_duration_longer_than_the_video_still_marks_inside(processor, clips):
    """The list says 20 s, the file lasts 16: what is shown ends with the file."""
    found = processor.for_role("verifier").prepare(judging(clips["long"], (14.0, 18.0), 20.0), answer=False)

    assert found.shown == Span(12.0, 16.0)
    assert (found.input_ids == processor.ids.segment_end).sum() == 1


def test_the_joint_role_needs_options(processor, clips):
    with pytest.raises(SampleError, match="the sample has no options"):
        processor.for_role("gqa").prepare(sample(clips["wide"], question="What?"), answer=False)


def test_the_joint_role_learns_a_moment_and_a_choice(processor, clips):
    found = processor.for_role("gqa").prepare(choosing(clips["wide"], (1.0, 2.0), answer=0))

    assert found.moments is not None
    assert "Best choice: (A) a ring" in learned(processor, found)
    assert (found.labels == processor.ids.reg).sum() == 1


def test_a_planner_learns_a_plan_about_a_video_or_none(processor, clips):
    planner = processor.for_role("planner")

    with_video = planner.prepare(sample(clips["wide"], question="What?", plan=[{"type": "answerer"}]))
    without = planner.prepare(sample(question="What?", plan=[{"type": "answerer"}]))

    assert learned(planner, with_video) == learned(planner, without) == ' [{"type": "answerer"}]<|im_end|>'
    assert without.grid is None
    assert not without.has_visual


@pytest.mark.parametrize("role", ["grounder", "gqa"])
def test_a_moment_of_no_video_is_refused(processor, role):
    row = Sample("a", (), (), meta={"query": "q", "windows": [(1, 2)], "options": ["a", "b"], "answer": 0})

    with pytest.raises(SampleError, match=f"the row shows no video; the role {role} looks for a moment of one"):
        processor.for_role(role).prepare(row)


def test_two_videos_in_a_row_are_refused(processor, clips):
    with pytest.raises(SampleError, match=r"^2 media in one row; this model takes one video or image$"):
        processor.for_role("answerer").prepare(talk(clips["wide"], clips["tall"]))


def test_a_reserved_token_in_a_query_is_refused(processor, clips):
    with pytest.raises(SampleError, match=r"the text holds <\|video_pad\|>"):
        processor.prepare(grounding(clips["wide"], (1, 2), query=f"a {VIDEO}"))


def test_a_row_too_long_is_refused_with_its_length(processor, clips):
    strict = replace(processor, max_length=30)
    length = len(processor.prepare(grounding(clips["wide"], (1, 2))).input_ids)

    with pytest.raises(SampleError, match=rf"^the row has {length} tokens, 30 fit; lower the role's max_frames$"):
        strict.prepare(grounding(clips["wide"], (1, 2)))


def test_an_unknown_role_is_refused(processor):
    with pytest.raises(ConfigError, match="unknown role `judge`"):
        processor.for_role("judge")


def test_its_own_role_is_itself(processor):
    assert processor.for_role("grounder") is processor
    assert processor.for_role("planner").role == "planner"


def test_a_still_is_one_step(processor, clips):
    found = processor.for_role("answerer").prepare(talk(clips["still"]))

    assert found.grid[0] == 1
    assert found.frames[PATCHES].shape[0] == found.grid[1] * found.grid[2]


def test_marks_of_media_are_not_read_as_words(processor, clips):
    answerer, plain = processor.for_role("answerer"), talk(clips["still"])
    question, *rest = plain.turns
    marked = replace(plain, turns=(Turn("user", f"{MEDIA}{question.text}"), *rest))

    assert answerer.prepare(marked).input_ids.tolist() == answerer.prepare(plain).input_ids.tolist()


def test_a_role_that_is_told_times_reads_when_each_step_was_taken(clips):
    told = role_config("gqa", timestamps=True).build().processor

    text = text_of(told, told.prepare(choosing(clips["wide"]), answer=False))

    # Frames 0 2 3 5 6 8 9 11 of three a second, two a step.
    assert "The video lasts 4.0 seconds; it is shown at 0.3, 1.3, 2.3, 3.3." in text
    assert "lasts" not in text_of(told, told.for_role("grounder").prepare(grounding(clips["wide"]), answer=False))


def test_samples_of_one_video_share_its_patches_and_bad_ones_stand_alone(processor, clips):
    rows = [
        grounding(clips["wide"], (1, 2)),
        grounding(clips["tall"], (1, 2)),
        grounding(MediaRef(clips["wide"].path / "missing"), (1, 2)),
        grounding(clips["wide"], (2, 3)),
        grounding(MediaRef(clips["wide"].path / "missing"), (1, 2)),
    ]

    found = processor.prepare_all(rows)

    assert [isinstance(example, SampleError) for example in found] == [False, False, True, False, True]
    assert found[0].frames[PATCHES] is found[3].frames[PATCHES]
    batch = processor.collate([found[0], found[1], found[3]])
    assert batch.shows.tolist() == [0, 1, 0]
    assert batch.grids == (found[0].grid, found[1].grid)
    assert len(batch.frames[PATCHES]) == sum(t * h * w for t, h, w in batch.grids)


def test_words_end_where_the_answer_does_and_keep_calls(processor):
    ids = processor.tokenizer("Yes <|reg|>.<|im_end|>", add_special_tokens=False, return_tensors="pt").input_ids[0]
    filled = torch.cat([ids, torch.full((3,), processor.tokenizer.pad_token_id)])

    assert processor.words(filled) == "Yes <|reg|>."


@pytest.mark.parametrize("role", ROLES)
def test_processors_travel_to_workers(processor, role):
    travelled = pickle.loads(pickle.dumps(processor.for_role(role)))

    assert travelled.role == role
    assert travelled.ids == processor.ids
