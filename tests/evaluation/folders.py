"""Evaluations written by hand, as `merv.evaluation.runner.evaluate` leaves them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Scores = dict[str, float]

CARD = {
    "task": "toy",
    "condition": "video",
    "parser": "parse_option/1",
    "prompts_sha256": "0" * 64,
    "frames": [8],
    "resize": "resize-naive",
    "generation": {"max_new_tokens": 8},
    "decoder": "av",
}


def write_evaluation(
    folder: Path, scores: Sequence[float | Scores], *, kinds: Sequence[str] = ("even", "odd"), **card: Any
) -> Path:
    """An evaluation with an answer for each of `scores`, item i of kind i % 2; a number is an accuracy."""
    folder.mkdir(parents=True)
    run = card.pop("evaluation", str(folder))
    each = [score if isinstance(score, dict) else {"accuracy": score} for score in scores]
    results = {name: sum(one[name] for one in each) / len(each) for name in each[0]}
    (folder / "card.json").write_text(json.dumps({**CARD, **card, "model": str(folder), "evaluation": run}))
    (folder / "results.json").write_text(
        json.dumps({"task": "toy", "evaluation": run, **results, "num_items": len(each), "failed_items": []})
    )
    rows = [
        {"index": i, "id": f"q{i}", "kind": kinds[i % len(kinds)], "text": "", "scores": one, "evaluation": run}
        for i, one in enumerate(each)
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
