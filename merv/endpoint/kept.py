"""Prompts asked once each: what was replied is on disk before anything is made of it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, Protocol, TypeVar

from merv.endpoint.cache import Kept, ReplyCache, hash_of
from merv.endpoint.chat import ChatClient, ChatReply, Prompt
from merv.endpoint.parallel import ask_each
from merv.endpoint.usage import Usage
from merv.errors import RunStopped

KeyT = TypeVar("KeyT", bound=Hashable)


class Replier(Protocol):
    """Replies to prompts.  Several threads call it at once, as many as `concurrency`."""

    concurrency: int
    batch_size: int
    """Prompts a call."""

    def identity(self) -> dict[str, Any]:
        """What decides a reply beside the prompt.  Holds no secret."""

    def replies(self, prompts: Sequence[Prompt], stop: Event) -> Sequence[ChatReply | None]:
        """A reply to each prompt; None where something came that is no reply, or `stop` is set."""


@dataclass
class ChatReplier:
    """A model behind an endpoint, asked with the same options each time."""

    client: ChatClient
    options: Mapping[str, Any]
    """Fields of the request, such as temperature and seed; those that are None are left out."""
    concurrency: int = 8
    batch_size: int = 1

    def identity(self) -> dict[str, Any]:
        """Address, model and options."""
        return {"base_url": self.client.access.base_url.rstrip("/"), **self.client.request(self.options)}

    def replies(self, prompts: Sequence[Prompt], stop: Event) -> list[ChatReply | None]:
        """A reply to each prompt; see `ChatClient.reply`."""
        return [self.client.reply(prompt, stop, **self.options) for prompt in prompts]


@dataclass
class Tally:
    """What asking took, told apart by prompt: a reply counts once, whoever it was asked for."""

    used: dict[str, Usage | None] = field(default_factory=dict)
    """Tokens of every reply that was used, from the disk or just asked for."""
    num_asked: int = 0
    """Replies that were asked for now."""

    @property
    def usage(self) -> Usage:
        """Tokens of all replies used."""
        return sum((usage for usage in self.used.values() if usage is not None), Usage())

    @property
    def num_uncounted(self) -> int:
        """Replies whose tokens the endpoint did not count."""
        return sum(usage is None for usage in self.used.values())


class KeptReplies:
    """Replies of the cache, and new ones where it has none."""

    def __init__(self, cache: ReplyCache) -> None:
        """Keep replies in `cache`."""
        self.cache, self.tally, self._lock = cache, Tally(), Lock()

    def ask(self, replier: Replier, prompts: Mapping[KeyT, Prompt]) -> dict[KeyT, ChatReply | None]:
        """A reply to each prompt; None where something came that is no reply, which is asked again another time.

        Raises:
            RunStopped: the model cannot be reached; what it said until then is kept.
            ConfigError: it refuses to reply, or the cache cannot be used.
        """
        who = replier.identity()
        keys = {key: hash_of({**who, "prompt": [prompt.system, prompt.user]}) for key, prompt in prompts.items()}
        new = {keys[key]: prompt for key, prompt in prompts.items() if self.cache.get(keys[key]) is None}
        concurrency, batch_size = replier.concurrency, replier.batch_size
        try:
            ask_each(new, replier.replies, self._keep, concurrency=concurrency, batch_size=batch_size)
        except RunStopped as error:
            raise RunStopped(
                f"{error}; {len(self.cache)} replies are kept in {self.cache.folder}, and the same command goes on"
            ) from error
        return {key: self._known(keys[key]) for key in prompts}

    def _keep(self, key: str, reply: ChatReply | None) -> None:
        if reply is not None:
            self.cache.put(key, Kept(reply.text, usage=reply.usage))
            with self._lock:
                self.tally.num_asked += 1

    def _known(self, key: str) -> ChatReply | None:
        kept = self.cache.get(key)
        if kept is None:
            return None
        self.tally.used[key] = kept.usage
        return ChatReply(kept.reply, kept.usage)
