"""What a recipe's sources hold: names, sizes and checksums, asked of the server before anything is transferred."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from merv.data.download.recipe import Recipe, Source, leaves
from merv.errors import ConfigError
from merv.hub import hub_is_reachable, one_line, refusals_told


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch."""

    path: str
    """Below the recipe's folder."""
    url: str
    size: int | None
    """Bytes; None where the server does not say."""
    sha256: str | None = None
    """What it has to hash to; None where nobody says."""
    version: str = ""
    """What changes when the file does: the hub's id of its content, or the server's ETag."""
    repo: str | None = None
    """Repository of the hub; None for a plain address."""
    page: str = ""
    """Where a person reads about it."""


@dataclass(frozen=True)
class Listing:
    """All files of a recipe."""

    files: list[RemoteFile]
    revisions: dict[str, str]
    """The commit of each repository."""

    @property
    def size(self) -> int:
        """Bytes of the files whose size is known."""
        return sum(file.size or 0 for file in self.files)


def list_files(recipe: Recipe, *, originals: bool = False) -> Listing:
    """Ask where the recipe's files are.

    Args:
        recipe: what is to be fetched.
        originals: take original videos, too, where there are compressed ones.

    Raises:
        ConfigError: no network, no such repository, revision or file, a licence to accept, or a name that leaves
            the folder.
    """
    files: dict[str, RemoteFile] = {}
    revisions: dict[str, str] = {}
    for source in recipe.sources:
        if source.repo is None:
            found = [_address(recipe, source, name, url) for name, url in source.urls.items()]
        else:
            revision, found = _repository(recipe, source, originals)
            revisions[source.repo] = revision
        files |= {file.path: file for file in found}
    return Listing(list(files.values()), revisions)


def wanted(source: Source, paths: list[str], originals: bool) -> list[str]:
    """Those of the names below the source's folder that it takes."""

    def fits(path: str, patterns: list[str]) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in patterns)

    taken = [path for path in paths if fits(path, source.files) and not fits(path, source.leave_out)]
    has_compressed = source.compressed is not None and any(fits(path, [source.compressed]) for path in taken)
    if source.originals is None or originals or not has_compressed:
        return taken
    return [path for path in taken if not fits(path, [source.originals])]


def refusal(name: str, page: str, cause: str, *, gated: bool = False) -> str:
    """The one line about a download that does not begin."""
    licence = f"accept the licence at {page} and log in (`hf auth login`, or HF_TOKEN)"
    return f"download `{name}`: {cause}; {licence if gated else f'see {page}'}"


def _repository(recipe: Recipe, source: Source, originals: bool) -> tuple[str, list[RemoteFile]]:
    from huggingface_hub import HfApi, constants, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

    assert source.repo is not None
    kind = "dataset" if source.dataset else "model"
    fail = partial(refusal, recipe.name, source.page)
    if not hub_is_reachable():
        raise ConfigError(fail("the hub cannot be reached from here, run it where there is a network"))
    api = HfApi(endpoint=constants.ENDPOINT)
    try:
        with refusals_told(source.repo, fail):
            commit = _commit(api, source, kind)
            folder = source.folder or None
            tree = api.list_repo_tree(source.repo, folder, recursive=True, revision=commit, repo_type=kind)
            entries = {entry.path: entry for entry in tree if hasattr(entry, "blob_id")}
    except (EntryNotFoundError, RevisionNotFoundError) as error:
        raise ConfigError(fail(f"{source.repo} has no folder {source.folder} at {source.revision}")) from error
    lead = f"{source.folder}/" if source.folder else ""
    below = [path.removeprefix(lead) for path in entries if path.startswith(lead)]
    found = []
    for name in wanted(source, below, originals):
        entry: Any = entries[lead + name]
        path = _inside(recipe, source, name)
        url = hf_hub_url(source.repo, lead + name, repo_type=kind, revision=commit, endpoint=constants.ENDPOINT)
        checksum = entry.lfs.sha256 if entry.lfs else source.sha256.get(name)
        found.append(RemoteFile(path, url, entry.size, checksum, entry.blob_id, source.repo, source.page))
        _check_known(recipe, source, name, checksum)
    if not found:
        raise ConfigError(fail(f"{source.repo} holds nothing like {', '.join(source.files)} in `{source.folder}`"))
    return commit, found


def _commit(api: Any, source: Source, kind: str) -> str:
    """The commit the source's revision stands for."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return str(api.repo_info(source.repo, repo_type=kind, revision=source.revision).sha)
    except RevisionNotFoundError as error:
        line = f"{source.repo} has no revision {source.revision}; put another one into a recipe of your own (--recipe)"
        raise ConfigError(line) from error


def _check_known(recipe: Recipe, source: Source, name: str, found: str | None) -> None:
    """The checksum a recipe states and the hub's have to agree."""
    known = source.sha256.get(name)
    if known is not None and found != known:
        line = f"the hub's checksum of {name} is {found}, the recipe says {known}"
        raise ConfigError(refusal(recipe.name, source.page, line))


def _address(recipe: Recipe, source: Source, name: str, url: str) -> RemoteFile:
    """A plain address, asked for size and ETag without its body."""
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import get_session

    host = urlsplit(url).netloc
    fail = partial(refusal, recipe.name, recipe.page)
    try:
        reply = get_session().head(url, headers=PLAIN, timeout=TIMEOUT_S, follow_redirects=True)
    except (HTTPError, OSError) as error:
        raise ConfigError(fail(f"{host} cannot be reached ({one_line(error)})")) from error
    if reply.status_code in (401, 403):
        raise ConfigError(fail(f"{host} refuses {url} (status {reply.status_code}), it may want a log-in"))
    if reply.status_code == 404:
        raise ConfigError(fail(f"there is no {url} (status 404)"))
    if reply.status_code >= 400:
        raise ConfigError(fail(f"{host} answers {url} with status {reply.status_code}"))
    length = reply.headers.get("Content-Length")
    size = int(length) if length is not None and length.isdecimal() else None
    return RemoteFile(
        _inside(recipe, source, name),
        url,
        size,
        source.sha256.get(name),
        reply.headers.get("ETag", ""),
        page=recipe.page,
    )


PLAIN = {"Accept-Encoding": "identity"}
"""Bytes as they are stored, or a length would be that of compressed ones."""
TIMEOUT_S = 30.0


def _inside(recipe: Recipe, source: Source, name: str) -> str:
    if leaves(name):
        raise ConfigError(refusal(recipe.name, source.page, f"the name `{name}` leaves the folder"))
    return (PurePosixPath(source.into) / name).as_posix()


def local(folder: Path, file: RemoteFile) -> Path:
    """Where a file of a listing goes."""
    return folder / file.path
