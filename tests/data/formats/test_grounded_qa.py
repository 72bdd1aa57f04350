import pytest

from merv.data.formats.grounded_qa import options_of, read, windows_of
from merv.errors import SampleError

from ..role_layout import QA, SPAN, WINDOWS, write

PLAIN = {
    "vid": "a",
    "duration": 20,
    "question": "Who?",
    "options": ["x", "y", "z", "w"],
    "answer": "z",
    "span": [1, 4],
}
DEVE = {"vid": "a", "question": "Who?", "answer": "z", "distract_answers": ["x", "y"], "timestamp": [1, 4]}
TOOLS = {"vid": "a", "q": "Who?", "a": ["x", "z"], "correct_idx": 1, "time": [1, 4], "duration": 20}


def read_rows(tmp_path, *rows, **options):
    return read(write(tmp_path / "rows.jsonl", *rows), tmp_path / "videos", dataset="g", **options)


@pytest.mark.parametrize("row", [PLAIN, {**PLAIN, "span": [[1, 4]]}, {**DEVE, "duration": 20}, TOOLS])
def test_every_form_gives_the_question_its_answer_and_its_moment(tmp_path, row):
    (sample,) = read_rows(tmp_path, row).samples

    meta = sample.meta
    assert (meta["task"], meta["question"], meta["windows"], meta["duration"]) == (
        "grounded-choice",
        "Who?",
        [(1.0, 4.0)],
        20.0,
    )
    assert meta["options"][meta["answer"]] == "z"
    assert sample.media[0].path == tmp_path / "videos" / "a.mp4"


@pytest.mark.parametrize("base", [WINDOWS, SPAN])
def test_a_row_of_a_grounding_set_gives_its_questions(tmp_path, base):
    second = {**QA[0], "question": "Where?"}

    reading = read_rows(tmp_path, {**base, "qa_base": [*QA, second]})

    assert [sample.meta["question"] for sample in reading.samples] == ["Who runs?", "Where?"]
    assert [sample.id for sample in reading.samples] == ["g-0-0", "g-0-1"]
    for sample in reading.samples:
        assert sorted(sample.meta["options"]) == ["a cat", "a dog", "a man", "nobody"]
        assert sample.meta["options"][sample.meta["answer"]] == "a dog"


@pytest.mark.parametrize("pairs", ["NA", [], None])
def test_rows_without_a_question_are_skipped(tmp_path, pairs):
    reading = read_rows(tmp_path, {**SPAN, "qa_base": pairs})

    assert reading.skipped == {"without a question": 1}


def test_rows_with_several_windows_are_skipped_on_demand(tmp_path):
    row = {**WINDOWS, "relevant_windows": [[1, 2], [3, 4]], "qa_base": QA}

    assert read_rows(tmp_path, row, single=True).skipped == {"with several windows": 1}
    assert len(read_rows(tmp_path, row).samples) == 1


def test_durations_may_stand_in_a_file(tmp_path):
    durations = write(tmp_path / "durations.json", {"a": 20})

    reading = read_rows(tmp_path, DEVE, {**DEVE, "vid": "b"}, {**DEVE, "vid": "b", "duration": 9}, durations=durations)

    assert [sample.meta["duration"] for sample in reading.samples] == [20.0, 9.0]
    assert [bad.reason for bad in reading.bad_rows] == ["no duration of video `b` in durations.json"]


def test_the_place_of_the_answer_follows_from_the_question_and_takes_every_place():
    places = [options_of(DEVE, f"question {number}") for number in range(60)]

    assert all(options[place] == "z" for options, place in places)
    assert {place for _, place in places} == {0, 1, 2}
    assert places == [options_of(DEVE, f"question {number}") for number in range(60)]


@pytest.mark.parametrize(("answer", "place"), [("z", 2), (2, 2), ("C", 2), ("c", 2), ("A", 0), (0, 0)])
def test_an_answer_is_a_text_a_letter_or_a_place(answer, place):
    assert options_of({**PLAIN, "answer": answer}, "Who?") == (PLAIN["options"], place)
    assert options_of({**PLAIN, "answer": None, "ans": answer}, "Who?") == (PLAIN["options"], place)


def test_an_option_goes_before_a_letter_or_place():
    assert options_of({"options": ["B", "A"], "answer": "A"}, "?")[1] == 1
    assert options_of({"options": [1, 0], "answer": 0}, "?")[1] == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "nobody"}, 'field answer: found str "nobody", which is none of 4 options'),
        ({"answer": "E"}, "which is none of 4 options"),
        ({"answer": 4}, "found int 4"),
        ({"answer": True}, "found bool true"),
        ({"answer": None}, "found nothing"),
        ({"options": None}, "field options: found nothing; expected a list"),
        ({"distractor": "x"}, "field distractor: found str .*; expected wrong answers beside `answer`"),
    ],
)
def test_options_without_the_answer_are_refused(change, reason):
    with pytest.raises(SampleError, match=reason):
        options_of({**PLAIN, **change}, "Who?")


@pytest.mark.parametrize("window", [None, [], 3, "all"])
def test_a_row_without_windows_is_refused(window):
    with pytest.raises(SampleError, match=r"field span: found .*; expected start and end in seconds"):
        windows_of({**PLAIN, "span": window})
