"""merv: train, fine-tune, evaluate and run modular video-language models.

Importing this package loads nothing heavy; `merv.load` and `merv.available` import what they need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from merv.models.base import VideoLM

__version__ = "0.1.0"
__all__ = ["__version__", "available", "load"]


def load(path: str, /, **options: Any) -> VideoLM:
    """Load the model of a run's folder, ready to generate; `options` are those of `merv.runs.load.load`."""
    from merv.runs.load import load as load_run

    return load_run(path, **options)


def available(kind: str = "models") -> dict[str, str]:
    """Registered names of a kind and what each is: models, video-backbones, llm-backbones, projectors, tasks, ...

    Raises:
        ConfigError: there is no such kind; the message lists them.
    """
    from merv.runs.listing import descriptions

    return descriptions(kind)
