"""Predictions and annotations with the numbers of the official evaluators: small ones of ours, large genuine ones."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
OURS = ROOT / "tests" / "golden" / "evaluation"
GENUINE = ROOT / ".." / "shared" / "realdata" / "golden"


def ours(name: str) -> Any:
    """A pair of tests/golden/evaluation."""
    return json.loads((OURS / f"{name}.json").read_text())


def genuine(*parts: str) -> Path:
    """The folder of a genuine pair; skips where it is not: its licence keeps it out of the repository."""
    folder = GENUINE.joinpath(*parts)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; the genuine pairs are not part of the repository")
    return folder


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text())


def read_lines(path: Path) -> list[Any]:
    """A JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def percent(rows: dict[str, float], digits: int) -> dict[str, float]:
    """Rows as a script prints them."""
    return {name: float(f"{100 * value:.{digits}f}") for name, value in rows.items()}


def fractions(rows: dict[str, str]) -> dict[str, float]:
    """Rows recorded exactly, such as "7/12"."""
    return {name: float(Fraction(value)) for name, value in rows.items()}


def windows(rows: list[list[float]]) -> list[tuple[float, float]]:
    """Windows of a JSON file."""
    return [(row[0], row[1]) for row in rows]
