import json
import logging
from collections import Counter
from pathlib import Path

import pytest

from merv.chat import MEDIA, without_media_marks
from merv.data.formats.messages import read
from merv.errors import ConfigError

REALDATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "realdata" / "annotations"
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}
SHOW = {"type": "video", "text": None}
ASK = {"type": "text", "text": "What runs?"}


def asked(*content):
    return [{"role": "user", "content": list(content)}, ANSWER]


def aria(path="clip.mp4", num_frames=16):
    return {"messages": asked(SHOW, ASK), "images": None, "video": {"path": path, "num_frames": num_frames}}


def spoken(*messages):
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def read_rows(tmp_path, *rows, **options):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read(path, tmp_path / "media", **options)


def reason_of(tmp_path, row):
    result = read_rows(tmp_path, aria(), row, aria())
    [bad] = result.bad_rows
    assert (bad.row, list(result.rows)) == (1, [0, 2])
    assert "\n" not in str(bad)
    return bad.reason


def test_a_video_of_aria_is_marked_where_it_stands_and_brings_its_frames(tmp_path):
    (sample,) = read_rows(tmp_path, aria(), dataset="nextqa").samples

    assert sample.id == "nextqa-0"
    assert [(turn.role, turn.text) for turn in sample.turns] == [
        ("user", f"{MEDIA}What runs?"),
        ("assistant", "A dog."),
    ]
    assert [(ref.path, ref.kind) for ref in sample.media] == [(tmp_path / "media/clip.mp4", "video")]
    assert sample.meta == {"num_frames": 16}


def test_images_beside_the_messages_go_to_their_places_in_order(tmp_path):
    show, text = {"type": "image"}, {"type": "text", "text": " or "}
    row = {"messages": [*asked(show, text, show), *asked(show, ASK)], "images": ["a.jpg", "b.jpg", "c.jpg"]}

    (sample,) = read_rows(tmp_path, row).samples

    assert [turn.text for turn in sample.turns[::2]] == [f"{MEDIA} or {MEDIA}", f"{MEDIA}What runs?"]
    assert [ref.path.name for ref in sample.media] == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"type": "image_url", "image_url": {"url": "in/a.b"}}, "image"),
        ({"type": "image_url", "image_url": "in/a.b"}, "image"),
        ({"type": "image", "image": "in/a.b"}, "image"),
        ({"type": "image", "path": "in/a.b"}, "image"),
        ({"type": "image", "url": "in/a.b"}, "image"),
        ({"type": "video", "video": "in/a.b"}, "video"),
        ({"type": "video", "video": {"path": "in/a.b"}}, "video"),
        ({"type": "video_url", "video_url": {"url": "in/a.b"}}, "video"),
    ],
)
def test_every_spelling_of_openai_names_a_medium(tmp_path, item, kind):
    (sample,) = read_rows(tmp_path, {"messages": asked(ASK, item)}).samples

    assert sample.turns[0].text == f"What runs?{MEDIA}"
    assert [(ref.path, ref.kind) for ref in sample.media] == [(tmp_path / "media/in/a.b", kind)]
    assert sample.meta == {}


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_address_is_a_path_of_this_machine(tmp_path, host):
    item = {"type": "image_url", "image_url": {"url": f"file://{host}{tmp_path}/media/a%20dog.jpg"}}

    (sample,) = read_rows(tmp_path, {"messages": asked(item, ASK)}).samples

    assert sample.media[0].path == tmp_path / "media/a dog.jpg"


def test_content_may_be_a_string_with_a_system_message_and_several_questions(tmp_path):
    row = spoken(("system", "Be brief."), ("user", "One?"), ("assistant", "1"), ("user", "Two?"), ("assistant", "2"))

    (sample,) = read_rows(tmp_path, row).samples

    assert [turn.role for turn in sample.turns] == ["system", "user", "assistant", "user", "assistant"]
    assert not sample.has_visual


