import json
import logging

import pytest
import torch

from merv.chat import MEDIA
from merv.errors import ConfigError
from merv.video.decode import read_clip
from merv.video.media import Span

from .making import convert, load, png, samples, talk, without_places, write_tar

IMAGE, ASK = {"type": "image"}, {"type": "text", "text": "What?"}


def grey(ref):
    return int(read_clip(ref, 1).frames[0, 0, 0, 0])


def test_shards_that_lost_their_indexes_give_the_same_samples_in_the_same_order(tmp_path):
    rows = samples(tmp_path / "media")
    convert(rows, tmp_path / "out")
    indexed = load(tmp_path / "out", tmp_path / "cache")
    before = [(without_places(sample), [ref.within.stretches for ref in sample.media]) for sample in indexed]
    for path in (tmp_path / "out").glob("*index*"):
        path.unlink()

    source = load(tmp_path / "out", tmp_path / "cache")

    assert [(without_places(s), [ref.within.stretches for ref in s.media]) for s in source] == before
    assert torch.equal(read_clip(source[4].media[0], 5).frames, read_clip(rows[4].media[0], 5).frames)


def test_a_shard_is_scanned_once(tmp_path, caplog):
    path = write_tar(tmp_path / "0.tar", {"a.json": talk(ASK)})
    caplog.set_level(logging.INFO)

    for _ in range(2):
        assert len(load(path, tmp_path / "cache")) == 1

    assert caplog.text.count("has no index; it is read once") == 1
    assert [file.name for file in tmp_path.iterdir() if file.name != "cache"] == ["0.tar"]


def test_a_shard_that_changes_is_scanned_again(tmp_path):
    path = write_tar(tmp_path / "0.tar", {"a.json": talk(ASK)})
    load(path, tmp_path / "cache")
    write_tar(path, {"a.json": talk(ASK), "b.json": talk(ASK)})

    assert len(load(path, tmp_path / "cache")) == 2


def test_captions_of_others_answer_the_prompt_and_facts_go_into_meta(tmp_path):
    members = {
        "in/0.png": png(10),
        "in/0.txt": "  A rød dot.\n".encode(),
        "in/0.json": json.dumps({"width": 8}).encode(),
        "in/1.png": png(20),
        "in/1.txt": b"Another.",
    }
    path = write_tar(tmp_path / "0.tar", members)

    first, second = load(path, tmp_path / "cache", prompt="Describe it.")

    assert first.id == "in/0"
    assert [turn.text for turn in first.turns] == [f"{MEDIA}Describe it.", "A rød dot."]
    assert first.meta == {"width": 8}
    assert [grey(ref) for ref in (*first.media, *second.media)] == [10, 20]
    assert (first.media[0].kind, first.media[0].within.name) == ("image", "in/0.png")


@pytest.mark.parametrize(
    "content",
    [
        [IMAGE, ASK, IMAGE],
        [{"type": "image", "image": "a.1.png"}, ASK, {"type": "image", "image": "a.2.png"}],
        [{"type": "image", "image": "coco/x.jpg"}, ASK, {"type": "image", "image": "coco/y.jpg"}],
    ],
)
def test_messages_of_others_show_the_members_of_their_sample(tmp_path, content):
    path = write_tar(tmp_path / "0.tar", {"a.1.png": png(10), "a.2.png": png(20), "a.json": talk(*content)})

    [sample] = load(path, tmp_path / "cache")

    assert sample.turns[0].text == f"{MEDIA}What?{MEDIA}"
    assert [grey(ref) for ref in sample.media] == [10, 20]


def test_messages_that_name_members_show_them_in_their_own_order(tmp_path):
    content = [{"type": "image", "image": "a.2.png"}, ASK, {"type": "image", "image": "a.1.png"}]
    path = write_tar(tmp_path / "0.tar", {"a.1.png": png(10), "a.2.png": png(20), "a.json": talk(*content)})

    [sample] = load(path, tmp_path / "cache")

    assert [grey(ref) for ref in sample.media] == [20, 10]


def test_a_span_and_a_list_of_rows_are_read(tmp_path):
    cut = json.loads(talk({"type": "video", "video": "a.mp4", "start": 1, "end": 2}, ASK))
    whole = json.loads(talk({"type": "video"}, ASK, answer="no"))
    path = write_tar(tmp_path / "0.tar", {"a.json": json.dumps([cut, whole]).encode(), "a.mp4": b"x"})

    source = load(path, tmp_path / "cache")

    assert [sample.media[0].span for sample in source] == [Span(1, 2), None]
    assert [sample.turns[1].text for sample in source] == ["yes", "no"]
    assert source[0].media[0].within == source[1].media[0].within


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"a.json": b"{"}, "member a.json is not JSON"),
        ({"a.json": b'{"width": 3}', "a.png": png(1)}, "found json member without messages; expected"),
        ({"a.png": png(1), "a.cls": b"3"}, "found png, cls; expected a json member with messages, or a txt member"),
        ({"a.json": talk(IMAGE, IMAGE, ASK), "a.png": png(1)}, "2 image places, 0 images"),
        (
            {"a.json": talk({"type": "image", "image": "x"}, {"type": "image", "image": "y"}), "a.png": png(1)},
            "the row shows 2 media, the sample has 1; name them in the row",
        ),
        ({"a.json": talk(ASK, answer="")}, "the last answer is empty"),
        ({"a.json": b'{"messages": 3}'}, "field messages: found int 3"),
        ({"a.json": b"[]"}, "found json member without messages"),
    ],
)
def test_a_sample_that_is_no_row_is_listed_with_the_reason(tmp_path, members, reason):
    good = {"b.json": talk(ASK)}
    path = write_tar(tmp_path / "0.tar", {**members, **good})

    source = load(path, tmp_path / "cache")

    assert [sample.id for sample in source] == ["b"]
    [bad] = source.bad_rows
    assert (bad.row, bad.id, bad.path) == (0, "a", f"{path}:a")
    assert reason in bad.reason


def test_shards_without_any_row_are_one_line(tmp_path):
    path = write_tar(tmp_path / "0.tar", {"a.cls": b"3"})

    with pytest.raises(ConfigError, match=r"no row of .*0\.tar can be used; the first of 1: found cls; expected"):
        load(path, tmp_path / "cache")


def test_names_that_lead_out_of_a_folder_are_names(tmp_path):
    path = write_tar(tmp_path / "0.tar", {"../../a.png": png(10), "../../a.txt": b"Dot.", "/etc/b.txt": b"Text."})

    first, second = load(path, tmp_path / "cache")

    assert (first.id, second.id) == ("../../a", "/etc/b")
    assert first.media[0].path == path
    assert grey(first.media[0]) == 10


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda content: content[:700], "cannot be read as a tar: unexpected end of data; fetch it again"),
        (lambda content: b"no tar" * 200, "cannot be read as a tar"),
        (lambda content: b"", "cannot be read as a tar"),
    ],
)
def test_a_shard_that_is_cut_short_or_no_tar_is_one_line(tmp_path, damage, line):
    path = write_tar(tmp_path / "0.tar", {"a.json": talk(ASK), "a.png": png(1)})
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ConfigError, match=rf"shard .*0\.tar {line}"):
        load(path, tmp_path / "cache")
