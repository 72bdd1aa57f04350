import pytest

from merv.errors import ConfigError

from .small import real, write
from .span_small import OPTIONS, answered, small

ROW = {"question": "what jumps?", "options": ["sit", "run"], "vid": "v_a", "span": [2, 4], "duration": 10}


def test_three_forms_of_rows_are_read(tmp_path):
    first, second, third = small("deveqa", tmp_path).build().samples()

    assert [s.meta["options"][s.meta["answer"]] for s in (first, second, third)] == ["jump", "sing", "run"]
    assert [s.meta["windows"] for s in (first, second, third)] == [[(2.0, 4.0)], [(6.0, 9.0)], [(1.0, 2.0)]]
    assert [s.meta["duration"] for s in (first, second, third)] == [10.0, 12.5, 12.5]
    assert sorted(second.meta["options"]) == sorted(OPTIONS)
    assert (third.id, third.meta["options"]) == ("n1", ["sit", "run"])


def test_wrong_answers_given_apart_stand_the_same_in_every_run(tmp_path):
    again = [small("deveqa", tmp_path).build().samples()[1].meta["options"] for _ in range(2)]

    assert again[0] == again[1]


def test_missing_answers_are_wrong_and_a_span_without_length_has_no_iop(tmp_path):
    task = small("deveqa", tmp_path).build()
    right = [sample.meta["answer"] for sample in task.samples()]

    summary = task.summary(answered(task, (right[0], [[2, 3]]), (right[1], []), (right[2], [[1.5, 1.5]])))

    assert (summary["Acc@QA"], summary["Acc@GQA"]) == (1.0, pytest.approx(1 / 3))
    assert (summary["mIoP"], summary["mIoU"]) == (pytest.approx(1 / 3), pytest.approx(0.5 / 3))
    assert summary["unparsed"] == 1


@pytest.mark.parametrize(
    ("answer", "index"), [("B", 1), (0, 0), ("run", 1), (" Run ", 1)], ids=["letter", "number", "text", "spaces"]
)
def test_an_answer_is_a_letter_a_number_or_a_text(tmp_path, answer, index):
    path = write(tmp_path / "rows.json", [{**ROW, "answer": answer}])

    assert small("deveqa", tmp_path, annotations=path).build().samples()[0].meta["answer"] == index


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "fly"}, "answer 'fly' is not one of the options"),
        ({"answer": "C"}, "answer 'C' is none of its 2 options"),
        ({"answer": "A", "options": ["sit"]}, "options are"),
        ({"answer": "A", "span": None}, "windows are"),
        ({}, "has none of correct_idx"),
    ],
)
def test_a_bad_row_is_named(tmp_path, change, message):
    path = write(tmp_path / "rows.json", [{**ROW, **change}])

    with pytest.raises(ConfigError, match=message):
        small("deveqa", tmp_path, annotations=path).build()


def test_the_recorded_shape_is_read():
    folder = real("annotations", "deve_qa")

    samples = small("deveqa", folder, annotations=folder / "SYNTHETIC_deve_qa.json").build().samples()

    assert len(samples) == 40
    assert (samples[0].meta["windows"], samples[0].meta["answer"]) == ([(0.0, 7.0)], 0)
