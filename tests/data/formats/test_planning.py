import json

import pytest

from merv.data.formats.planning import plan_of, read
from merv.errors import SampleError

from ..role_layout import write

ROW = {"video_path": "data/nextqa/NExTVideo/11/a.mp4", "route": 1, "question": "Who  runs?", "query": "a runner."}
SEARCH, CHECK, ANSWER = {"type": "grounder", "value": "a runner"}, {"type": "verifier"}, {"type": "answerer"}


@pytest.mark.parametrize(
    ("route", "plan"),
    [
        (1, [SEARCH, CHECK, ANSWER]),
        (2, [{"type": "grounder", "value": "Who runs?"}, CHECK, ANSWER]),
        (3, [SEARCH, CHECK]),
        (4, [ANSWER]),
    ],
)
def test_a_route_is_a_plan(tmp_path, route, plan):
    (sample,) = read(write(tmp_path / "rows.jsonl", {**ROW, "route": route}), tmp_path, dataset="p").samples

    assert sample.meta == {"task": "plan", "question": "Who runs?", "plan": plan}
    assert sample.turns[-1].text == json.dumps(plan)
    assert sample.media[0].path == tmp_path / "nextqa/NExTVideo/11/a.mp4"


def test_a_query_with_quotes_stays_json(tmp_path):
    row = {**ROW, "query": 'a sign that says "stop"'}

    (sample,) = read(write(tmp_path / "rows.jsonl", row), tmp_path, dataset="p").samples

    assert json.loads(sample.turns[-1].text)[0]["value"] == 'a sign that says "stop"'


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**ROW, "route": 5}, "field route: found int 5; expected 1, 2, 3 or 4"),
        ({**ROW, "route": "1"}, 'field route: found str "1"'),
        ({**ROW, "query": None}, "field query: found nothing"),
    ],
)
def test_a_row_without_a_plan_is_refused(row, reason):
    with pytest.raises(SampleError, match=reason):
        plan_of(row)
