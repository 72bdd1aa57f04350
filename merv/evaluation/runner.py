"""Have every question of a task answered, keep each answer as it comes, and sum up.

A folder holds one evaluation: `predictions.jsonl` (a row an item, appended), `results.json` and `card.json`.  It can
be interrupted and taken up again.  Several processes share the items by rank; each appends to a file of its own, and
when all answers are there rank 0 joins them.  The result does not depend on their number.
"""

import importlib.metadata
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from merv.data.formats.video_folder import SUFFIXES
from merv.data.sample import Sample
from merv.endpoint.cache import hash_of
from merv.errors import ConfigError
from merv.evaluation.answering import Answering, ModelAnswering
from merv.evaluation.answers import PREDICTIONS, Answers, Row
from merv.evaluation.task import Item, Task
from merv.models.base import VideoLM
from merv.runtime import is_main, rank, world_size
from merv.space import write_json
from merv.training.progress import Progress

RESULTS, CARD = "results.json", "card.json"
COUNTS = ("num_items", "unparsed", "failed", "judge_unparsed")
"""Numbers of results.json that the card repeats."""
PACKAGES = ("torch", "torchvision", "transformers", "timm", "av", "merv")

log = logging.getLogger(__name__)


def evaluate(
    model: VideoLM,
    task: Task,
    *,
    batch_size: int,
    out_dir: Path,
    max_new_tokens: int,
    num_workers: int = 2,
    decode_deadline_s: float = 60.0,
    resume: bool = True,
    about_model: Mapping[str, Any] | None = None,
) -> dict[str, float | int]:
    """Ask a model every question of `task`, a batch at a time; see `merv.evaluation.answering:ModelAnswering`.

    Raises:
        ConfigError: a number makes no sense, or `out_dir` holds answers of something else.
        RunStopped: another process stopped answering.
    """
    if batch_size < 1 or max_new_tokens < 1:
        raise ConfigError(f"batch_size {batch_size}, max_new_tokens {max_new_tokens}: each must be at least 1")
    answering = ModelAnswering(
        model,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        num_workers=num_workers,
        decode_deadline_s=decode_deadline_s,
    )
    return evaluate_with(answering, task, out_dir=out_dir, resume=resume, about_model=about_model)


def evaluate_with(
    answering: Answering,
    task: Task,
    *,
    out_dir: Path,
    resume: bool = True,
    about_model: Mapping[str, Any] | None = None,
) -> dict[str, float | int]:
    """Have every sample of `task` answered and write the folder; every process returns the summary over all items.

    An item whose media cannot be used is wrong and counted as failed.

    Args:
        answering: Who answers.
        task: What is asked for.
        out_dir: Folder of this evaluation; all processes see the same one.
        resume: Go on after the answers `out_dir` already holds; otherwise there must be none.
        about_model: Where the model comes from, path and hash of its weights, for the card.

    Raises:
        ConfigError: there is nothing to ask, or `out_dir` holds answers of something else.
        RunStopped: another process stopped answering.
    """
    samples = task.samples()
    if not samples:
        raise ConfigError(f"task `{task.name}` has no samples; it asks nothing")
    card = _card(answering, task, samples, about_model or {})
    model = card["model"]
    weights = model.get("weights_sha256", model)  # the same weights may have moved
    weights = [weights, model["options"]] if "options" in model else weights
    judged_later = {"versions": None, "judge": None}  # a judge comes after the answers
    run = hash_of({**card, "model": weights, **judged_later, "media": _shown(samples)})
    answers = Answers(out_dir, task, samples, run, resume=resume)
    known = answers.read()
    todo = [index for index in range(rank(), len(samples), world_size()) if index not in known]
    log.info("task `%s`: %d of %d items to answer here", task.name, len(todo), len(samples))
    _keep(answers, answering.rows(samples, todo), known=len(known), total=len(samples))
    rows = answers.wait()
    if is_main():
        answers.join(rows)
    rows = answers.judge_again(rows)
    items = [answers.item(row) for row in rows]
    if not is_main():
        return task.summary(items)
    settled = list(task.settle(items))
    # Scores, also those of a judge, go to the answers, where others compare them.
    answers.join([{**row, "scores": dict(item.scores)} for row, item in zip(rows, settled, strict=True)])
    results = task.summary(settled)
    _write(out_dir, {**card, "evaluation": run}, results, items)
    return results


def _keep(answers: Answers, coming: Iterator[list[Row]], *, known: int, total: int) -> None:
    """Write answers as they come, and show how far all processes are."""
    done, began = known, time.monotonic()
    with Progress(total, start=known) as progress:
        for rows in coming:
            answers.append(rows)
            done = min(total, done + len(rows) * world_size())  # the others are about as far
            each = (time.monotonic() - began) / (done - known)
            progress.update(done, {"step_seconds": each, "samples_per_second": 1 / max(each, 1e-9)})


def _write(out_dir: Path, card: Mapping[str, Any], results: Mapping[str, float | int], items: Sequence[Item]) -> None:
    """The card and the results, and a warning when items failed."""
    failed = [{"id": item.sample.id, "reason": item.failed} for item in items if item.failed is not None]
    if failed:
        log.warning(
            "%d of %d items failed and count as wrong, first `%s`: %s; to ask them again, delete their lines in %s",
            *(len(failed), len(items), failed[0]["id"], failed[0]["reason"], out_dir / PREDICTIONS),
        )
    counts = {name: results[name] for name in COUNTS if name in results}
    write_json(out_dir / CARD, {**card, **counts})
    about = {"task": card["task"], "evaluation": card["evaluation"]}
    write_json(out_dir / RESULTS, {**about, **results, "failed_items": failed})


def _card(answering: Answering, task: Task, samples: Sequence[Sample], about: Mapping[str, Any]) -> dict[str, Any]:
    """What one has to know to compare the numbers with others."""
    prompts = [[sample.id, *((turn.role, turn.text) for turn in sample.turns)] for sample in samples]
    return {
        "task": task.name,
        **task.describe(),
        "parser": task.parser,
        "prompts_sha256": hash_of(prompts),
        "model": dict(about),
        **answering.about(),
        "decoder": "av",
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _shown(samples: Sequence[Sample]) -> list[Any]:
    """What is shown with each question; a video's suffix is known only once it is there, so it does not count."""
    return [
        [(ref.kind, ref.where.removesuffix(_suffix(ref.path)), str(ref.span)) for ref in sample.media]
        for sample in samples
    ]


def _suffix(path: Path) -> str:
    return path.suffix if path.suffix in SUFFIXES else ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
