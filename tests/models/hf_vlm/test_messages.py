"""Samples as chat messages."""

import pytest

from merv.chat import MEDIA, Turn
from merv.errors import SampleError
from merv.models.hf_vlm.messages import as_messages

IMAGE, VIDEO = {"type": "image"}, {"type": "video"}


def text(words):
    return {"type": "text", "text": words}


def turns(*words):
    roles = ("user", "assistant")
    return [Turn(roles[number % 2], word) for number, word in enumerate(words)]


def test_media_without_a_place_come_first_in_the_first_question():
    found = as_messages([Turn("system", "s"), *turns("What?", "a ball")], [("image",), ("video",)])

    assert [message["role"] for message in found] == ["system", "user", "assistant"]
    assert found[1]["content"] == [IMAGE, VIDEO, text("What?")]
    assert found[2]["content"] == [text("a ball")]


def test_media_stand_where_their_marks_are():
    found = as_messages(
        turns(f"a {MEDIA} b {MEDIA}", "yes", f"{MEDIA}\nthis?", "no"), [("image",), ("video",), ("image",)]
    )

    assert found[0]["content"] == [text("a "), IMAGE, text(" b "), VIDEO]
    assert found[2]["content"] == [IMAGE, text("\nthis?")]


def test_a_video_may_stand_as_several_images():
    found = as_messages(turns(f"see {MEDIA}?", "yes"), [("image",) * 3])

    assert found[0]["content"] == [text("see "), IMAGE, IMAGE, IMAGE, text("?")]


def test_an_empty_turn_keeps_a_content():
    assert as_messages(turns("", "yes"), [])[0]["content"] == [text("")]


def test_the_system_message_is_said_where_a_row_has_none():
    own = as_messages([Turn("system", "own"), *turns("a", "b")], [], system="ours")
    none = as_messages(turns("a", "b"), [], system="ours")

    assert [message["content"][0]["text"] for message in own] == ["own", "a", "b"]
    assert none[0] == {"role": "system", "content": [text("ours")]}


@pytest.mark.parametrize(
    ("words", "number", "line"),
    [
        ([MEDIA * 3, "yes"], 2, "^the text has 3 places for media, the row 2 media$"),
        ([MEDIA, "yes"], 0, "^the text has 1 place for media, the row 0 media$"),
        ([f"{MEDIA}?", "yes"], 2, "^the text has 1 place for media, the row 2 media$"),
    ],
)
def test_places_and_media_must_be_equally_many(words, number, line):
    with pytest.raises(SampleError, match=line):
        as_messages(turns(*words), [("image",)] * number)


def test_media_need_a_question():
    with pytest.raises(SampleError, match="1 medium and no question to show them in"):
        as_messages([Turn("assistant", "hello")], [("image",)])
