import json
import threading
from pathlib import Path

import pytest

from merv.data.ledger import BadRow, BadSampleLedger
from merv.data.sample import Sample
from merv.errors import ConfigError, RunStopped, SampleError
from merv.video.media import MediaRef


def bad_row(row, dataset="toy"):
    return BadRow(dataset, row, f"s{row}", "a.mp4", "no video stream")


def write_rows(path, dataset):
    ledger = BadSampleLedger(path, policy="skip", max_bad_fraction=1.0)
    for row in range(200):
        ledger.bad(bad_row(row, dataset))


def test_rows_are_written_once_and_counted_each_time(tmp_path):
    path = tmp_path / "run" / "bad_samples.jsonl"
    ledger = BadSampleLedger(path, policy="skip", max_bad_fraction=1.0)

    for row in (3, 3, 4):
        ledger.bad(bad_row(row))

    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["row"] for row in rows] == [3, 4]
    assert rows[0] == {"dataset": "toy", "row": 3, "id": "s3", "path": "a.mp4", "reason": "no video stream"}
    assert ledger.num_bad == 3


def test_a_resumed_ledger_goes_on_counting_and_ends_a_torn_line(tmp_path):
    path = tmp_path / "bad.jsonl"
    first = BadSampleLedger(path, policy="skip", max_bad_fraction=1.0)
    first.bad(bad_row(1))
    first.good(9)
    with path.open("a") as file:
        file.write('{"dataset": "toy", "ro')

    second = BadSampleLedger(path, policy="skip", max_bad_fraction=1.0)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.bad(bad_row(1))
    second.bad(bad_row(2))

    assert (second.num_bad, second.num_good) == (3, 9)
    lines = path.read_text().splitlines()
    assert [json.loads(lines[i])["row"] for i in (0, 2)] == [1, 2]


def test_too_large_a_share_stops_the_run_after_enough_rows():
    ledger = BadSampleLedger(policy="skip", max_bad_fraction=0.1, min_rows=20)
    for row in range(10):
        ledger.bad(bad_row(row))
    ledger.good(9)

    with pytest.raises(RunStopped, match=r"11 of 20 rows are bad, more than max_bad_fraction 0\.1 allows"):
        ledger.bad(bad_row(10))


def test_a_share_at_the_limit_goes_on():
    ledger = BadSampleLedger(policy="skip", max_bad_fraction=0.1, min_rows=10)
    ledger.good(90)

    for row in range(10):
        ledger.bad(bad_row(row))

    assert ledger.bad_fraction == pytest.approx(0.1)


def test_raise_names_the_row():
    with pytest.raises(SampleError, match=r"toy row 3 \(id `s3`, a.mp4\): no video stream"):
        BadSampleLedger().bad(bad_row(3))


def test_rows_a_reader_refused_are_judged_against_those_it_took():
    ledger = BadSampleLedger(policy="skip", max_bad_fraction=0.1, min_rows=10)

    ledger.unreadable([bad_row(0)], num_samples=99)
    with pytest.raises(RunStopped, match="2 of 11 rows"):
        ledger.unreadable([bad_row(0), bad_row(1)], num_samples=9)


def test_reason_is_one_line():
    sample = Sample("x", (), (MediaRef(Path("a.mp4")),))

    assert BadRow.of(("toy", 7), sample, "two\n lines") == BadRow("toy", 7, "x", "a.mp4", "two lines")


def test_lines_of_several_writers_do_not_mix(tmp_path):
    path = tmp_path / "bad.jsonl"
    writers = [threading.Thread(target=write_rows, args=(path, name)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)

    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 400


def test_an_impossible_share_is_refused():
    with pytest.raises(ConfigError, match="max_bad_fraction is 2"):
        BadSampleLedger(max_bad_fraction=2)


def test_unusual_line_ends_in_a_path_do_not_make_a_row_new(tmp_path):
    path = tmp_path / "bad_samples.jsonl"
    row = BadRow("clips", 3, "a", "folder\u2028with\x85ends/a.mp4", "unreadable")
    BadSampleLedger(path, policy="skip").bad(row)

    BadSampleLedger(path, policy="skip").bad(row)

    assert path.read_text(encoding="utf-8").count("\n") == 1
