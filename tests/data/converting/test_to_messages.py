import json

import pytest

from data.shards.making import ANSWER, convert, load, samples
from merv.data.conversation_datasets import MessagesConfig
from merv.data.converting.plan import make_plan
from merv.data.converting.to_messages import FILE, convert_to_messages
from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.formats.messages_writing import plain
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.video.media import MediaRef

ROLES = ("grounder", "verifier", "planner", "answerer", "gqa")


@pytest.fixture
def rows(tmp_path):
    return samples(tmp_path / "media")


def write(rows, out, *, media_root=None, missing="keep"):
    out.mkdir()
    source = rows if isinstance(rows, Source) else Source("own", rows)
    return convert_to_messages(source, make_plan(source, None, missing), out, media_root=media_root, missing=missing)


def back(out, written, **options):
    source = MessagesConfig(annotations=out / FILE, media_root=written.media_root, **options).load("finetune")
    assert source.bad_rows == []
    return list(source)


def test_messages_give_the_samples_back(tmp_path, rows):
    written = write(rows, tmp_path / "out")

    assert back(tmp_path / "out", written) == rows
    assert written.media_root == tmp_path / "media"
    assert not written.follows_links
    assert written.all_answered


@pytest.mark.parametrize("name", [f"synthetic-{role}" for role in ROLES])
def test_rows_of_roles_come_back_with_all_they_mean(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=tmp_path / "data", num_clips=4, num_eval=1)
    config.make()
    source = config.load("finetune")

    written = write(source, tmp_path / "out")

    expected = [(s.id, s.turns, s.media, s.span, plain(s.meta)) for s in source.samples]
    assert [(s.id, s.turns, s.media, s.span, s.meta) for s in back(tmp_path / "out", written)] == expected


def test_paths_start_from_the_folder_named(tmp_path, rows):
    written = write(rows, tmp_path / "out", media_root=tmp_path)

    row = json.loads((tmp_path / "out" / FILE).read_text().splitlines()[2])
    assert row["messages"][0]["content"][0] == {"type": "video", "video": "media/clips/b.mkv"}
    assert back(tmp_path / "out", written) == rows
    with pytest.raises(
        ConfigError, match=r"row 0 \(id `row-4`\) shows `.*frames`, outside of .*clips; name a --media"
    ):
        write([rows[4]], tmp_path / "other", media_root=tmp_path / "media" / "clips")


def test_links_out_of_the_folder_are_told(tmp_path, rows):
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "a.mp4"
    link.symlink_to(rows[0].media[0].path)
    linked = [Sample("a", (Turn("user", "a"), ANSWER), (MediaRef(link),))]

    written = write(linked, tmp_path / "out")

    assert written.follows_links
    assert back(tmp_path / "out", written, follow_links=True) == linked


def test_open_questions_are_told(tmp_path):
    asked = [Sample("a", (Turn("user", "What?"),))]

    written = write(asked, tmp_path / "out")

    assert not written.all_answered
    assert back(tmp_path / "out", written, prompts_only=True) == asked


def test_missing_media_are_kept_skipped_or_one_line(tmp_path, rows):
    gone = Sample("gone", (Turn("user", "a"), ANSWER), (MediaRef(tmp_path / "media" / "none.mp4"),))

    assert write([gone, *rows], tmp_path / "kept").account.num_rows == 10
    account = write([gone, *rows], tmp_path / "skipped", missing="skip").account
    assert (account.num_rows, dict(account.left_out)) == (9, {"missing media": 1})
    with pytest.raises(ConfigError, match="--on_missing skip"):
        write([gone, *rows], tmp_path / "stopped", missing="stop")


def test_rows_json_cannot_tell_are_left_out(tmp_path, rows):
    odd = Sample("odd", (Turn("user", "a"), ANSWER), meta={"a": float("inf")})

    account = write([odd, *rows], tmp_path / "out").account

    assert (account.num_rows, dict(account.left_out)) == (9, {"not to be told in messages": 1})
    with pytest.raises(ConfigError, match="no row can be written; 0 rows; left out: 1 not to be told"):
        write([odd], tmp_path / "none")


def test_media_in_shards_have_no_path_to_tell(tmp_path, rows):
    convert(rows, tmp_path / "shards")

    with pytest.raises(ConfigError, match=r"part of a shard; messages name files: --to webdataset"):
        write(load(tmp_path / "shards", tmp_path / "cache"), tmp_path / "out")
