import json
import re
from collections import Counter
from pathlib import Path

import pytest

from merv.data.formats.video_llava import read
from merv.errors import ConfigError

REALDATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "realdata" / "annotations"
TALK = [{"from": "human", "value": "<video>\nWhat happens?"}, {"from": "gpt", "value": "A dog runs."}]


def write(tmp_path, rows, name="rows.json"):
    path = tmp_path / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8")
    return path


def read_rows(tmp_path, *rows, **options):
    root = tmp_path / "media"
    root.mkdir(exist_ok=True)
    return read(write(tmp_path, list(rows)), root, **options)


def talk(question):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": "Yes."}]


def test_a_row_becomes_a_sample_without_opening_its_media(tmp_path):
    result = read_rows(tmp_path, {"id": 7, "video": "valley/a.mp4", "conversations": TALK})

    (sample,) = result.samples
    assert sample.id == "7"
    assert [(turn.role, turn.text) for turn in sample.turns] == [
        ("user", "What happens?"),
        ("assistant", "A dog runs."),
    ]
    assert [(ref.path, ref.kind) for ref in sample.media] == [(tmp_path / "media/valley/a.mp4", "video")]
    assert (list(result.rows), result.bad_rows) == ([0], [])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<image>\nWhat?", "What?"),
        ("What?\n<image>", "What?"),
        ("<image>\n" * 8 + "What?", "What?"),
        ("<image>" * 8 + "\nWhat?", "What?"),
        ("Look <video> now", "Look  now"),
        ("One.\n<image>\nTwo.", "One.\nTwo."),
        ("Is 1 < 2?", "Is 1 < 2?"),
    ],
)
def test_placeholders_leave_the_text(tmp_path, text, left):
    result = read_rows(tmp_path, {"id": "a", "image": "a.jpg", "conversations": talk(text)})

    assert result.samples[0].turns[0].text == left


def test_the_video_token_can_be_kept_as_the_published_trainer_does(tmp_path):
    row = {"id": "a", "video": "a.mp4", "conversations": talk("<video>\n<image>\nWhat?")}

    assert read_rows(tmp_path, row, keep_video_token=True).samples[0].turns[0].text == "<video>\nWhat?"


def test_rows_without_media_and_with_several_are_kept(tmp_path):
    result = read_rows(
        tmp_path,
        {"id": "text", "image": None, "conversations": TALK},
        {"id": "two", "image": ["a.jpg", "b.jpg"], "video": "c.mp4", "conversations": TALK},
    )

    assert [sample.has_visual for sample in result.samples] == [False, True]
    assert [ref.kind for ref in result.samples[1].media] == ["image", "image", "video"]


def test_a_system_message_comes_first_and_leading_answers_go(tmp_path):
    conversation = [{"from": "system", "value": "Be brief."}, {"from": "gpt", "value": "Hello."}, *TALK]

    (sample,) = read_rows(tmp_path, {"conversations": conversation}).samples

    assert [turn.role for turn in sample.turns] == ["system", "user", "assistant"]


