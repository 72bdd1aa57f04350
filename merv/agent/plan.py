"""A planner's words as steps.

VideoMind's planner (https://arxiv.org/abs/2503.13444) replies with a JSON list such as
`[{"type": "grounder", "value": "query"}, {"type": "verifier"}, {"type": "answerer"}]`.

The rule: apart from one JSON list a reply may hold a byte order mark, code fences and words without brackets.  Each
entry is an object with `type` (a role; `answer` is the answerer, as in the published prompt) and, for the grounder,
`value`, words a model may be told; roles come once each in the order grounder, verifier, answerer, and a verifier
follows a grounder.  Anything else may mean several things and is no plan: the usual one takes its place and the record
says why.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from merv.errors import SampleError
from merv.models.qwen2_vl.roles import plain_text
from merv.models.qwen2_vl.targets import clean_query

ORDER = ("grounder", "verifier", "answerer")
SPELLINGS = {"answer": "answerer"}
_BRACKETS = re.compile(r"[\[\]{}]")


@dataclass(frozen=True)
class Plan:
    """Which roles are asked, and what is looked for."""

    roles: tuple[str, ...]
    """Of grounder, verifier and answerer."""
    query: str | None = None
    """What the grounder looks for; None leaves it the question."""
    fallback: str | None = None
    """Why a reply was not taken for a plan; None when it was."""

    def plain(self) -> list[dict[str, str]]:
        """The steps as JSON holds them."""
        steps = [{"type": role} for role in self.roles]
        return [{**step, "value": self.query} if step["type"] == "grounder" and self.query else step for step in steps]


def read_plan(text: str, question: str) -> Plan:
    """The plan a reply holds; for one that holds none, the usual plan with the question as query."""
    try:
        steps = _steps(_only_list(text))
    except ValueError as error:
        return Plan(ORDER, clean_query(question), str(error))
    values = dict(steps)
    return Plan(tuple(values), values.get("grounder"))


def _only_list(text: str) -> list[Any]:
    """The one JSON list of a text.

    Raises:
        ValueError: there is none, or more than that.
    """
    start = text.find("[")
    if start < 0:
        raise ValueError("there is no list in the reply")
    try:
        found, end = json.JSONDecoder(object_pairs_hook=_distinct).raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError) as error:
        why = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else "too deep"
        raise ValueError(f"the list is no JSON: {why}") from error
    if _BRACKETS.search(text[:start] + text[end:]):
        raise ValueError("there is more in brackets than one list")
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a step names one of its fields twice")
    return dict(pairs)


def _steps(entries: list[Any]) -> list[tuple[str, str | None]]:
    """Role and value of each entry.

    Raises:
        ValueError: they are no plan.
    """
    if not entries:
        raise ValueError("the list is empty")
    steps = [_step(number, entry) for number, entry in enumerate(entries, 1)]
    roles = [role for role, _ in steps]
    if roles != [role for role in ORDER if role in roles]:
        raise ValueError(f"the steps are {', '.join(roles)}; expected each once, in the order {', '.join(ORDER)}")
    if "verifier" in roles and "grounder" not in roles:
        raise ValueError("there is a verifier without a grounder")
    return steps


def _step(number: int, entry: Any) -> tuple[str, str | None]:
    if not isinstance(entry, dict):
        raise ValueError(f"step {number} is no object")
    said, value = entry.get("type"), entry.get("value")
    role = SPELLINGS.get(said.strip().lower(), said.strip().lower()) if isinstance(said, str) else said
    if role not in ORDER:
        raise ValueError(f"step {number} has type {json.dumps(said)}")
    if strange := sorted(set(entry) - {"type", "value"}):
        raise ValueError(f"step {number} has a field `{json.dumps(strange[0])[1:-1]}`")  # it may hold half a character
    if value is not None and not (isinstance(value, str) and role == "grounder"):
        raise ValueError(f"step {number} ({role}) has value {json.dumps(value)}")
    try:
        return role, plain_text(clean_query(value or "")) or None
    except SampleError as error:
        raise ValueError(f"step {number} ({role}): {error}") from error
