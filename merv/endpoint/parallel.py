"""Several prompts asked at a time, in batches; the first failure ends it and loses nothing that came before."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

from merv.endpoint.chat import Prompt

ReplyT = TypeVar("ReplyT")


def ask_each(
    prompts: Mapping[str, Prompt],
    replies: Callable[[Sequence[Prompt], Event], Sequence[ReplyT]],
    keep: Callable[[str, ReplyT], None],
    *,
    concurrency: int = 1,
    batch_size: int = 1,
    name: str = "ask",
) -> None:
    """Ask about each prompt once and hand every reply to `keep` as it comes.

    Args:
        prompts: by key, in the order they are asked.
        replies: a reply to each of at most `batch_size` prompts; called by several threads.  Its event is set when
            nobody waits any more.
        keep: takes a key and its reply; called by several threads.
        concurrency: calls at a time.
        batch_size: prompts a call.
        name: beginning of the threads' names.

    Raises:
        Exception: what the first failing call raised; no further call begins.
    """
    keys, stop = list(prompts), Event()

    def ask_part(part: Sequence[str]) -> None:
        if stop.is_set():
            return
        try:
            found = replies([prompts[key] for key in part], stop)
            for key, reply in zip(part, found, strict=True):
                keep(key, reply)
        except BaseException:
            stop.set()  # here, so that not even the next part begins
            raise

    pool = ThreadPoolExecutor(concurrency, thread_name_prefix=name)
    try:
        asked = [pool.submit(ask_part, keys[i : i + batch_size]) for i in range(0, len(keys), batch_size)]
        for future in as_completed(asked):
            future.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
