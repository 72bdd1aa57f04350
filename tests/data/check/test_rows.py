import json
from pathlib import Path

import pytest

from merv.data.check.rows import check_rows, folder_of, kind_of, members, percentiles
from merv.data.dataset import Source
from merv.data.datasets import Mixture
from merv.data.ledger import BadRow
from merv.data.role_datasets import QvhighlightsConfig
from merv.data.sample import Sample
from merv.video.media import MediaRef, Span


def sample(name, *paths, **meta):
    return Sample(name, (), tuple(MediaRef(path) for path in paths), meta=meta)


@pytest.fixture
def videos(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    return tmp_path


def test_rows_are_counted_by_what_became_of_them(videos):
    bad = [BadRow("d", 3, "x", "list.json", f"window {i} - 1 s runs backwards") for i in (4, 5)]
    rows = [sample("1", videos / "a.mp4", task="moment"), sample("2", videos / "none.mp4"), sample("3")]
    report = check_rows(Source("d", rows, bad, left_out={"with several windows": 7}, num_cut=2))

    assert (report.num_rows, report.num_usable, report.num_complete, report.num_cut) == (12, 3, 2, 2)
    assert report.bad == {"window … - … s runs backwards": 2}
    assert report.first_bad == {"window … - … s runs backwards": str(bad[0])}
    assert report.kinds == {"moment": 1, "video": 1, "text": 1}
    assert report.missing == [str(videos / "none.mp4")]


def test_a_medium_of_several_rows_is_counted_once(videos):
    rows = [sample(str(i), videos / "none.mp4", videos / "a.mp4") for i in range(3)]
    report = check_rows(Source("d", rows))

    folder = report.folders[str(videos)]
    assert (folder.num_media, folder.num_missing, report.num_missing, report.num_complete) == (2, 1, 1, 0)


def test_ids_that_occur_again_are_counted(videos):
    report = check_rows(Source("d", [sample(name) for name in ("a", "b", "a", "a", "b")]))

    assert (report.num_repeated_ids, report.first_repeated_id) == (3, "a")


def test_seconds_come_from_durations_windows_and_stretches(videos):
    shown = Sample("c", (), (MediaRef(videos / "a.mp4", span=Span(1.0, 4.0)),), span=Span(0.0, 0.5))
    report = check_rows(Source("d", [sample("a", duration=9, windows=[(1.0, 3.0), (4.0, 8.0)]), shown]))

    assert list(report.durations) == [9.0]
    assert list(report.spans) == [2.0, 4.0, 0.5, 3.0]


def test_percentiles_name_least_and_most():
    report = check_rows(Source("d", [sample(str(i), duration=i) for i in range(1, 102)]))

    assert percentiles(report.durations) == {
        "least": 1, "quarter": 26, "median": 51, "three_quarters": 76, "most": 101, "mean": 51.0
    }  # fmt: skip
    assert percentiles(report.spans) == {}


def test_a_mixture_is_looked_at_as_the_datasets_it_is_made_of():
    first, second = (Source(name, [sample(name)]) for name in ("first", "second"))
    nested = Mixture([Mixture([first], [0.0]), second], [3.0, 0.0])

    assert list(members(nested)) == [first, second]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("field vid: found int 7; expected text", "field vid: found …; expected text"),
        ("video '../a.mp4' leads out of videos", "video … leads out of videos"),
        ("no duration of video `abc` in durations.json", "no duration of video … in durations.json"),
    ],
)
def test_reasons_are_told_apart_by_their_kind(reason, kind):
    assert kind_of(reason) == kind


def test_what_a_reader_left_out_reaches_the_report(tmp_path):
    folder = tmp_path / "qvhighlights"
    (folder / "videos_3fps_480_noaudio").mkdir(parents=True)
    row = {"qid": 1, "query": "a", "vid": "v", "duration": 150, "relevant_windows": [[2, 160]]}
    rows = [row, {**row, "relevant_windows": [[1, 2], [4, 6]]}, {**row, "duration": 900}, {**row, "query": " "}]
    (folder / "highlight_train_release.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    report = check_rows(QvhighlightsConfig(dataset_root_dir=tmp_path, single=True).load("finetune"))

    assert report.left_out == {"with several windows": 1, "about videos longer than 500 s": 1}
    assert (report.num_rows, report.num_usable, report.bad.total(), report.num_cut) == (4, 1, 1, 1)


def test_a_file_is_counted_under_its_folder():
    assert folder_of(MediaRef(Path("a/b.mp4"))) == Path("a")
