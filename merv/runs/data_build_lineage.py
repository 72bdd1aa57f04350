"""What a set of built questions depends on, and where it came from."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import merv
from merv.conf import files
from merv.runs.folder import hash_of_file

if TYPE_CHECKING:
    from merv.runs.data_build_blind import BlindAsker
    from merv.runs.data_build_gqa import BuildGqaConfig

CHANGEABLE = {"out", "cache_dir", "price_per_million", "blind.price_per_million", "blind.batch_size"}
CHANGEABLE |= {f"chat.{name}" for name in ("api_key_env", "concurrency", "timeout_s", "backoff_s", "max_attempts")}
"""Options that change no question: the same folder goes on with others."""


def deciding(config: BuildGqaConfig) -> dict[str, Any]:
    """The options that decide the questions, by dotted name."""
    return {name: value for name, value in _flat(files.encode(config)) if name not in CHANGEABLE}


def lineage(config: BuildGqaConfig, read: Sequence[Path], asker: BlindAsker | None) -> dict[str, Any]:
    """Files with hashes, who wrote and who answered, options, version."""
    return {
        "command": "merv data build-gqa",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": config.source.type_name,
        "data": {str(path): hash_of_file(path) for path in read},
        "writer": {"base_url": config.llm, "model": config.model},
        "blind": None if asker is None else asker.replier.identity(),
        "options": files.encode(config),
        "merv": merv.__version__,
        "python": platform.python_version(),
    }


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
