"""Ask a model every question of a task, keep each answer as it comes, and sum up.

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

import draccus
import torch

from merv.data.sample import Batch, Sample
from merv.errors import ConfigError
from merv.evaluation.answers import PREDICTIONS, Answers, Row, hash_of, write_json
from merv.evaluation.files import VIDEO_SUFFIXES
from merv.evaluation.questions import Questions, grouped
from merv.evaluation.task import Item, Task
from merv.models.answering import device_of
from merv.models.base import ModelConfig, VideoLM
from merv.runtime import is_main, rank, world_size
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
    """Answer every sample of `task` and write the folder; every process returns the summary over all items.

    An item whose media cannot be used is wrong and counted as failed.

    Args:
        model: What is asked, on the device it is to run on.
        task: What is asked for.
        batch_size: Prompts answered at a time.
        out_dir: Folder of this evaluation; all processes see the same one.
        max_new_tokens: Longest answer.
        num_workers: Processes that decode ahead; 0 decodes here.
        decode_deadline_s: Seconds one item may take to decode before it has failed.
        resume: Go on after the answers `out_dir` already holds; otherwise there must be none.
        about_model: Where the model comes from, path and hash of its weights, for the card.

    Raises:
        ConfigError: a number makes no sense, or `out_dir` holds answers of something else.
        RunStopped: another process stopped answering.
    """
    samples = task.samples()
    if not samples or batch_size < 1 or max_new_tokens < 1:
        raise ConfigError(
            f"task `{task.name}`: {len(samples)} samples, batch_size {batch_size}, max_new_tokens {max_new_tokens}; "
            "each must be at least 1"
        )
    generation = {"max_new_tokens": max_new_tokens, "do_sample": False, "num_beams": 1}
    card = _card(model, task, samples, generation, about_model or {})
    weights = card["model"].get("weights_sha256", card["model"])  # the same weights may have moved
    judged_later = {"versions": None, "judge": None}  # a judge comes after the answers
    run = hash_of({**card, "model": weights, **judged_later, "media": _shown(samples)})
    answers = Answers(out_dir, task, samples, run, resume=resume)
    known = answers.read()
    todo = [index for index in range(rank(), len(samples), world_size()) if index not in known]
    log.info("task `%s`: %d of %d items to answer here", task.name, len(todo), len(samples))
    model.eval()
    coming = _answer_all(model, samples, todo, generation, batch_size, num_workers, decode_deadline_s)
    _keep(answers, coming, known=len(known), total=len(samples))
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


def _answer_all(
    model: VideoLM,
    samples: Sequence[Sample],
    todo: Sequence[int],
    generation: Mapping[str, Any],
    batch_size: int,
    num_workers: int,
    decode_deadline_s: float,
) -> Iterator[list[Row]]:
    """The rows of one batch after the other, decoding ahead."""
    questions = Questions(model.processor, grouped(samples, todo, batch_size))
    with questions.loader(num_workers=num_workers, decode_deadline_s=decode_deadline_s) as loader:
        for groups, batch in zip(questions.batches, loader, strict=True):
            texts = dict(zip(batch.indices, _respond(model, batch, generation), strict=True))
            asked = [index for group in groups for index in group.indices]
            yield [_row(index, texts, questions.reasons) for index in sorted(asked)]


def _respond(model: VideoLM, batch: Batch, generation: Mapping[str, Any]) -> list[str]:
    """Answers to a batch; none when nothing in it could be prepared."""
    if not batch.indices:
        return []
    with torch.inference_mode():
        return model.respond(batch.to(device_of(model)), **generation)


def _row(index: int, texts: Mapping[int, str], reasons: Mapping[int, str]) -> Row:
    return {"index": index, "text": texts.get(index, ""), "failed": None if index in texts else reasons[index]}


def _card(
    model: VideoLM, task: Task, samples: Sequence[Sample], generation: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, Any]:
    """What one has to know to compare the numbers with others."""
    config = draccus.encode(model.config, ModelConfig)
    prompts = [[sample.id, *((turn.role, turn.text) for turn in sample.turns)] for sample in samples]
    return {
        "task": task.name,
        **task.describe(),
        "parser": task.parser,
        "prompts_sha256": hash_of(prompts),
        "model": dict(about),
        "frames": config.get("num_frames"),
        "resize": config.get("image_resize_strategy"),
        "model_config": config,
        "generation": dict(generation),
        "decoder": "av",
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _shown(samples: Sequence[Sample]) -> list[Any]:
    """What is shown with each question; a video's suffix is known only once it is there, so it does not count."""
    return [
        [(ref.kind, str(ref.path).removesuffix(_suffix(ref.path)), str(ref.span)) for ref in sample.media]
        for sample in samples
    ]


def _suffix(path: Path) -> str:
    return path.suffix if path.suffix in VIDEO_SUFFIXES else ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
