import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.evaluation.parsing import parse_option

SHAPES = ["ring", "cross", "square", "triangle"]
ORDERS = ["red then blue", "blue then red", "red", "green then white"]
PEOPLE = ["A person walks a dog.", "A person runs.", "Nobody is there.", "It can't be told"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # letters
        ("A", 0),
        ("b", 1),
        (" (B)\n", 1),
        ("C.", 2),
        ("**D**", 3),
        ("Ｂ", 1),
        ("(c) square", 2),
        ("D) triangle", 3),
        ("B. It has two arms, unlike the ring.", 1),
        ("**C.** square", 2),
        ("D because it has three sides", 3),
        ("Answer: D", 3),
        ("answer: d", 3),
        ("**Answer:** B", 1),
        ("The answer is (C).", 2),
        ("The correct answer is B, a cross.", 1),
        ("I would choose option B because of its arms", 1),
        ("I think it is (B).", 1),
        ("Answer:\nA", 0),
        # words
        ("cross", 1),
        ("  Cross!!", 1),
        ("It is a square.", 2),
        ("A triangle", 3),
        ("A cross is shown", 1),
        ("The shape is a ring, I am sure it is a ring", 0),
        ("E. ring", 0),
        # neither or several
        ("", None),
        ("...", None),
        ("E", None),
        ("circle", None),
        ("crossing", None),
        ("A person", None),
        ("I think so", None),
        ("a ring or a square", None),
        ("A or B", None),
        ("B or C", None),
        ("Answer: B or C", None),
        ("either A) or B)", None),
        ("(B) triangle", None),
        ("Options: (A) ring (B) cross (C) square (D) triangle", None),
        ("(A) ring (B) cross (C) square (D) triangle", None),
        ("A. ring B. cross C. square D. triangle", None),
    ],
)
def test_shapes_are_read_from_letters_and_words(text, expected):
    assert parse_option(text, SHAPES) == expected


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("red then blue", ORDERS, 0),
        ("First it is red, then blue: red then blue", ORDERS, 0),
        ("It goes red then blue.", ORDERS, 0),
        ("blue, then red", ORDERS, 1),
        ("red", ORDERS, 2),
        ("red then green", ORDERS, 2),
        ("red then blue then red", ORDERS, None),
        ("A person walks a dog", PEOPLE, 0),
        ("A person runs", PEOPLE, 1),
        ("A person", PEOPLE, None),
        ("it can’t be told", PEOPLE, 3),
        ("The answer is a person runs", PEOPLE, 1),
        ("naïve Straße", ["NAÏVE STRASSE", "other"], 0),
        ("same", ["same", "Same!", "other"], None),
        ("B", ["B", "A"], 0),
        ("1 234", ["1,234", "1234"], 0),
        ("?", ["?", "!"], None),
    ],
)
def test_longer_matches_win_and_doubt_is_none(text, options, expected):
    assert parse_option(text, options) == expected


@given(
    index=st.integers(0, 3), form=st.sampled_from(["{}", "({})", "{}.", "Answer: {}", "{}) {option}", "({}) {option}"])
)
def test_every_letter_form_reads_back(index, form):
    assert parse_option(form.format("ABCD"[index], option=SHAPES[index]), SHAPES) == index


@given(text=st.text(max_size=60))
def test_any_text_gives_an_option_or_none(text):
    assert parse_option(text, SHAPES) in {None, 0, 1, 2, 3}
