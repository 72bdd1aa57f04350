import json
import math
import re
from pathlib import Path

import pytest

from merv.chat import MEDIA
from merv.data.formats.messages import read
from merv.data.formats.messages_writing import row_of
from merv.data.sample import Sample, Turn
from merv.errors import SampleError
from merv.video.media import MediaRef, Span

ANSWER = Turn("assistant", "A dog.")
CLIP, STILL = MediaRef(Path("clips/a.mp4")), MediaRef(Path("b.png"), "image")


def talk(text="What runs?", *media, **more):
    return Sample("row-7", (Turn("user", text), ANSWER), media, **more)


SAMPLES = {
    "text": talk(),
    "system and several turns": Sample(
        "0", (Turn("system", "Be brief."), Turn("user", " a\n"), ANSWER, Turn("user", "b"), ANSWER)
    ),
    "media in the text": talk(f"First {MEDIA}then{MEDIA}{MEDIA}\nwhat?", CLIP, STILL, CLIP),
    "media nowhere in the text": talk("What?", CLIP, STILL),
    "media in two questions": Sample(
        "x", (Turn("user", f"{MEDIA}a"), ANSWER, Turn("user", f"b{MEDIA}"), ANSWER), (CLIP, STILL)
    ),
    "spans of media": talk(
        "What?", MediaRef(Path("a.mp4"), span=Span(0.0, 2.5)), MediaRef(Path("a.mp4"), span=Span(1, math.inf))
    ),
    "a span in the text": talk(f"{MEDIA}What?", MediaRef(Path("a.mp4"), span=Span(3, 4.25))),
    "the answer's span": talk(span=Span(0.1, 7)),
    "an endless answer": talk(span=Span(2, math.inf)),
    "meta": talk(meta={"windows": [[1.5, 2.0]], "options": ["a", "é"], "none": None, "deep": {"a": {"b": [1]}}}),
    "meta with names that are taken": talk(
        meta={"id": 3, "video": "v_1", "images": [], "messages": "x", "merv": {"span": 3}, "num_frames": -1, "a": 1}
    ),
    "an open question": Sample("q", (Turn("user", "What?"),), meta={"solution": "B"}),
    "an odd id": Sample("", (Turn("user", "Wé?"), ANSWER)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_row_is_read_back_as_the_sample(tmp_path, name):
    sample = SAMPLES[name]
    row = row_of(sample, [str(ref.path) for ref in sample.media])
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")

    reading = read(path, Path("."), prompts_only=True)

    assert [bad.reason for bad in reading.bad_rows] == []
    assert list(reading.samples) == [sample]


def test_tuples_come_back_as_lists():
    row = row_of(talk(meta={"windows": ((1.0, 2.0),), "task": "moment"}), [])

    assert json.loads(json.dumps(row))["windows"] == [[1.0, 2.0]]


def test_media_stand_in_the_content_as_others_write_them():
    sample = talk(f"{MEDIA}What?", MediaRef(Path("a.mp4"), span=Span(1, 2)))

    assert row_of(sample, ["in/a.mp4"])["messages"][0]["content"] == [
        {"type": "video", "video": "in/a.mp4", "start": 1, "end": 2},
        {"type": "text", "text": "What?"},
    ]


def test_media_without_a_place_stand_before_the_first_question_where_other_readers_look(tmp_path):
    sample = Sample("a", (Turn("system", "Be brief."), Turn("user", "What?"), ANSWER), (CLIP, STILL))
    row = row_of(sample, ["a.mp4", "b.png"])
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")

    assert row["messages"][1]["content"] == [
        {"type": "video", "video": "a.mp4"},
        {"type": "image", "image": "b.png"},
        {"type": "text", "text": "What?"},
    ]
    [again] = read(path, tmp_path).samples
    assert again.turns == sample.turns
    assert [ref.path.name for ref in again.media] == ["a.mp4", "b.png"]


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (talk(f"{MEDIA}What?", CLIP, STILL), "1 places in the text for 2 media"),
        (talk(MEDIA), "1 places in the text for 0 media"),
        (Sample("a", (Turn("user", "What?"), Turn("assistant", " "))), "the last answer is empty"),
        (Sample("a", (ANSWER,)), "found a message of assistant; expected one of user"),
        (talk(meta={"a": math.nan}), "meta cannot be told in JSON"),
        (talk(meta={"a": {1, 2}}), "meta cannot be told in JSON"),
        (talk(meta={"a": "\ud800"}), "meta cannot be told in JSON: .* surrogates"),
        (talk(meta={"a": {1: 2}}), r"its meta would be read as \{'a': \{'1': 2\}\}"),
        (talk("half \ud800"), "is no letter|surrogates"),
    ],
)
def test_what_a_row_cannot_tell_is_refused_with_the_reason(sample, reason):
    with pytest.raises(SampleError, match=reason):
        row_of(sample, [str(ref.path) for ref in sample.media])


def test_a_path_that_would_be_read_as_an_address_is_refused():
    with pytest.raises(SampleError, match="media are read from the disk"):
        row_of(talk("a", CLIP), ["http://a/b.mp4"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"merv": 3}, "field merv: found int 3; expected an object"),
        ({"merv": {"meta": []}}, "field merv.meta: found an empty list"),
        ({"merv": {"span": [2, 1]}}, r"field merv.span: found list \[2, 1\]; expected seconds"),
        ({"merv": {"span": "soon"}}, "field merv.span: found str"),
    ],
)
def test_a_row_with_a_broken_field_of_mervs_own_is_bad(tmp_path, changes, reason):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**row_of(talk(), []), **changes}) + "\n")

    [bad] = read(path, tmp_path).bad_rows

    assert re.search(reason, bad.reason), bad.reason


def test_an_end_alone_counts_from_the_beginning(tmp_path):
    path = tmp_path / "rows.jsonl"
    item = {"type": "video", "video": "a.mp4", "end": 3}
    row = {"messages": [{"role": "user", "content": [item]}, {"role": "assistant", "content": "yes"}]}
    path.write_text(json.dumps(row) + "\n")

    [sample] = read(path, tmp_path).samples

    assert sample.media[0].span == Span(0, 3)
