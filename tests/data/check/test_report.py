from array import array
from collections import Counter

import numpy as np
from PIL import Image

from merv.data.check.media import Tried
from merv.data.check.picture import draw_histograms
from merv.data.check.report import DatasetReport, coverage
from merv.data.check.rows import FolderCount, RowsReport


def rows(**more):
    return RowsReport(
        "d",
        num_usable=8,
        bad=Counter({"no words": 2}),
        first_bad={"no words": "d row 3 (id `x`, list.json): no words"},
        left_out=Counter({"with several windows": 5}),
        num_cut=3,
        kinds=Counter({"moment": 8}),
        num_complete=6,
        folders={"videos": FolderCount(4, 1)},
        missing=["videos/b.mp4"],
        durations=array("f", [10.0, 20.0]),
        **more,
    )


def test_a_reader_is_told_everything_in_a_few_lines():
    report = DatasetReport(rows(num_repeated_ids=1, first_repeated_id="x"))
    report.add(Tried("videos/a.mp4", "videos", "no moov atom"))
    report.add(Tried("videos/c.mp4", "videos", note="2 frames missing"))

    assert report.lines() == [
        "d: 15 rows, 8 usable (8 moment)",
        "  bad: 2 x d row 3 (id `x`, list.json): no words",
        "  left out: 5 with several windows",
        "  windows that reach over an end of their video, cut there: 3",
        "  rows with the id of another: 1, the first `x`",
        "  media: 3 of 4 are there; 6 of 8 rows (75.0 %) have all of theirs",
        "    1 of 4 missing in videos",
        "  decoded: 2 tried, 1 cannot be used",
        "    1 broken in videos",
        "    videos/a.mp4: no moov atom",
        "    note: videos/c.mp4: 2 frames missing",
        "  seconds of videos: 10 to 20, half of them between 12.5 and 17.5, median 15",
    ]


def test_the_share_of_bad_rows_counts_missing_and_undecodable_media():
    report = DatasetReport(rows())
    assert report.bad_fraction == (2 + 2) / 10
    report.add(Tried("a", "", "broken"))
    report.add(Tried("b", ""))
    assert report.bad_fraction == (4 + 0.5 * 6) / 10


def test_of_many_reasons_the_most_frequent_are_told():
    many = rows()
    many.left_out = Counter({f"reason {i}": 20 - i for i in range(12)})
    lines = DatasetReport(many).lines()

    assert sum("left out" in line for line in lines) == 8
    assert "  and 4 more reasons, see the report" in lines
    assert len(DatasetReport(many).values()["left_out"]) == 12


def test_coverage_has_a_row_a_dataset():
    assert coverage([DatasetReport(rows())]) == [
        {"dataset": "d", "rows": 15, "usable": 8, "bad": 2, "left out": 5, "with media": 6, "coverage": 0.75}
    ]


def test_histograms_are_drawn_where_there_are_seconds(tmp_path):
    out = tmp_path / "deep" / "h.png"

    empty = (RowsReport("empty"), array("f"))
    spans = rows(spans=array("f", [1.0, 2.0, 900.0] * 100))

    assert not draw_histograms([empty], out)
    assert draw_histograms([(spans, spans.durations), empty], out)
    assert len(np.unique(np.asarray(Image.open(out).convert("RGB")).reshape(-1, 3), axis=0)) > 20
    assert list(out.parent.iterdir()) == [out]
