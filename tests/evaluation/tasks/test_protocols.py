from merv.evaluation.tasks.protocols import SHARED, ask_lmms

OPTIONS = ["a ring", "the cross"]


def test_our_prompt_is_short_and_subtitles_stand_first():
    assert SHARED["merv"].ask("What?", OPTIONS, "hello\nthere") == (
        "Subtitles:\nhello\nthere\nWhat?\n(A) a ring\n(B) the cross\nAnswer with the letter of the right option."
    )


def test_the_reference_prompt_is_that_of_its_script():
    assert SHARED["reference"].ask("What?", OPTIONS, "") == (
        "What? Select the correct answer from the following options. "
        "Write your answer as only one of A, B and nothing else.\n\n    A. a ring\nB. the cross"
    )


def test_videomind_begins_options_with_a_capital_and_opens_the_answer():
    assert SHARED["videomind"].ask("What?", [*OPTIONS, ""], "") == (
        "What?\nOptions:\n(A) A ring\n(B) The cross\n(C) \nPlease only give the best option.\nBest Option: ("
    )


def test_lmms_eval_asks_for_the_letter():
    assert ask_lmms("What?", OPTIONS, "") == (
        "What?\nA. a ring\nB. the cross\nAnswer with the option's letter from the given choices directly."
    )


def test_a_protocol_names_its_parser():
    assert [way.parser for way in SHARED.values()] == ["parse_option/1", "reference_option/1", "videomind_option/1"]
