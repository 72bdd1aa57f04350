"""The files of a published language model: a local folder, or a hub repository and its snapshot on this disk."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from merv.backbones.hub import HubSource, find_cached, hub_is_reachable, missing, refusals_told, shards_of
from merv.errors import ConfigError

WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Files of weights, the wanted ones first; an index lists the shards of those that are split."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
SMALL_FILES = ("*.json", "*.model", "*.jinja", "merges.txt")
"""What is fetched in any case: config, tokenizer and the index of shards."""


def local_folder(folder: Path, *, weights: bool, what: str, option: str) -> Path:
    """The folder itself, once it is known to be complete.

    Args:
        folder: named by the user.
        weights: whether weights are needed beside config and tokenizer.
        what: the part that needs it, for the message, such as "LLM backbone `x`".
        option: the option that names the folder.

    Raises:
        ConfigError: it lacks a file; the message names it.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise ConfigError(f"{what}: {folder} {found}; set {option} to a folder in the published layout")
    lacking = first_lacking(folder, weights=weights)
    if lacking is not None:
        raise ConfigError(f"{what}: {folder} lacks {lacking}; set {option} to a folder in the published layout")
    return folder


def hub_folder(source: HubSource, *, weights: bool, what: str, option: str) -> Path:
    """The repository's snapshot in the hub's cache, fetched if it is not complete there.

    Raises:
        ConfigError: the hub cannot be reached, asks for a licence, or lacks a file.
    """
    cached = cached_folder(source)
    if cached is not None and first_lacking(cached, weights=weights) is None:
        return cached
    fail = partial(missing, source, what=what, option=option, kind="weights" if weights else "tokenizer")
    if not hub_is_reachable():
        raise ConfigError(fail("the hub cannot be reached from here"))
    patterns: tuple[str, ...]
    for patterns in (SMALL_FILES, ("model*.safetensors",), ("pytorch_model*.bin",)):
        folder = _snapshot(source.repo, patterns, fail)
        lacking = first_lacking(folder, weights=weights)
        if lacking is None:
            return folder
    raise ConfigError(fail(f"the repository lacks {lacking}"))


def cached_folder(source: HubSource) -> Path | None:
    """The repository's snapshot in the hub's cache, complete or not."""
    config = find_cached(source.repo, "config.json")
    return None if config is None else config.parent


def first_lacking(folder: Path, *, weights: bool) -> str | None:
    """The first file the folder lacks, in words; None when it is complete."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not has_tokenizer(folder):
        return f"a tokenizer (none of {', '.join(TOKENIZERS)})"
    if not weights:
        return None
    lacking = None
    for name in WEIGHTS:
        if (folder / name).is_file():
            shards = shards_of(folder / name)
            absent = [shard for shard in shards if not (folder / shard).is_file()]
            if not absent:
                return None
            lacking = lacking or f"{absent[0]}, which {name} lists"
    return lacking or f"weights (none of {', '.join(WEIGHTS)})"


def has_tokenizer(folder: Path) -> bool:
    """Whether there is a tokenizer in the folder."""
    return any((folder / name).is_file() for name in TOKENIZERS)


def _snapshot(repo: str, patterns: tuple[str, ...], fail: Callable[..., str]) -> Path:
    """Fetch files of the repository's top folder."""
    from huggingface_hub import snapshot_download

    with refusals_told(repo, fail):
        return Path(snapshot_download(repo, allow_patterns=list(patterns), ignore_patterns=["*/*"]))
