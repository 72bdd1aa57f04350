import pytest

from merv.chat import MEDIA, Turn, without_media_marks


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{MEDIA}What?", "What?"),
        (f"{MEDIA}\nWhat?", "What?"),
        (f"{MEDIA}{MEDIA}\nWhat?", "What?"),
        (f"What?\n{MEDIA}", "What?"),
        (f"One.\n{MEDIA}\nTwo.", "One.\nTwo."),
        (f"Is {MEDIA} red?", "Is  red?"),
        (MEDIA, ""),
    ],
)
def test_marks_of_media_leave_the_text(text, left):
    assert without_media_marks([Turn("user", text)]) == (Turn("user", left),)


def test_turns_without_marks_stay_as_they_are():
    turns = (Turn("user", "  What?\n"), Turn("assistant", "That. "))

    assert without_media_marks(turns) == turns
