"""Sentences that pictures are compared with: what is wanted and what is not, from a YAML file.

Follows the two lists of VaseVQA-3D's clipfilter1 (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/filter); the
sentences of `prompts/vase.yaml` are our own.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from merv.errors import ConfigError

KINDS = ("positive", "negative")
FORM = "write `positive:` and `negative:`, each with a list of sentences"


@dataclass(frozen=True)
class PromptSets:
    """Both lists, and where they stand."""

    positive: tuple[str, ...]
    """What a good picture shows."""
    negative: tuple[str, ...]
    """What a bad one shows."""
    source: str
    """The file, or the name of a list that comes with merv."""


def read_prompts(path: Path | None = None, *, wanted: tuple[str, ...] = KINDS) -> PromptSets:
    """The sentences of a file; of vases without one.

    Args:
        path: a YAML file with `positive` and `negative`; None means `merv/filters/prompts/vase.yaml`.
        wanted: lists that must be there; another one is read where it is.

    Raises:
        ConfigError: no such file, no YAML, or a list that is missing, empty, or holds something else than text.
    """
    if path is None:
        text, source = resources.files("merv.filters").joinpath("prompts/vase.yaml").read_text("utf-8"), "vase"
    else:
        text, source = _text(path), str(path)
    found = _mapping(text, source)
    lists = {kind: _sentences(found, kind, source) if kind in found or kind in wanted else () for kind in KINDS}
    return PromptSets(lists["positive"], lists["negative"], source)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"prompts `{path}` cannot be read: {error.strerror}; name a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompts `{path}` is not UTF-8 text (byte {error.start}); name a YAML file") from error


def _mapping(text: str, source: str) -> dict[Any, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ConfigError(f"prompts `{source}`: {line}{problem}; {FORM}") from error
    if not isinstance(found, dict):
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise ConfigError(f"prompts `{source}` holds {kind} at the top; {FORM}")
    odd = [str(key) for key in found if key not in KINDS]
    if odd:
        raise ConfigError(f"prompts `{source}` has `{odd[0]}`, which is neither list; {FORM}")
    return found


def _sentences(found: dict[Any, Any], kind: str, source: str) -> tuple[str, ...]:
    if kind not in found:
        raise ConfigError(f"prompts `{source}` has no `{kind}`; {FORM}")
    sentences = found[kind]
    if not isinstance(sentences, list) or not sentences:
        what = "is an empty list" if sentences == [] else f"is {sentences!r:.40}, no list"
        raise ConfigError(f"prompts `{source}`: `{kind}` {what}; {FORM}")
    for number, sentence in enumerate(sentences, start=1):
        if not isinstance(sentence, str) or not sentence.strip():
            raise ConfigError(
                f"prompts `{source}`: number {number} of `{kind}` is {sentence!r:.40}, no text; put it in quotes"
            )
    return tuple(sentence.strip() for sentence in sentences)
