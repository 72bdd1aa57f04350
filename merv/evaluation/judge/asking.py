"""Ask a judge about many answers at once, a bounded number of times each, and keep every reply."""

import logging
from collections.abc import Mapping, Sequence

from merv.endpoint.cache import Kept, ReplyCache, hash_of
from merv.endpoint.chat import Prompt
from merv.endpoint.parallel import ask_each
from merv.errors import RunStopped
from merv.evaluation.judge.config import Judge, JudgeConfig
from merv.evaluation.judge.prompts import Case, wording
from merv.evaluation.judge.replies import READERS, Verdict

log = logging.getLogger(__name__)


def verdicts(judge: Judge, config: JudgeConfig, cases: Sequence[Case]) -> list[Verdict | None]:
    """A verdict on each case; None where the judge said nothing readable in `config.max_attempts` replies.

    Replies that are in `config.cache_dir` are not asked for again, and equal cases are asked about once.

    Raises:
        RunStopped: the judge cannot be reached; what it said until then is kept, and the next call goes on.
        ConfigError: it refuses to reply, or the cache cannot be used.
    """
    words = wording(config.protocol, config.prompt)
    prompts = [words.prompt(case) for case in cases]
    who = {"judge": judge.identity(), "protocol": config.protocol}
    keys = [hash_of({**who, "prompt": [prompt.system, prompt.user]}) for prompt in prompts]
    inquiry = _Inquiry(judge, config, dict(zip(keys, prompts, strict=True)))
    try:
        inquiry.run()
        return [inquiry.verdict(key) for key in keys]
    finally:
        inquiry.cache.close()


class _Inquiry:
    """Prompts by key on their way to verdicts."""

    def __init__(self, judge: Judge, config: JudgeConfig, prompts: Mapping[str, Prompt]) -> None:
        self.judge, self.config, self.prompts = judge, config, prompts
        self.cache = ReplyCache(config.cache_dir)
        self.read = READERS[config.protocol]
        self.empty: dict[str, int] = {}
        """How often something came that is no reply; not kept, as it says nothing about the answer."""

    def verdict(self, key: str) -> Verdict | None:
        kept = self.cache.get(key)
        return self.read(kept.reply) if kept else None

    def open(self) -> list[str]:
        """Keys to ask about, once more or for the first time."""
        return [
            key for key in self.prompts if self.verdict(key) is None and self._attempts(key) < self.config.max_attempts
        ]

    def run(self) -> None:
        """Ask until every key has a verdict or its attempts are used up."""
        while todo := self.open():
            log.info("judge: %d of %d answers to judge", len(todo), len(self.prompts))
            try:
                self._ask(todo)
            except RunStopped as error:
                known = sum(self.verdict(key) is not None for key in self.prompts)
                raise RunStopped(
                    f"{error}; {known} of {len(self.prompts)} verdicts and all answers are kept, and the same command "
                    "goes on"
                ) from error

    def _ask(self, keys: Sequence[str]) -> None:
        """Ask about each key once, in parallel; the first failure ends it, what came before is kept."""
        prompts = {key: self.prompts[key] for key in keys}
        concurrency, batch_size = self.judge.concurrency, self.judge.batch_size
        ask_each(prompts, self.judge.replies, self._keep, concurrency=concurrency, batch_size=batch_size, name="judge")

    def _keep(self, key: str, reply: str | None) -> None:
        if reply is None:
            self.empty[key] = self.empty.get(key, 0) + 1
        else:
            self.cache.put(key, Kept(reply, self._kept_attempts(key) + 1))

    def _kept_attempts(self, key: str) -> int:
        kept = self.cache.get(key)
        return kept.attempts if kept else 0

    def _attempts(self, key: str) -> int:
        return self._kept_attempts(key) + self.empty.get(key, 0)
