"""What was built, in numbers: report.json, and the lines a user sees."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from merv.data.build.blind import Blind
from merv.data.build.select import Selection, accuracies
from merv.data.build.validate import Question
from merv.data.build.write import Written
from merv.endpoint.kept import Tally

UNPARSED_SHARE = 0.1
"""Part of the answers without the video that may name no option before a user is told."""


def writing_report(written: Written) -> dict[str, Any]:
    """How many moments gave a question, and why replies were refused."""
    return {
        "num_moments": written.num_moments,
        "num_written": len(written.questions),
        "num_without": written.num_moments - len(written.questions),
        "num_refused": len(written.refusals),
        "refused": written.reasons,
    }


def cost_report(tally: Tally, price_per_million: Sequence[float] | None) -> dict[str, Any]:
    """Tokens of all replies that were used, and what they cost; those already on disk were paid for once."""
    usage = tally.usage
    report: dict[str, Any] = {
        "num_replies": len(tally.used),
        "num_asked_now": tally.num_asked,
        "num_without_count": tally.num_uncounted,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }
    if price_per_million is not None:
        report["cost"] = usage.cost(price_per_million)
    return report


def blind_report(
    questions: Sequence[Question], blind: Sequence[Blind], selection: Selection, check: Sequence[Blind] | None
) -> dict[str, Any]:
    """Blind accuracy by number of options before and after, and asked once more where that was done.

    `after` rests on the rounds that chose the questions and is therefore a little too low; `check` is not.
    """
    kept = [questions[place] for place in selection.kept]
    report: dict[str, Any] = {
        "goals": {str(size): goal for size, goal in selection.goals.items()},
        "num_dropped": len(selection.dropped),
        "goal_not_met": selection.above,
        "before": accuracies(questions, blind),
        "after": accuracies(kept, [blind[place] for place in selection.kept]),
    }
    if check is not None:
        report["check"] = accuracies(kept, check)
    unparsed = [reply for found in blind for reply in found.unparsed]
    report["num_answers"], report["num_unparsed"] = sum(found.rounds for found in blind), len(unparsed)
    report["unparsed"] = [{"reply": reply, "count": num} for reply, num in Counter(unparsed).most_common(20)]
    return report


def rows_report(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many rows there are by number of options, and where their answers stand."""
    places = Counter((len(row["options"]), row["options"].index(row["answer"])) for row in rows)
    sizes = sorted({size for size, _ in places})
    return {
        "num_rows": len(rows),
        "answer_places": {str(size): [places[size, place] for place in range(size)] for size in sizes},
    }


def lines_of(report: dict[str, Any]) -> list[str]:
    """The report in a few lines."""
    writing, blind = report["writing"], report.get("blind")
    lines = [f"{writing['num_written']} questions about {writing['num_moments']} moments"]
    if writing["refused"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in writing["refused"].items())
        lines.append(f"replies refused: {writing['num_refused']}: {reasons}")
    for who, cost in report["cost"].items():
        money = f", {cost['cost']:.4f} in money" if "cost" in cost else ""
        money += f" ({cost['num_without_count']} replies came without a count)" if cost["num_without_count"] else ""
        lines.append(
            f"{who}: {cost['num_replies']} replies, {cost['num_asked_now']} of them asked for now; "
            f"{cost['prompt_tokens']} + {cost['completion_tokens']} tokens{money}"
        )
    if blind:
        lines.append(f"dropped because they are answered without the video: {blind['num_dropped']}")
        lines += _table(blind)
        if blind["num_unparsed"] > UNPARSED_SHARE * blind["num_answers"]:
            lines.append(
                f"{blind['num_unparsed']} of {blind['num_answers']} answers without the video name no option: that is "
                "no proof that the video is needed; see `unparsed` in the report, and ask another model"
            )
        if blind["goal_not_met"]:
            sizes = ", ".join(map(str, blind["goal_not_met"]))
            lines.append(
                f"blind accuracy stays above the goal with {sizes} options: the rest is not answered more surely than "
                "guessing may be, or min_kept holds it; raise --blind.rounds, or lower --min_kept"
            )
    return lines


def _table(blind: dict[str, Any]) -> list[str]:
    lines = ["options   when    questions  blind accuracy  95 % interval  chance  unreadable"]
    for when in ("before", "after", "check"):
        for row in blind.get(when, []):
            if row["num_questions"]:
                low, high = row["interval"]
                lines.append(
                    f"{row['num_options']:<9} {when:<7} {row['num_questions']:<10} {row['accuracy']:<15.3f} "
                    f"{low:.3f} - {high:.3f}  {row['chance']:<7.3f} {row['num_unparsed']}"
                )
    return lines
