import pytest

from merv.data.formats.verifying import best_iou, read
from merv.errors import ConfigError

from ..role_layout import PROPOSALS, VIDEOS, write


def read_rows(tmp_path, *rows, **options):
    return read(write(tmp_path / "rows.json", list(rows)), tmp_path, dataset="v", **options)


def test_each_proposal_is_a_candidate_judged_by_its_overlap(tmp_path):
    reading = read_rows(tmp_path, PROPOSALS)

    assert [(s.id, s.meta["candidate"], s.meta["positive"]) for s in reading.samples] == [
        ("v-0-0", (5.0, 14.0), True),
        ("v-0-1", (0.0, 30.0), False),
        ("v-0-2", (20.0, 20.0), False),
    ]
    assert list(reading.rows) == [0, 0, 0]
    assert reading.samples[0].media[0].path == tmp_path / "didemo" / VIDEOS / "a@b.mp4"


def test_only_the_first_proposals_are_taken(tmp_path):
    row = {**PROPOSALS, "pred": [[i, i + 1] for i in range(9)]}

    assert len(read_rows(tmp_path, row).samples) == 5
    assert len(read_rows(tmp_path, row, max_candidates=2).samples) == 2


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    write(tmp_path / "lists" / "b.json", [{**PROPOSALS, "query": "second"}])
    write(tmp_path / "lists" / "a.json", [{**PROPOSALS, "query": "first"}])

    reading = read(tmp_path / "lists", tmp_path, dataset="v", max_candidates=1)

    assert [sample.meta["query"] for sample in reading.samples] == ["first", "second"]
    assert list(reading.rows) == [0, 1]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no .json file"):
        read(tmp_path, tmp_path, dataset="v")


@pytest.mark.parametrize(
    ("proposal", "windows", "iou"),
    [
        ((0, 10), [(0, 5)], 0.5),
        ((0, 10), [(20, 30), (5, 15)], 5 / 15),
        ((0, 10), [(10, 20)], 0),
        ((4, 4), [(4, 4)], 0),
        ((4, 4), [(0, 9)], 0),
        ((0, 1), [], 0),
    ],
)
def test_the_best_overlap_counts(proposal, windows, iou):
    assert best_iou(proposal, windows) == pytest.approx(iou)


def test_half_an_overlap_is_enough(tmp_path):
    row = {**PROPOSALS, "span": [[0, 10]], "pred": [[0, 5], [0, 4.99], [10, 0]]}

    assert [s.meta["positive"] for s in read_rows(tmp_path, row).samples] == [True, False, True]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pred": [[1]]}, "field pred: found list [[1]]; expected pairs of seconds"),
        ({"span": None}, "field span: found nothing; expected pairs of seconds"),
        ({"duration": None}, "no duration of the video"),
        ({"video_path": "/abs/a.mp4"}, "leads out of"),
        ({"pred": [[float("nan"), 2]]}, "candidate: found"),
    ],
)
def test_a_bad_row_is_set_aside(tmp_path, change, reason):
    reading = read_rows(tmp_path, {**PROPOSALS, **change}, PROPOSALS)

    assert reason in reading.bad_rows[0].reason
    assert list(reading.rows) == [1, 1, 1]
