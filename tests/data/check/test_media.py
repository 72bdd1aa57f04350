import os
import shutil
import time

import pytest

from merv.data.check import media
from merv.data.check.media import try_media
from merv.data.dataset import Source
from merv.data.datasets import SyntheticConfig
from merv.data.sample import Sample
from merv.video.media import MediaRef, Span


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    config = SyntheticConfig(dataset_root_dir=root, num_train=40, num_eval=4)
    config.make()
    return sorted((config.root / "videos").glob("train-*.mp4"))


def source_of(paths, **meta):
    return Source("d", [Sample(str(i), (), (MediaRef(path),), meta=meta) for i, path in enumerate(paths)])


def test_media_decode_or_say_why_not(clips, tmp_path):
    whole = shutil.copy(clips[0], tmp_path / "whole.mp4")
    broken, text = tmp_path / "broken.mp4", tmp_path / "text.mp4"
    broken.write_bytes(clips[1].read_bytes()[:200])
    text.write_text("no video")
    found = {t.where: t for t in try_media(source_of([whole, broken, text, tmp_path / "none.mp4"] * 2), None)}

    assert set(found) == {str(whole), str(broken), str(text)}  # each once; what is not there is not tried
    assert not found[str(whole)].problem
    assert found[str(whole)].seconds > 1
    assert found[str(broken)].problem
    assert found[str(text)].problem
    assert found[str(text)].folder == str(tmp_path)


def test_as_many_are_tried_as_are_asked_for_the_same_in_whatever_order(clips):
    first = {tried.where for tried in try_media(source_of(clips), 5)}

    assert len(first) == 5
    assert {tried.where for tried in try_media(source_of(clips[::-1]), 5)} == first
    assert {tried.where for tried in try_media(source_of(clips), 5, seed=8)} != first


def test_a_row_that_says_another_duration_is_noted(clips):
    [tried] = try_media(source_of(clips[:1], duration=300), None)

    assert not tried.problem
    assert tried.note.startswith("its row says 300 s, it lasts ")


def test_a_stretch_that_begins_after_the_end_is_a_problem(clips):
    late = Source("d", [Sample("a", (), (MediaRef(clips[0], span=Span(100.0, 101.0)),))])
    [tried] = try_media(late, None)

    assert tried.problem.startswith("its row shows it from 100 s on")


def hang_at_the_first(sample):
    if sample.id == "0":
        time.sleep(60)
    if sample.id == "1":
        os._exit(7)
    return "", 1.0


def test_a_file_that_hangs_or_kills_its_worker_is_one_problem(clips, monkeypatch):
    monkeypatch.setattr(media, "decode", hang_at_the_first)
    found = list(try_media(source_of(clips[:4]), None, num_workers=2, deadline_s=1.0))

    assert sorted(tried.problem.partition(":")[0] for tried in found) == [
        "", "", "its worker died", "took longer than 1 s, its worker was killed"
    ]  # fmt: skip
