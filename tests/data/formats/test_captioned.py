import json

import pytest

from merv.chat import MEDIA
from merv.data.formats.captioned import read


def talk(question, answer="A red vase."):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def vase(question="<image>\nWhat is it?", images=("a.png",), **more):
    return {"images": list(images), "caption": "A vase.", "conversations": talk(question), **more}


def read_rows(tmp_path, *rows):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return read(path, tmp_path / "media", dataset="vases")


def test_a_row_becomes_a_sample_with_its_caption(tmp_path):
    (sample,) = read_rows(tmp_path, vase(period="late")).samples

    assert sample.id == "vases-0"
    assert [(turn.role, turn.text) for turn in sample.turns] == [
        ("user", f"{MEDIA}\nWhat is it?"),
        ("assistant", "A red vase."),
    ]
    assert [(ref.path, ref.kind) for ref in sample.media] == [(tmp_path / "media/a.png", "image")]
    assert sample.meta == {"caption": "A vase.", "period": "late"}


@pytest.mark.parametrize(
    ("question", "marked"),
    [
        ("<image><image>Which?", f"{MEDIA}{MEDIA}Which?"),
        ("Is <image> like <image>?", f"Is {MEDIA} like {MEDIA}?"),
        ("Which?", f"{MEDIA}{MEDIA}Which?"),
    ],
)
def test_images_stand_at_their_tags_or_first(tmp_path, question, marked):
    (sample,) = read_rows(tmp_path, vase(question, ["a.png", "b.png"])).samples

    assert sample.turns[0].text == marked


def test_images_without_tags_stand_in_the_first_question_not_in_the_system_message(tmp_path):
    conversation = [{"from": "system", "value": "Be brief."}, *talk("What?"), *talk("Why?")]

    (sample,) = read_rows(tmp_path, {"images": ["a.png"], "conversations": conversation}).samples

    assert [turn.text for turn in sample.turns[:2]] == ["Be brief.", f"{MEDIA}What?"]
    assert sample.meta == {}


def test_tags_may_stand_in_later_questions(tmp_path):
    conversation = [*talk("<image>What?"), *talk("And <image>?")]

    (sample,) = read_rows(tmp_path, {"images": ["a.png", "b.png"], "conversations": conversation}).samples

    assert [turn.text for turn in sample.turns[::2]] == [f"{MEDIA}What?", f"And {MEDIA}?"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x", 'found str "x"; expected an object with images, caption, conversations'),
        ({"conversations": talk("x")}, "field images: found nothing; expected a list of paths"),
        (vase(images=[]), "field images: found an empty list"),
        (vase(images=[1]), "field images: found list [1]"),
        (vase(images=["../a.png"]), "field images: '../a.png' leads out of"),
        (vase(images=["/etc/passwd"]), "leads out of"),
        (vase(images=["a.png", "b.png"]), "1 image place, 2 images"),
        (vase("<image><image><image>", ["a.png", "b.png"]), "3 image places, 2 images"),
        (vase(caption=5), "field caption: found int 5; expected text"),
        (vase(caption="\udfff"), r"field caption: '\udfff' at character 0 is no letter"),
        ({**vase(), "id": True}, "field id: found bool true"),
        ({"images": ["a.png"]}, "field conversations: found nothing; expected a list of messages"),
        ({**vase(), "conversations": [5]}, "field conversations[0]: found int 5; expected an object with from, value"),
        ({**vase(), "conversations": [{"from": "bot"}]}, "field conversations[0].from: found 'bot'; expected human"),
        ({**vase(), "conversations": [{"from": "human"}]}, "field conversations[0].value: found nothing"),
        ({**vase(), "conversations": talk("x")[:1]}, "the last message is no answer of assistant"),
        ({**vase(), "conversations": talk("x", "")}, "the last answer is empty"),
        (
            {**vase(), "conversations": talk("x", "<image>")},
            "field conversations[1]: a message of assistant shows media",
        ),
        (vase(f"{MEDIA} x"), "the text holds `<|merv:media|>`"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_number_and_field(tmp_path, row, reason):
    result = read_rows(tmp_path, vase(), row, vase())

    (bad,) = result.bad_rows
    assert (bad.dataset, bad.row, list(result.rows)) == ("vases", 1, [0, 2])
    assert reason in bad.reason
    assert "\n" not in str(bad)
