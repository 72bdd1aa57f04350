import json

from merv.data.formats.json_rows import json_rows
from merv.data.formats.lazy_samples import HeldSamples, LazySamples, Picked
from merv.data.formats.role_rows import Skip, read_each
from merv.data.sample import Sample
from merv.errors import SampleError


def read(tmp_path, rows):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    made = []

    def samples_of(number, row):
        made.append(number)
        if row == "bad":
            raise SampleError("bad")
        if row == "skip":
            raise Skip("skipped")
        for place in range(row):
            yield Sample(f"{number}-{place}", (), meta={"duration": 2.0 * place, "query": "one two", "cut_windows": 1})

    return read_each(json_rows(path, "rows"), samples_of, dataset="d", path=path), made


def test_samples_are_made_when_they_are_asked_for(tmp_path):
    reading, made = read(tmp_path, [2, "bad", 1, "skip", 0, 3])
    made.clear()

    assert isinstance(reading.samples, LazySamples)
    assert reading.samples[2].id == "2-0"
    assert made == [2]
    assert [sample.id for sample in reading.samples] == ["0-0", "0-1", "2-0", "5-0", "5-1", "5-2"]
    assert [sample.id for sample in reading.samples[-2:]] == ["5-1", "5-2"]
    assert list(reading.rows) == [0, 0, 2, 5, 5, 5]


def test_what_limits_ask_is_noted_while_reading(tmp_path):
    reading, _ = read(tmp_path, [2, 1])

    assert list(reading.seconds) == [0.0, 2.0, 0.0]
    assert list(reading.num_words) == [2, 2, 2]
    assert sum(reading.num_cut) == 3


def test_rows_from_elsewhere_are_held(tmp_path):
    reading = read_each([1], lambda number, row: [Sample("a", ())], dataset="d", path=tmp_path)

    assert isinstance(reading.samples, HeldSamples)
    assert reading.samples[0] is reading.samples[0]
    assert list(reading.seconds) != list(reading.seconds)  # nan: not known


def test_some_of_a_sequence_are_picked():
    samples = [Sample(name, ()) for name in "abc"]
    picked = Picked(samples, [2, 0])

    assert (len(picked), [sample.id for sample in picked], picked[:1]) == (2, ["c", "a"], [samples[2]])
