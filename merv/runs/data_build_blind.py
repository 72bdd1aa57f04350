"""Who answers built questions without the video: an endpoint, or a model of merv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

from merv.data.build.blind import Blind, ask_blind
from merv.data.build.options import AskedBlindConfig, EndpointBlindConfig, MervBlindConfig
from merv.data.build.select import Selection, select
from merv.data.build.validate import Question
from merv.endpoint.cache import ReplyCache
from merv.endpoint.chat import ChatClient, ChatReply, Naming, Prompt
from merv.endpoint.endpoint import check_url
from merv.endpoint.kept import ChatReplier, KeptReplies, Replier, Tally
from merv.endpoint.usage import check_prices
from merv.evaluation.judge.local import Load, MervJudgeConfig
from merv.evaluation.parsing import parse_option

if TYPE_CHECKING:
    from merv.runs.data_build_gqa import BuildGqaConfig

NAMING = Naming("blind model", base_url="--blind.llm", model="--blind.model", options="the options of blind and chat")


@dataclass
class BlindAsker:
    """Asks questions without the video and chooses those to keep."""

    config: AskedBlindConfig
    replier: Replier
    seed: int
    min_kept: int
    price_per_million: Sequence[float] | None = None
    tally: Tally = field(default_factory=Tally)

    def choose(
        self, questions: Sequence[Question], cache: ReplyCache
    ) -> tuple[list[Blind], Selection, list[Blind] | None]:
        """How every question was answered, which stay, and how those were answered when asked once more.

        Raises:
            RunStopped: the model cannot be reached; what it said is kept.
            ConfigError: it refuses to reply.
        """
        replies, own = KeptReplies(cache), self.config
        self.tally = replies.tally
        rounds = range(own.rounds)
        blind = ask_blind(questions, self.replier, replies, parse_option, rounds=rounds, seed=self.seed)
        selection = select(questions, blind, target=own.target, alpha=own.alpha, min_kept=self.min_kept)
        if not own.check_rounds:
            return blind, selection, None
        kept = [questions[place] for place in selection.kept]
        later = range(own.rounds, own.rounds + own.check_rounds)
        return blind, selection, ask_blind(kept, self.replier, replies, parse_option, rounds=later, seed=self.seed)


class MervReplier:
    """A model of merv that gets words and no video; asked as a judge is."""

    concurrency = 1

    def __init__(self, config: MervBlindConfig, load: Load) -> None:
        """Load the model now: a wrong name is found before anything is paid for."""
        self.batch_size = config.batch_size
        self._judge = MervJudgeConfig(
            model=config.model, batch_size=config.batch_size, max_new_tokens=config.max_new_tokens
        ).build()
        model = load(config.model)
        self._judge.load = lambda name: model

    def identity(self) -> dict[str, Any]:
        """The model and its weights."""
        return self._judge.identity()

    def replies(self, prompts: Sequence[Prompt], stop: Event) -> list[ChatReply | None]:
        """The model's answers."""
        return [None if reply is None else ChatReply(reply) for reply in self._judge.replies(prompts, stop)]


def asker_of(config: BuildGqaConfig) -> BlindAsker | None:
    """Who is asked; None when nobody is.

    Raises:
        ConfigError: an address or a key is none.
        CheckpointError: the model cannot be loaded.
    """
    blind = config.blind
    if isinstance(blind, MervBlindConfig):
        from merv.runs.load import load

        return BlindAsker(blind, MervReplier(blind, load), config.seed, config.min_kept)
    if not isinstance(blind, EndpointBlindConfig):
        return None
    url, model = blind.llm or config.llm, blind.model or config.model
    check_url(url, "--blind.llm")
    prices = blind.price_per_million
    if prices is None and (url, model) == (config.llm, config.model):
        prices = config.price_per_million
    if prices is not None:
        check_prices(prices)
    client = ChatClient(config.chat.access(url, model), NAMING)
    options = {"temperature": blind.temperature, "max_tokens": blind.max_tokens}
    replier = ChatReplier(client, options, concurrency=config.chat.concurrency)
    return BlindAsker(blind, replier, config.seed, config.min_kept, prices)
