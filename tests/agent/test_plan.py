import json
import re

import pytest

from merv.agent.plan import ORDER, read_plan
from merv.models.qwen2_vl.tokens import RESERVED

G, V, A = '{"type": "grounder", "value": "the fall"}', '{"type": "verifier"}', '{"type": "answerer"}'
ALL = f"[{G}, {V}, {A}]"


@pytest.mark.parametrize(
    ("text", "roles", "query"),
    [
        (ALL, ORDER, "the fall"),
        (f"[{G}, {V}]", ("grounder", "verifier"), "the fall"),
        (f"[{A}]", ("answerer",), None),
        (f"[{G}, {A}]", ("grounder", "answerer"), "the fall"),
        (f"[{G}]", ("grounder",), "the fall"),
        ('[{"type": "answer"}]', ("answerer",), None),
        ('[{"type": " Answerer "}]', ("answerer",), None),
        ('[{"type": "GROUNDER", "value": "x"}]', ("grounder",), "x"),
        (f"\ufeff{ALL}", ORDER, "the fall"),
        (f"```json\n{ALL}\n```", ORDER, "the fall"),
        (f"```\n{ALL}```", ORDER, "the fall"),
        (f"Here is the plan:\n\n{ALL}\n\nI hope it helps.", ORDER, "the fall"),
        (ALL.replace(", ", ",\n  "), ORDER, "the fall"),
        ('[{"type": "grounder"}, {"type": "verifier"}]', ("grounder", "verifier"), None),
        ('[{"type": "grounder", "value": null}]', ("grounder",), None),
        ('[{"type": "grounder", "value": " .. "}]', ("grounder",), None),
        (f'[{G}, {{"type": "verifier", "value": null}}]', ("grounder", "verifier"), "the fall"),
        ('[{"type": "grounder", "value": " a  boy\\nfalls. "}]', ("grounder",), "a boy falls"),
        ('[{"type": "grounder", "value": "“the [red] one”, {sic}"}]', ("grounder",), "“the [red] one”, {sic}"),
        ('[{"type": "grounder", "value": "男孩跑"}]', ("grounder",), "男孩跑"),
        ('[{"type": "answerer", "value": null}]', ("answerer",), None),
    ],
)
def test_one_list_of_steps_is_a_plan_whatever_stands_around_it(text, roles, query):
    plan = read_plan(text, "What fell?")

    assert (plan.roles, plan.query, plan.fallback) == (roles, query, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no list"),
        ("I would use the grounder first.", "no list"),
        ("grounder, verifier, answerer", "no list"),
        (G, "no list"),
        ("null", "no list"),
        ("[]", "the list is empty"),
        ("[{'type': 'grounder', 'value': 'the fall'}]", "no JSON"),
        ("[{“type”: “answerer”}]", "no JSON"),
        (f"[{G}, {V}, {A},]", "no JSON"),
        ('[{"type": "grounder", "value": "the fall"}, {"type": "ver', "no JSON"),
        ('[{"type": "grounder", "value": "the', "no JSON"),
        ("[" * 100_000, "no JSON"),
        (f"[short] {ALL}", "no JSON"),
        (f"{ALL} or {ALL}", "more in brackets"),
        (f"{ALL} [1]", "more in brackets"),
        (f'{{"plan": {ALL}}}', "more in brackets"),
        (f"[{ALL}]", "step 1 is no object"),
        ('["grounder", "verifier"]', "step 1 is no object"),
        ("[1, 2]", "step 1 is no object"),
        ("[null]", "step 1 is no object"),
        (f"[{G}, []]", "step 2 is no object"),
        ("[{}]", "step 1 has type null"),
        ('[{"type": 3}]', "step 1 has type 3"),
        ('[{"type": ["grounder"]}]', r'step 1 has type \["grounder"\]'),
        ('[{"type": "cutter"}]', 'step 1 has type "cutter"'),
        ('[{"type": "planner"}]', 'step 1 has type "planner"'),
        (f"[{V}, {G}, {A}]", "the steps are verifier, grounder, answerer"),
        (f"[{A}, {G}]", "the steps are answerer, grounder"),
        (f"[{G}, {G}, {V}]", "the steps are grounder, grounder, verifier"),
        (f"[{A}, {A}]", "the steps are answerer, answerer"),
        (f"[{V}, {A}]", "a verifier without a grounder"),
        (f"[{V}]", "a verifier without a grounder"),
        ('[{"type": "grounder", "value": 7}]', r"step 1 \(grounder\) has value 7"),
        ('[{"type": "grounder", "value": ["a", "b"]}]', r'step 1 \(grounder\) has value \["a", "b"\]'),
        ('[{"type": "answerer", "value": "What?"}]', 'step 1 \\(answerer\\) has value "What\\?"'),
        ('[{"type": "grounder", "query": "the fall"}]', "step 1 has a field `query`"),
        ('[{"type": "grounder", "type": "answerer"}]', "names one of its fields twice"),
        (
            '[{"type": "grounder", "value": "\\ud83d dog"}]',
            r"step 1 \(grounder\): the text holds '\\ud83d', half a character",
        ),
        ('[{"type": "grounder", "\\ud83d": 1}]', r"step 1 has a field `\\ud83d`"),
        ('[{"type": "\\ud83d"}]', r'step 1 has type "\\ud83d"'),
    ],
)
def test_anything_else_is_no_plan_and_the_reason_is_kept(text, reason):
    plan = read_plan(text, " What  fell. ")

    assert (plan.roles, plan.query) == (ORDER, "What fell")
    assert re.search(reason, plan.fallback)
    plan.fallback.encode()  # records are UTF-8


@pytest.mark.parametrize("token", RESERVED)
def test_a_query_with_a_token_of_its_own_meaning_is_no_plan(token):
    plan = read_plan(json.dumps([{"type": "grounder", "value": f"the {token} fall"}]), "What fell?")

    assert (plan.roles, plan.query) == (ORDER, "What fell?")
    assert plan.fallback.startswith(f"step 1 (grounder): the text holds {token}, which has a meaning of its own")


def test_a_whole_character_beyond_the_basic_plane_is_a_word():
    assert read_plan('[{"type": "grounder", "value": "\\ud83d\\udc36 dog"}]', "What?").query == "\U0001f436 dog"


def test_a_plan_is_kept_as_it_was_understood():
    plan = read_plan(f"```{ALL}```", "What?")

    assert plan.plain() == [
        {"type": "grounder", "value": "the fall"},
        {"type": "verifier"},
        {"type": "answerer"},
    ]
