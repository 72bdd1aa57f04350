"""The hub of published weights and datasets: whether it can be asked, and why it refused, in one line."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from merv.errors import ConfigError
from merv.runtime import quiet

REACH_TIMEOUT_S = 5.0
"""Seconds the hub has to take a connection."""


def hub_is_reachable() -> bool:
    """Whether it makes sense to ask: the hub's own client tries for half a minute before it gives up."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    endpoint = urlsplit(constants.ENDPOINT)
    host, port = endpoint.hostname or "", endpoint.port or (80 if endpoint.scheme == "http" else 443)
    if getproxies().keys() & {endpoint.scheme, "all"} and not proxy_bypass(host):
        return True
    try:
        socket.create_connection((host, port), timeout=REACH_TIMEOUT_S).close()
    except OSError:
        return False
    return True


@contextmanager
def refusals_told(repo: str, fail: Callable[..., str]) -> Iterator[None]:
    """Within it the hub's client is quiet, and why it could not fetch becomes one line.

    That the repository has no such file passes as the client's EntryNotFoundError.

    Args:
        repo: the repository that is asked.
        fail: makes the line of a cause; it is given `gated=True` where there is a licence to accept.

    Raises:
        ConfigError: the hub refused, or the download failed.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        with quiet("huggingface_hub"):
            yield
    except GatedRepoError as error:
        raise ConfigError(fail("access is refused", gated=True)) from error
    except RepositoryNotFoundError as error:
        raise ConfigError(fail(f"there is no repository {repo}, or it is private")) from error
    except LocalEntryNotFoundError as error:  # what happened is in its cause; its own text is advice
        cause = f" ({one_line(error.__cause__)})" if error.__cause__ else ""
        raise ConfigError(fail(f"the download failed{cause}")) from error
    except EntryNotFoundError:
        raise
    except (HTTPError, OSError, RuntimeError) as error:  # hf_xet, which carries large files, raises RuntimeError
        raise ConfigError(fail(f"the download failed ({one_line(error)})")) from error


def one_line(error: BaseException) -> str:
    """What an error says, or the hub's server through it, on one line of moderate length."""
    said = getattr(error, "server_message", None) or error
    return " ".join(str(said).split())[:160] or type(error).__name__
