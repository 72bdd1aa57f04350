"""Where published weights come from: a local folder, or a hub repository and its cache on this disk."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from merv.errors import ConfigError
from merv.hub import hub_is_reachable, one_line, refusals_told
from merv.runtime import quiet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubSource:
    """A hub repository, and the names its files may have, the wanted ones first."""

    repo: str
    """`owner/name` on the hub."""
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    """Names tried in this order."""
    gated: bool = False
    """Whether the owner asks people to accept a licence first."""
    url: str | None = None
    """The same weights as one file outside the hub, for a browser; None when there is none."""


def find_file(source: HubSource, folder: Path | None, *, what: str, option: str, download: bool = True) -> Path:
    """The first of the source's files that is to be had; fetched into the hub's cache if it has to be.

    Args:
        source: repository and file names.
        folder: local folder to take in its place, or one file; None means the hub.
        what: the part that needs it, for the message, such as "video backbone `x`".
        option: the option that names a local folder.
        download: False looks on this disk only.

    Raises:
        ConfigError: the folder lacks it, the hub cannot be reached, or it asks for a licence.
    """
    if folder is not None:
        return _find_local(source.files, folder, what=what, option=option)
    for name in source.files:
        cached = find_cached(source.repo, name)
        if cached is not None and all(find_cached(source.repo, shard) for shard in _shards_beside(name, cached)):
            return cached
    if not download:
        raise ConfigError(missing(source, "", what=what, option=option))
    return _download(source, what=what, option=option)


def find_optional(source: HubSource, name: str, folder: Path | None) -> Path | None:
    """A file that may be there or not, such as a config: beside the local weights, or in the hub's cache."""
    if folder is None:
        return find_cached(source.repo, name)
    path = (folder.parent if folder.is_file() else folder) / name
    return path if path.is_file() else None


def fetch_optional(source: HubSource, names: Sequence[str]) -> None:
    """Bring small files beside the weights, such as a config, to the hub's cache where the repository has them."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HTTPError

    # The cache also remembers which files the repository was found not to have.
    wanted = [name for name in names if try_to_load_from_cache(source.repo, name) is None]
    if not wanted or not hub_is_reachable():
        return
    for name in wanted:
        try:
            with quiet("huggingface_hub"):
                hf_hub_download(source.repo, name)
        except (EntryNotFoundError, HTTPError, OSError) as error:
            logger.info("%s has no %s: %s", source.repo, name, type(error).__name__)


def find_cached(repo: str, name: str) -> Path | None:
    """A file in the hub's cache; nothing is fetched.

    Raises:
        ConfigError: the hub could not have a repository of that name.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo, name)
    except HFValidationError as error:
        raise ConfigError(f"`{repo}` is no name of a hub repository: {one_line(error)}") from error
    return Path(found) if isinstance(found, str) else None


def shards_of(file: Path) -> list[str]:
    """Files an index lists, sorted; none for a file of weights.

    Raises:
        ConfigError: it is no index, or lists something else than files of weights beside it.
    """
    if not file.name.endswith(".index.json"):
        return []
    try:
        names = sorted(set(json.loads(file.read_text())["weight_map"].values()))
        odd = [name for name in names if Path(name).name != name or name.endswith(".index.json")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is no index of weights: {one_line(error)}; download it again") from error
    if odd or not names:
        found = f"lists `{odd[0]}`" if odd else "lists nothing"
        raise ConfigError(f"{file} is no index of weights: it {found}; download it again")
    return names


def _shards_beside(name: str, file: Path) -> list[str]:
    """Names in the repository of the files that the index `name`, here as `file`, lists."""
    return [str(PurePosixPath(name).with_name(shard)) for shard in shards_of(file)]


def _find_local(names: Sequence[str], folder: Path, *, what: str, option: str) -> Path:
    candidates = [folder, *(folder / name for name in names)]
    file = next((path for path in candidates if path.is_file()), None)
    if file is None:
        found = "does not exist" if not folder.exists() else f"holds none of {', '.join(names)}"
        raise ConfigError(f"{what}: {folder} {found}; set {option} to a folder in the published layout")
    for shard in shards_of(file):
        if not file.with_name(shard).is_file():
            raise ConfigError(
                f"{what}: {file.parent} lacks {shard}, which {file.name} lists; set {option} to a folder in the "
                "published layout"
            )
    return file


def _download(source: HubSource, *, what: str, option: str) -> Path:
    """Fetch the first file the repository has."""
    fail = partial(missing, source, what=what, option=option)
    if not hub_is_reachable():
        raise ConfigError(fail("the hub cannot be reached from here"))
    for name in source.files:
        path = _fetch(source.repo, name, fail)
        if path is None:
            continue
        for shard in _shards_beside(name, path):
            if _fetch(source.repo, shard, fail) is None:
                raise ConfigError(fail(f"the repository lacks {shard}, which {name} lists"))
        return path
    raise ConfigError(fail(f"the repository holds none of {', '.join(source.files)}"))


def _fetch(repo: str, name: str, fail: Callable[..., str]) -> Path | None:
    """Fetch one file into the hub's cache; None when the repository does not have it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        with refusals_told(repo, fail):
            return Path(hf_hub_download(repo, name))
    except EntryNotFoundError:
        return None


def missing(
    source: HubSource, cause: str, *, what: str, option: str, gated: bool | None = None, kind: str = "weights"
) -> str:
    """The one line about weights (or another `kind` of file) that are not here: what, why, and ways to get them."""
    page = f"https://huggingface.co/{source.repo}"
    needs_licence = source.gated if gated is None else gated
    licence = f"accept the licence at {page} and log in (`hf auth login`, or HF_TOKEN), then " if needs_licence else ""
    file = f" (or fetch {source.url})" if source.url else ""
    without = "; --model.init random goes without" if kind == "weights" else ""
    because = f", and {cause}" if cause else ""
    return (
        f"{what}: no {kind} on this disk{because}; {licence}run `hf download {source.repo}` where there is a "
        f"network{file}, or name a local folder with {option}{without}"
    )
