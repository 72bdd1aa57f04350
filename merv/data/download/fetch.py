"""Several files at a time; the first failure, or Ctrl-C, ends them all and keeps what came."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

from merv.data.download.listing import RemoteFile, local
from merv.data.download.progress import Progress
from merv.data.download.transfer import StoppedError, Transfer


def fetch(
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    workers: int,
    progress: Progress,
    again: str,
    done: Callable[[RemoteFile, str], None],
) -> None:
    """Fetch files below `folder`.

    Args:
        files: what to fetch.
        folder: the recipe's folder.
        workers: how many at a time.
        progress: is told of every byte.
        again: the command that goes on with it, for messages.
        done: is called in this thread with each file that is whole, and its SHA-256.

    Raises:
        ConfigError: one of them failed.
        KeyboardInterrupt: somebody pressed Ctrl-C; the others have ended.
    """
    stop = threading.Event()

    def one(file: RemoteFile) -> str:
        if stop.is_set():
            raise StoppedError
        try:
            return Transfer(file, local(folder, file), add=progress.add, stop=stop, again=again).run()
        except BaseException:
            stop.set()  # before another file takes its place
            raise

    with ThreadPoolExecutor(workers) as pool:
        futures: dict[Future[str], RemoteFile] = {pool.submit(one, file): file for file in files}
        try:
            for future in as_completed(futures):
                with suppress(StoppedError):  # the failure that stopped it comes, too
                    done(futures[future], future.result())
        finally:
            stop.set()
            for future in futures:
                future.cancel()