def test_other_columns_are_kept_for_rewards(tmp_path):
    row = {"id": 7, "num_frames": 4, "solution": "dog", **spoken(("user", "Who?"), ("assistant", "A dog."))}

    (sample,) = read_rows(tmp_path, row).samples

    assert (sample.id, sample.meta) == ("7", {"solution": "dog", "num_frames": 4})


def test_open_numbers_of_frames_become_8_with_one_warning_that_counts_them(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        result = read_rows(tmp_path, *(aria(num_frames=number) for number in (None, 0, -3, 5)), dataset="nextqa")

    assert [sample.meta["num_frames"] for sample in result.samples] == [8, 8, 8, 5]
    [record] = caplog.records
    assert record.getMessage() == (
        "dataset `nextqa`: 3 rows do not say how many frames to show of their video; 8 are taken"
    )


def test_whole_numbers_are_not_warned_about(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read_rows(tmp_path, aria())

    assert not caplog.records


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (3, "found int 3; expected an object with messages, images, video"),
        ({}, "field messages: found nothing; expected a list of messages"),
        ({"messages": []}, "field messages: found an empty list"),
        ({"messages": ["hi"]}, 'field messages[0]: found str "hi"'),
        (spoken(("tool", "x")), "field messages[0].role: found 'tool'; expected user, assistant, system"),
        (spoken((["user"], "x")), "field messages[0].role: found ['user']"),
        (spoken(("user", None)), "field messages[0].content: found nothing; expected text or a list"),
        (spoken(("user", [])), "field messages[0].content: found an empty list"),
        (spoken(("user", "x")), "the last message is no answer of assistant; there is nothing to learn"),
        (spoken(("system", "x")), "the last message is no answer of assistant"),
        (spoken(("assistant", "x")), "field messages[0]: found a message of assistant; expected one of user"),
        (
            spoken(("user", "x"), ("user", "y")),
            "field messages[1]: found a message of user; expected one of assistant",
        ),
        (spoken(("user", "x"), ("assistant", " ")), "field messages[1]: the last answer is empty"),
        (spoken(("user", f"x {MEDIA}"), ("assistant", "y")), "the text holds `<|merv:media|>`"),
        (
            spoken(("user", "x \ud800"), ("assistant", "y")),
            r"field messages[0].content: '\ud800' at character 2 is no",
        ),
        ({"messages": asked("x")}, 'field messages[0].content[0]: found str "x"; expected an object with type'),
        ({"messages": asked({"type": "audio"})}, "content[0].type: found 'audio'; expected text, image, image_url"),
        ({"messages": asked({"type": ["text"]})}, "content[0].type: found ['text']"),
        ({"messages": asked({"type": "text", "text": None})}, "content[0].text: found nothing; expected text"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [SHOW, ASK]}]},
            "field messages[1]: a message of assistant shows media; only user can",
        ),
        ({**aria(), "images": ["a.jpg"]}, "the row has images and a video; expected one of them"),
        ({**aria(), "video": None}, "1 video place, 0 videos"),
        ({**aria(), "messages": asked(ASK)}, "0 video places, 1 video"),
        ({"messages": asked(*[{"type": "image"}] * 3), "images": ["a", "b"]}, "3 image places, 2 images"),
        ({"messages": asked(ASK), "images": "a.jpg"}, 'field images: found str "a.jpg"; expected a list of paths'),
        ({"messages": asked({"type": "image"}), "images": [None]}, "field images[0]: found nothing; expected a path"),
        ({**aria(), "video": "a.mp4"}, 'field video: found str "a.mp4"; expected an object with path, num_frames'),
        (aria(path=""), "field video.path: found an empty str; expected a path"),
        (aria(num_frames=7.5), "field video.num_frames: found float 7.5; expected a whole number"),
        (aria(num_frames=True), "field video.num_frames: found bool true"),
        ({"messages": asked(ASK), "num_frames": "8"}, 'field num_frames: found str "8"'),
        ({**aria(), "id": [1]}, "field id: found list [1]"),
        (aria("../a.mp4"), "field video.path: '../a.mp4' leads out of"),
        (aria("/etc/passwd"), "field video.path: '/etc/passwd' leads out of"),
        (aria("a\0.mp4"), "leads out of"),
        (aria("\ud800.mp4"), r"field video.path: '\ud800.mp4' cannot be the name of a file"),
        (aria("file:///etc/passwd"), "'/etc/passwd' leads out of"),
        (aria("file://there/a.mp4"), "field video.path: found 'file://there/a.mp4'; expected file:///path"),
        (aria("file://[a.mp4"), "field video.path: 'file://[a.mp4' is no address"),
        (aria("https://a.org/b.mp4"), "found 'https://a.org/b.mp4'; media are read from the disk: save it, give"),
        (aria("HTTP://a.org/b.mp4"), "media are read from the disk"),
        (aria("DATA:video/mp4;base64,AA"), "media are read from the disk"),
        (aria("data:video/mp4;base64," + "A" * 999), "AAA...'; media are read from the disk"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_number_and_field(tmp_path, row, reason):
    assert reason in reason_of(tmp_path, row)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"messages": [', "not JSON: "),
        ('{"messages": ' + "9" * 5000 + "}", "not JSON: Exceeds the limit"),
        ("[" * 200_000, "not JSON: "),
    ],
)
def test_a_line_that_json_cannot_read_is_one_bad_row(tmp_path, line, reason):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(aria())}\n{line}\n{json.dumps(aria())}\n")

    result = read(path, tmp_path)

    assert list(result.rows) == [0, 2]
    assert result.bad_rows[0].reason.startswith(reason)


