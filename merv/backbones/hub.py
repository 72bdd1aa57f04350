"""Where published weights come from: a local folder, or a hub repository and its cache on this disk."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from merv.errors import ConfigError

logger = logging.getLogger(__name__)

REACH_TIMEOUT_S = 5.0


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
        if cached is not None:
            return cached
    if not download:
        raise ConfigError(missing(source, "", what=what, option=option))
    return _download(source, what=what, option=option)


def find_optional(source: HubSource, name: str, folder: Path | None) -> Path | None:
    """A file that may be there or not, such as a config: beside the local weights, or in the hub's cache."""
    if folder is None:
        return find_cached(source.repo, name)
    path = (folder if folder.is_dir() else folder.parent) / name
    return path if path.is_file() else None


def fetch_optional(source: HubSource, names: Sequence[str]) -> None:
    """Bring small files beside the weights, such as a config, to the hub's cache where the repository has them."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HTTPError

    wanted = [name for name in names if find_cached(source.repo, name) is None]
    if not wanted or not hub_is_reachable():
        return
    for name in wanted:
        try:
            with quiet_hub():
                hf_hub_download(source.repo, name)
        except (EntryNotFoundError, HTTPError, OSError) as error:
            logger.info("%s has no %s: %s", source.repo, name, type(error).__name__)


def find_cached(repo: str, name: str) -> Path | None:
    """A file in the hub's cache; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name)
    return Path(found) if isinstance(found, str) else None


def _find_local(names: Sequence[str], folder: Path, *, what: str, option: str) -> Path:
    if folder.is_file():
        return folder
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = "does not exist" if not folder.exists() else f"holds none of {', '.join(names)}"
    raise ConfigError(f"{what}: {folder} {found}; set {option} to a folder in the published layout")


def _download(source: HubSource, *, what: str, option: str) -> Path:
    """Fetch the first file the repository has."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HTTPError, LocalEntryNotFoundError

    if not hub_is_reachable():
        raise ConfigError(missing(source, "the hub cannot be reached from here", what=what, option=option))
    for name in source.files:
        try:
            with quiet_hub():
                path = Path(hf_hub_download(source.repo, name))
                if name.endswith(".index.json"):
                    _download_shards(source.repo, path)
                return path
        except GatedRepoError as error:
            raise ConfigError(missing(source, "access is refused", what=what, option=option, gated=True)) from error
        except LocalEntryNotFoundError as error:
            raise ConfigError(missing(source, "the download failed", what=what, option=option)) from error
        except EntryNotFoundError:
            continue
        except (HTTPError, OSError) as error:
            cause = " ".join(str(error).split())[:160]
            raise ConfigError(missing(source, f"the download failed ({cause})", what=what, option=option)) from error
    raise ConfigError(missing(source, f"it holds none of {', '.join(source.files)}", what=what, option=option))


def _download_shards(repo: str, index: Path) -> None:
    import json

    from huggingface_hub import hf_hub_download

    for name in sorted(set(json.loads(index.read_text())["weight_map"].values())):
        hf_hub_download(repo, name)


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


def hub_is_reachable() -> bool:
    """Whether it makes sense to ask: the hub's own client tries for half a minute before it gives up."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True
    host = urlsplit(os.environ.get("HF_ENDPOINT", constants.ENDPOINT))
    try:
        socket.create_connection((host.hostname or "", host.port or 443), timeout=REACH_TIMEOUT_S).close()
    except OSError:
        return False
    return True


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Leave the telling to our own line: the hub's client logs every retry."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
