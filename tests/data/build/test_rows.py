from collections import Counter

import pytest

from merv.data.build.moments import Moment
from merv.data.build.rows import READERS, as_lines, list_name, rows_of, suffix_of
from merv.data.build.validate import Question
from merv.data.datasets import DatasetConfig
from merv.data.formats.grounded_qa import read


def asked(num):
    return [
        (
            Moment(f"m-{n}", f"v{n}", f"query {n}", ((1.0, 4.0),), 30.0),
            Question(f"What is done in {n}?", f"r\u00e9ponse {n}", tuple(f"wrong {w}" for w in range(3 + n % 3))),
        )
        for n in range(num)
    ]


@pytest.mark.parametrize("source", [*READERS, "didemo"])
def test_the_reader_of_questions_reads_what_was_written(tmp_path, source):
    path = tmp_path / list_name(source)
    path.write_text(as_lines(rows_of(asked(12), seed=7)), encoding="utf-8")

    reading = read(path, tmp_path / "videos", dataset="qa", suffix=suffix_of(source))

    assert (len(reading.samples), reading.bad_rows) == (12, [])
    for (moment, question), sample in zip(asked(12), reading.samples, strict=True):
        assert sample.meta["options"][sample.meta["answer"]] == question.answer
        assert sorted(sample.meta["options"]) == sorted([question.answer, *question.wrong])
        assert (sample.meta["windows"], sample.meta["duration"]) == ([(1.0, 4.0)], 30.0)
        assert sample.media[0].path == tmp_path / "videos" / f"{moment.vid}{suffix_of(source)}"


def test_lists_have_the_names_their_datasets_look_for():
    for source, reader in READERS.items():
        assert DatasetConfig.get(reader)().files()[0].name == list_name(source)
    assert list_name("didemo") == "questions.jsonl"


def test_answers_stand_everywhere_as_often_and_the_seed_decides_where():
    rows = rows_of(asked(90), seed=7)

    for size in (4, 5, 6):
        places = Counter(row["options"].index(row["answer"]) for row in rows if len(row["options"]) == size)
        assert max(places.values()) - min(places[place] for place in range(size)) <= 1
    assert rows_of(asked(90), seed=7) == rows
    assert rows_of(asked(90), seed=8) != rows