def test_a_link_out_of_the_media_folder_is_refused_unless_allowed(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "clip.mp4").symlink_to(tmp_path / "elsewhere.mp4")

    assert "by a symbolic link; set follow_links" in read_rows(tmp_path, aria()).bad_rows[0].reason
    assert len(read_rows(tmp_path, aria(), follow_links=True).samples) == 1


def test_a_missing_list_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.jsonl is missing"):
        read(tmp_path / "none.jsonl", tmp_path)


def test_the_file_in_arias_shape_is_read_without_a_bad_row(tmp_path, caplog):
    path = REALDATA / "aria" / "SEMI_SYNTHETIC_nextqa_train.jsonl"
    if not path.exists():
        pytest.skip("the collection of real annotation files is not beside the checkout")

    result = read(path, tmp_path)

    assert (len(result.samples), result.bad_rows) == (81, [])
    assert Counter(sample.meta.get("num_frames") for sample in result.samples) == {8: 60, 128: 20, None: 1}
    assert "40 rows do not say how many frames" in caplog.text
    assert all(sum(turn.text.count(MEDIA) for turn in s.turns) == len(s.media) for s in result.samples)
    assert not any(MEDIA in turn.text for s in result.samples for turn in without_media_marks(s.turns))


def test_rows_that_end_with_a_question_are_prompts_where_so_asked(tmp_path):
    question = {**spoken(("system", "Be brief."), ("user", "What runs?")), "solution": "a dog"}
    later = spoken(("user", "What runs?"), ("assistant", "A dog."), ("user", "Why?"))
    bad = [spoken(("system", "x")), spoken(("user", "  ")), spoken(("user", "x"), ("user", "y"))]

    result = read_rows(tmp_path, question, aria(), later, *bad, prompts_only=True)

    assert [sample.turns[-1].role for sample in result.samples] == ["user", "assistant", "user"]
    assert result.samples[0].meta["solution"] == "a dog"
    assert [row.reason.partition("; ")[2] for row in result.bad_rows] == [
        "there is nothing to answer",
        "there is nothing to answer",
        "expected one of assistant",
    ]