@pytest.mark.parametrize("row", [{}, {"id": None}])
def test_a_row_without_an_id_is_called_by_its_number(tmp_path, row):
    samples = read_rows(tmp_path, {"id": "a", "conversations": TALK}, {**row, "conversations": TALK}).samples

    assert [sample.id for sample in samples] == ["a", "1"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (3, "found int 3; expected an object with id, video or image, conversations"),
        ({"id": "a"}, "field conversations: found nothing; expected a list"),
        ({"id": "a", "conversations": []}, "field conversations: found an empty list"),
        ({"id": "a", "conversations": ["hi"]}, 'field conversations[0]: found str "hi"'),
        ({"id": "a", "conversations": [{"from": "bot", "value": "x"}]}, "field conversations[0].from: found 'bot'"),
        ({"id": "a", "conversations": [{"from": "human"}]}, "field conversations[0].value: found nothing"),
        ({"id": "a", "conversations": talk("caf\ud800")}, r"the text holds '\ud800', half a character"),
        ({"id": "a", "conversations": TALK[:1]}, "found no gpt message"),
        (
            {"id": "a", "conversations": [*TALK[:1], *TALK]},
            "human and gpt do not take turns, spoken message 1 is user",
        ),
        ({"id": [1], "conversations": TALK}, "field id: found list [1]"),
        ({"id": "a", "video": 5, "conversations": TALK}, "field video: found int 5; expected a path"),
        ({"id": "a", "image": [], "conversations": TALK}, "field image: found an empty list"),
        ({"id": "a", "video": ["a", 1], "conversations": TALK}, 'field video: found list ["a", 1]'),
        ({"id": "a", "video": "../a.mp4", "conversations": TALK}, "field video: '../a.mp4' leads out of"),
        ({"id": "a", "video": "b/../../a.mp4", "conversations": TALK}, "leads out of"),
        ({"id": "a", "video": "/etc/passwd", "conversations": TALK}, "field video: '/etc/passwd' leads out of"),
        ({"id": "a", "video": "a\0.mp4", "conversations": TALK}, "leads out of"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_number_and_field(tmp_path, row, reason):
    result = read_rows(tmp_path, {"id": "good", "conversations": TALK}, row, {"id": "late", "conversations": TALK})

    (bad,) = result.bad_rows
    assert (bad.dataset, bad.row) == ("rows.json", 1)
    assert reason in bad.reason
    assert "\n" not in str(bad)
    assert list(result.rows) == [0, 2]


def test_a_link_out_of_the_root_is_refused_unless_allowed(tmp_path):
    outside = tmp_path / "outside"
    root = tmp_path / "media"
    for folder in (outside, root / "in"):
        folder.mkdir(parents=True)
    (root / "folder").symlink_to(outside)
    (root / "file.mp4").symlink_to(outside / "x.mp4")
    (root / "near.mp4").symlink_to(root / "in" / "y.mp4")
    rows = [{"video": name, "conversations": TALK} for name in ("folder/x.mp4", "file.mp4", "near.mp4", "in/y.mp4")]

    strict = read_rows(tmp_path, *rows)
    loose = read_rows(tmp_path, *rows, follow_links=True)

    assert [bad.row for bad in strict.bad_rows] == [0, 1]
    assert "by a symbolic link; set follow_links" in strict.bad_rows[0].reason
    assert len(loose.samples) == 4


def test_an_absolute_path_inside_the_root_is_accepted(tmp_path):
    path = tmp_path / "media" / "a.mp4"

    assert read_rows(tmp_path, {"video": str(path), "conversations": TALK}).samples[0].media[0].path == path


def test_a_broken_line_of_a_jsonl_is_one_bad_row(tmp_path):
    good = json.dumps({"id": "a", "conversations": TALK})
    path = write(tmp_path, f"{good}\n{good[:20]}\n\n{good}\n", "rows.jsonl")

    result = read(path, tmp_path)

    assert list(result.rows) == [0, 2]
    assert result.bad_rows[0].reason.startswith("not JSON: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds no rows"),
        ('{"a": 1}', 'holds dict {"a": 1}; expected a list of rows'),
        ('[{"id": 1},\n {"id" 2}]', "is not JSON: .* at line 2 column 8"),
        ("", "is not JSON: .* at line 1 column 1"),
    ],
)
def test_a_file_that_is_no_list_of_rows_is_refused(tmp_path, content, message):
    with pytest.raises(ConfigError, match=re.escape("rows.json ") + message):
        read(write(tmp_path, content), tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b"\x89PNG\xff")

    with pytest.raises(ConfigError, match=r"is not UTF-8 text: .* at byte 0"):
        read(path, tmp_path)


def test_missing_files_are_named_with_the_expected_tree(tmp_path):
    with pytest.raises(ConfigError, match=r"annotation file .*none\.json is missing") as caught:
        read(tmp_path / "none.json", tmp_path, expected="TREE")
    assert caught.value.below == "TREE"
    with pytest.raises(ConfigError, match=r"media folder .*none is missing"):
        read(write(tmp_path, [{}]), tmp_path / "none")


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        ("videollava_train/ft_data_example.jsonl", {"video": 150}),
        ("video_chatgpt_instruct/video_chatgpt_training.json", {"video": 45}),
        ("llava_1_5/DERIVED_llava_v1_5_mix665k_sample.json", {"image": 160, "text": 3}),
    ],
)
def test_real_files_are_read_without_a_bad_row(tmp_path, file, kinds):
    if not (REALDATA / file).exists():
        pytest.skip("the collection of real annotation files is not beside the checkout")

    result = read(REALDATA / file, tmp_path)

    assert result.bad_rows == []
    assert Counter(s.media[0].kind if s.media else "text" for s in result.samples) == kinds
    assert not any(re.search("<(image|video)>", turn.text) for sample in result.samples for turn in sample.turns)
