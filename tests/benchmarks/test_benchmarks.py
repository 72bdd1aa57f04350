import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a benchmark the way `python benchmarks/<name>.py` finds its neighbours."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    return importlib.import_module


def cells(text: str) -> list[dict[str, str]]:
    """The rows of a Markdown table by column."""
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("| ")]
    header, *rows = ([cell.strip() for cell in line.split(" | ")] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_data_path_compares_equal_frames_and_ships_a_tenth(load: Callable[[str], ModuleType]) -> None:
    rows = cells(load("data_path").main(["--quick"]))

    assert [(row["where"], row["way"]) for row in rows] == [
        ("in process", "baseline"),
        ("in process", "baseline, one decode"),
        ("in process", "merv"),
        ("1 worker, delivered", "baseline"),
        ("1 worker, delivered", "merv"),
    ]
    sizes = {row["way"]: float(row["MB a sample"]) for row in rows}
    assert sizes["baseline"] == pytest.approx(80 * 3 * 224 * 224 * 4 / 1e6, abs=0.01)
    assert 32 * 3 * 224 * 224 / 1e6 < sizes["merv"] <= 5
    assert all(row["against"] in {"pixels within 1", "pixels within 2"} for row in rows if row["way"] == "merv")


def test_data_path_refuses_to_compare_other_frames(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    data_path = load("data_path")
    spec = data_path.ClipSpec(160, 96, gop=30, seconds=1.5)
    path = data_path.write_clip(tmp_path / "clip.mp4", spec)
    shorter = data_path.ClipSpec(160, 96, gop=30, seconds=0.5)

    with pytest.raises(SystemExit, match="pixels differ by"):
        data_path.check(shorter, path, data_path.merv_processor())


def test_checkpoint_resumes_with_the_rows_of_an_uninterrupted_run(load: Callable[[str], ModuleType]) -> None:
    rows = cells(load("checkpoint").main(["--quick"]))

    assert [row["measured"].split(":")[0] for row in rows][:3] == [
        "at once",
        "in the background",
        "the run's first in the background",
    ]
    resumes = [row for row in rows if row["what"].startswith("resume")]
    assert {row["measured"].split(",")[0] for row in resumes} == {"at step 10", "at step 100"}
    assert all("same rows" in row["against"] for row in resumes)


@pytest.mark.dist
def test_train_step_gives_one_table_for_all_strategies(load: Callable[[str], ModuleType]) -> None:
    text = load("train_step").main(["--quick", "--strategies", "[single,fsdp-full-shard]"])
    steps, memory = text.split("### What the first process holds")
    alone, spread = cells(steps)

    assert (alone["strategy"], alone["batch"]) == ("single", "1 x 2 x 1")
    assert (spread["strategy"], spread["batch"]) == ("fsdp-full-shard", "2 x 1 x 1")
    assert alone.keys() == {
        *("strategy", "processes", "batch", "s/step: median (range)"),
        *("samples/s", "tokens/s", "TFLOP", "GiB", "MFU"),
    }
    assert float(alone["TFLOP"]) == pytest.approx(2 * float(spread["TFLOP"]), rel=0.01)
    parts = ["video_backbones", "projectors", "fusion", "llm"]
    assert [(row["strategy"], row["part"]) for row in cells(memory)] == [
        (strategy, part) for strategy in ("single", "fsdp-full-shard") for part in parts
    ]


def test_answers_are_timed_one_by_one_and_several_at_once(load: Callable[[str], ModuleType]) -> None:
    alone, together = cells(load("generate").main(["--quick", "--batch_sizes", "1,3"]))

    assert (alone["prompts at once"], together["prompts at once"]) == ("1", "3")
    assert alone["against the first"] == "1.00x"


def test_table_lines_up_and_names_the_machine(load: Callable[[str], ModuleType]) -> None:
    common = load("common")

    text = common.table("Speed", ["a", "long name"], [["1", "2"], ["333", "4"]], ["a note"])

    assert text.splitlines()[2:6] == [
        "| a   | long name |",
        "|-----|-----------|",
        "| 1   | 2         |",
        "| 333 | 4         |",
    ]
    assert f"- {common.machine()}" in text
    assert "- a note" in text


def test_timing_tells_median_and_range_and_turns_into_a_rate(load: Callable[[str], ModuleType]) -> None:
    timing = load("common").Timing((0.5, 2.0, 1.0))

    assert timing.text(1) == "1.0 (0.5..2.0)"
    assert timing.rate(2).text(1) == "2.0 (1.0..4.0)"


def test_interleaved_measures_in_turn(load: Callable[[str], ModuleType]) -> None:
    order: list[str] = []

    def measure(name: str) -> Callable[[], float]:
        return lambda: order.append(name) or float(len(order))

    times = load("common").interleaved({"a": measure("a"), "b": measure("b")}, 2)

    assert order == ["a", "b", "a", "b"]
    assert times["b"].values == (2.0, 4.0)


def test_rollouts_compares_equal_answers(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    rows = cells(load("rollouts").main(["--quick"]))

    assert [row["way"] for row in rows] == [
        "one by one",
        "batched, a clip encoded for each answer",
        "merv: encoded once",
    ]
    assert rows[0]["against one by one"] == "1.00x"


@pytest.fixture
def filters(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/filters.py under another name: `filters` is a folder of tests."""
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("benchmark_of_filters", FOLDER / "filters.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_filters_compares_equal_scores_of_both_models(filters: ModuleType) -> None:
    rows = cells(filters.main(["--quick"]))

    ways = ["one by one", "in batches", "merv"]
    assert [row["way"] for row in rows if row["model"] == "CLIP tiny"] == [*ways, "merv, bfloat16"]
    assert [row["way"] for row in rows if row["model"] == "tiny"] == [*ways, "merv, bfloat16"]
    assert all(float(row["scores differ by"]) < 1e-5 for row in rows if row["way"] == "in batches")


def test_filters_refuses_to_compare_other_scores(filters: ModuleType) -> None:
    plain = torch.tensor([0.0, 1.0])

    for odd in ({"in batches": plain + 0.01, "merv": plain}, {"in batches": plain, "merv": plain + 0.2}):
        with pytest.raises(SystemExit, match="scores"):
            filters.check({"one by one": plain, **odd})


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_rows_are_as_many_both_ways(load: Callable[[str], ModuleType], suffix: str, tmp_path: Path) -> None:
    rows = load("rows")
    rows.write(tmp_path / f"rows{suffix}", 200, 5)
    answers: SimpleQueue[tuple[int, float, float]] = SimpleQueue()
    for how in ("merv", "all rows in memory"):
        rows.measure(tmp_path / f"rows{suffix}", how, answers)

    for _ in range(2):
        found, took, _ = answers.get()
        assert found == 200
        assert took > 0
