import errno
import json
import os
from collections import namedtuple

import pytest
from backbones.hub_server import COMMIT, closed_port, point_client_at

from merv import space
from merv.data.download import get as get_module
from merv.data.download import transfer
from merv.data.download.checksums import SUMS, read_sums, verify
from merv.data.download.get import Options, get
from merv.data.download.lock import LOCK, locked
from merv.data.download.recipe import Recipe, Source, Unpacking
from merv.data.download.record import FILE
from merv.errors import ConfigError, RunStopped

from .archives import member, noise, tar_of, zip_of

REPO = "someone/sets"
VIDEOS = {f"videos/{name}.mp4": noise(9_000, seed) for seed, name in enumerate("abcd", start=1)}
TAR = tar_of(VIDEOS)
THIRD = -(-len(TAR) // 3)
PARTS = {f"tacos/videos.tar.gz.{n:02}": TAR[n * THIRD : (n + 1) * THIRD] for n in range(3)}
ZIP = zip_of({"images/1.jpg": noise(3_000)})


@pytest.fixture
def published(hub):
    """A set in a folder of a repository: a list, a tar file in three parts, a zip file."""
    hub.repos[REPO] = {"tacos/train.jsonl": b"{}\n", **PARTS, "tacos/images.zip": ZIP, "other/list.json": b"[]"}
    hub.lfs = {*PARTS, "tacos/images.zip"}
    hub.plain = {"extra.csv": b"a,b\n"}
    return hub


@pytest.fixture
def recipe(published):
    return Recipe(
        what="steps of cooking",
        page="https://page",
        name="tacos",
        folder="tacos",
        licence="mit",
        sources=[Source(dataset=REPO, folder="tacos"), Source(urls={"extra.csv": f"{published.url}/plain/extra.csv"})],
        archives=[Unpacking("*.tar.gz*"), Unpacking("images.zip", into="pictures")],
        tree=["train.jsonl", "extra.csv", "videos/", "pictures/images/1.jpg"],
        needs=["nextqa"],
    )


@pytest.fixture
def run(tmp_path):
    """Carry a recipe out; gives what was said."""

    def run(recipe, **options) -> str:
        said = []
        get(recipe, Options(root=tmp_path / "data", write=said.append, again="merv again", **options))
        return "".join(said)

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "tacos"


def files_of(folder):
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return found - {LOCK}


def refused(act):
    with pytest.raises((ConfigError, RunStopped)) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line
    return line


ARCHIVES = {name.removeprefix("tacos/") for name in PARTS} | {"images.zip"}
LOOSE = {"train.jsonl", "extra.csv", *VIDEOS, "pictures/images/1.jpg"}


def test_all_of_a_recipe_is_fetched_unpacked_and_recorded(run, recipe, folder):
    said = run(recipe)
    record = json.loads((folder / FILE).read_text())

    assert files_of(folder) == LOOSE | ARCHIVES | {SUMS, FILE}
    assert {name: (folder / name).read_bytes() for name in VIDEOS} == VIDEOS
    assert record["complete"]
    assert record["revisions"] == {REPO: COMMIT}
    assert record["licence"] == "mit"
    assert record["unpacked"]["videos.tar.gz"]["num_files"] == 4
    assert "complete" in said


def test_every_file_has_a_checksum_that_holds(run, recipe, folder):
    run(recipe)

    assert set(read_sums(folder)) == LOOSE | ARCHIVES
    assert verify(folder).changed == verify(folder).missing == []


def test_size_licence_and_room_are_told_before_anything_is_fetched(run, recipe, folder, published):
    said = run(recipe, dry_run=True)

    assert "licence    mit; read https://page and https://huggingface.co/datasets/someone/sets" in said
    assert f"from       {REPO} at {COMMIT}" in said
    assert f"size       {(len(TAR) + len(ZIP) + 7) / 1000:.2f} kB in 6 files" in said
    assert "room" in said
    assert "free" in said
    assert "needs      nextqa, too: merv data download nextqa" in said
    assert not folder.exists()
    assert published.fetched() == []


def test_a_second_run_fetches_and_unpacks_nothing(run, recipe, folder, published, monkeypatch):
    run(recipe)
    asked = len(published.fetched())
    monkeypatch.setattr(get_module, "unpack", lambda *args, **options: pytest.fail("unpacked again"))

    said = run(recipe)

    assert len(published.fetched()) == asked
    assert "to fetch   0 bytes" in said


def test_archives_that_are_not_kept_are_not_fetched_again(run, recipe, folder, published):
    run(recipe, keep_archives=False)
    left = files_of(folder)
    asked = len(published.fetched())

    run(recipe, keep_archives=False)

    assert left == files_of(folder) == LOOSE | {SUMS, FILE}
    assert set(read_sums(folder)) == LOOSE
    assert len(published.fetched()) == asked


def test_a_file_that_was_lost_is_fetched_alone(run, recipe, folder, published):
    run(recipe)
    (folder / "train.jsonl").unlink()
    asked = len(published.fetched())

    run(recipe)

    assert published.fetched()[asked:] == ["tacos/train.jsonl"]


def test_a_video_that_was_lost_is_unpacked_again(run, recipe, folder, published):
    run(recipe)
    (folder / "videos" / "a.mp4").unlink()
    asked = len(published.fetched())

    run(recipe)

    assert {name: (folder / name).read_bytes() for name in VIDEOS} == VIDEOS
    assert len(published.fetched()) == asked


def test_a_second_download_into_the_folder_is_refused(run, recipe, folder):
    with locked(folder):
        line = refused(lambda: run(recipe))

    assert line == f"another download is at work in {folder}; wait for it, or end it"
    assert files_of(folder) == set()


def test_files_without_a_record_are_compared_and_not_fetched(run, recipe, folder, published):
    run(recipe)
    (folder / FILE).unlink()
    broken = folder / "videos.tar.gz.01"
    broken.write_bytes(bytes(broken.stat().st_size))
    asked = len(published.asked)

    run(recipe)

    assert [line for line in published.asked[asked:] if line.startswith("GET /cdn/")] == [
        f"GET /cdn/{REPO}/tacos/videos.tar.gz.01"
    ]
    assert {name: (folder / name).read_bytes() for name in VIDEOS} == VIDEOS


def test_a_file_that_no_download_brought_keeps_its_bytes_under_another_name(run, recipe, folder):
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("my own rows")

    said = run(recipe)

    assert (folder / "train.jsonl").read_bytes() == b"{}\n"
    assert (folder / "train.jsonl.before").read_text() == "my own rows"
    assert "train.jsonl is another file than the one to fetch; it is train.jsonl.before now" in said


def test_a_folder_with_the_name_of_a_file_is_told_before_anything_is_fetched(run, recipe, folder, published):
    (folder / "train.jsonl").mkdir(parents=True)

    line = refused(lambda: run(recipe))

    assert line == f"{folder}/train.jsonl is a folder, and a file of that name is to be fetched; move it away"
    assert published.fetched() == []


def test_what_an_earlier_version_left_half_fetched_goes_with_the_whole_file(run, recipe, folder, published):
    published.cuts["tacos/images.zip"] = None
    refused(lambda: run(recipe, workers=1))
    [half] = folder.glob(".images.zip.*.part")
    published.cuts.clear()
    published.repos[REPO]["tacos/images.zip"] = zip_of({"images/1.jpg": b"new"})

    run(recipe)

    assert not half.exists()


def test_another_version_of_a_file_is_fetched_and_unpacked_again(run, recipe, folder, published):
    run(recipe)
    published.repos[REPO]["tacos/images.zip"] = zip_of({"images/1.jpg": b"new"})

    run(recipe)

    assert (folder / "pictures" / "images" / "1.jpg").read_bytes() == b"new"


def test_a_broken_download_goes_on_in_the_next_run(run, recipe, folder, published):
    published.cuts["tacos/videos.tar.gz.01"] = None
    line = refused(lambda: run(recipe, workers=1))
    published.cuts.clear()

    run(recipe)

    assert "to go on: merv again" in line
    assert published.num_sent["tacos/videos.tar.gz.01"] == len(PARTS["tacos/videos.tar.gz.01"])
    assert {name: (folder / name).read_bytes() for name in VIDEOS} == VIDEOS


def test_ctrl_c_keeps_what_came_and_says_what_to_type(run, recipe, folder, published, monkeypatch):
    replace = os.replace

    def interrupted(source, target):
        replace(source, target)
        if str(target).endswith("videos.tar.gz.00"):
            raise KeyboardInterrupt

    monkeypatch.setattr(transfer.os, "replace", interrupted)
    line = refused(lambda: run(recipe, workers=1))
    monkeypatch.setattr(transfer.os, "replace", replace)
    asked = len(published.fetched())
    run(recipe)

    assert line.startswith("interrupted at fetching")
    assert line.endswith("what came is kept, to go on: merv again")
    assert "tacos/videos.tar.gz.00" not in published.fetched()[asked:]
    assert {name: (folder / name).read_bytes() for name in VIDEOS} == VIDEOS


def test_a_hostile_archive_leaves_nothing_outside_and_nothing_in_place(run, recipe, folder, published, tmp_path):
    hostile = tar_of({"videos/a.mp4": b"fine"}, members=[member("../../evil", b"0")])
    published.repos[REPO] = {"tacos/train.jsonl": b"{}", "tacos/videos.tar.gz": hostile, "tacos/images.zip": ZIP}

    line = refused(lambda: run(recipe))

    assert "videos.tar.gz: refused member `../../evil`: its path leaves the folder" in line
    assert not (folder / "videos").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("data", "cache")] == []
    assert not any("unpacking" in path.name for path in folder.iterdir())


def test_a_checksum_that_does_not_hold_stops_before_unpacking(run, recipe, folder, published):
    published.sums["tacos/videos.tar.gz.02"] = "0" * 64

    assert "came with checksum" in refused(lambda: run(recipe))
    assert not (folder / "videos").exists()
    assert not (folder / "videos.tar.gz.02").exists()


def test_a_missing_part_is_told_before_anything_is_fetched(run, recipe, published):
    del published.repos[REPO]["tacos/videos.tar.gz.01"]

    assert "comes in parts .00, .02; part 1 is missing" in refused(lambda: run(recipe))
    assert published.fetched() == []


def test_what_a_recipe_promises_and_nobody_brings_is_told(run, recipe, folder, published):
    del published.repos[REPO]["tacos/train.jsonl"]

    line = refused(lambda: run(recipe))

    assert f"{folder} lacks train.jsonl after everything was fetched and unpacked" in line
    assert not json.loads((folder / FILE).read_text())["complete"]


def test_too_small_a_disk_is_told_before_anything_is_fetched(run, recipe, published, monkeypatch):
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: usage(0, 0, 1000))

    line = refused(lambda: run(recipe))

    assert "GB free; name an --root on a larger disk" in line
    assert published.fetched() == []


def test_a_disk_that_fills_up_while_unpacking_keeps_the_archives(run, recipe, folder, published, monkeypatch):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(get_module, "unpack", full)
    line = refused(lambda: run(recipe))
    monkeypatch.undo()

    assert "the disk is full" in line
    assert "make room, then go on: merv again" in line
    assert files_of(folder) >= ARCHIVES


def test_a_folder_of_another_recipe_is_left_alone(run, recipe, folder):
    folder.mkdir(parents=True)
    (folder / FILE).write_text(json.dumps({"recipe": "other", "files": {}, "unpacked": {}}))

    assert "holds the download `other`; give `tacos` another --root" in refused(lambda: run(recipe))


@pytest.mark.parametrize("text", ["{", '{"recipe": "tacos"}', "[]"])
def test_a_damaged_record_is_told(run, recipe, folder, text):
    folder.mkdir(parents=True)
    (folder / FILE).write_text(text)

    assert "download.json is damaged" in refused(lambda: run(recipe))


def test_a_dry_run_without_a_network_shows_what_the_recipe_knows(run, recipe, monkeypatch, tmp_path):
    point_client_at(monkeypatch, f"http://127.0.0.1:{closed_port()}", tmp_path / "cache")

    said = run(recipe, dry_run=True)

    assert "size       unknown" in said
    assert "sizes      are those of the recipe: download `tacos`: the hub cannot be reached" in said
    assert "the hub cannot be reached" in refused(lambda: run(recipe))
