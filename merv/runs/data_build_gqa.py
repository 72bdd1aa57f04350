"""Grounded questions written by a language model and checked without the video.

`merv data build-gqa --source qvhighlights --llm URL --model gpt-4o-mini --out data/QVHighlights-QA`
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import merv.data  # noqa: F401 - registers the datasets
from merv.conf.options import words_apart
from merv.conf.parse import run_main
from merv.data.build.blind import Blind
from merv.data.build.folder import claim
from merv.data.build.moments import Moment, moments_of
from merv.data.build.options import (
    AskedBlindConfig,
    BlindConfig,
    ChatOptions,
    EndpointBlindConfig,
    read_sizes,
)
from merv.data.build.report import blind_report, cost_report, lines_of, rows_report, writing_report
from merv.data.build.rows import READERS, as_lines, list_name, rows_of, suffix_of
from merv.data.build.select import Selection
from merv.data.build.validate import Limits, Question
from merv.data.build.write import Written, write_questions
from merv.data.datasets import DatasetConfig
from merv.endpoint.cache import ReplyCache
from merv.endpoint.chat import ChatClient, Naming
from merv.endpoint.endpoint import check_url
from merv.endpoint.kept import ChatReplier, KeptReplies
from merv.endpoint.usage import check_prices
from merv.errors import ConfigError, RunStopped
from merv.runs.data_build_blind import BlindAsker, asker_of
from merv.runs.data_build_lineage import deciding, lineage
from merv.space import write, write_json

logger = logging.getLogger(__name__)

USAGE = "merv data build-gqa --source NAME --llm URL --model NAME --out DIR"
NAMING = Naming("writer", base_url="--llm", model="--model", options="--model and the options of chat")
REJECTED, DROPPED, REPORT, LINEAGE = "rejected.jsonl", "dropped.jsonl", "report.json", "lineage.json"


@dataclass
class BuildGqaConfig:
    """Write grounded questions: `merv data build-gqa --source NAME --llm URL --model NAME --out DIR`."""

    source: DatasetConfig
    """Grounding set whose descriptions questions are written from; `merv list datasets`."""
    out: Path
    """Folder of the questions."""
    llm: str = "https://api.openai.com/v1"
    """Address of the writer that /chat/completions follows."""
    model: str = "gpt-4o-mini"
    """The writer, MUPA's by default."""
    limit: int | None = None
    """Write about the first so many moments; None writes about all."""
    num_options: str = "4..6"
    """How many options a question may have; how many the writer is asked for is drawn evenly."""
    max_question_words: int = 40
    """Longest question in words."""
    max_option_words: int = 20
    """Longest option in words."""
    max_tries: int = 3
    """Replies asked for about one moment, until one can be used."""
    seed: int = 7
    """Decides numbers of options, their order, where answers stand, and what the endpoint draws."""
    chat: ChatOptions = field(default_factory=ChatOptions)
    """How the endpoint is asked."""
    blind: BlindConfig = field(default_factory=EndpointBlindConfig)
    """Who answers without the video: the same endpoint, a model of merv, or nobody."""
    min_kept: int = 0
    """Questions that stay however well they are answered without the video."""
    price_per_million: list[float] | None = None
    """Prices for a million tokens of prompts and of replies; None reports tokens alone."""
    cache_dir: Path = Path("data/build/replies")
    """Folder of all replies; nothing that stands there is asked again, whatever the folder of the questions."""

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is asked."""
        check_url(self.llm, "--llm")
        least = read_sizes(self.num_options)[0]
        for name in ("max_question_words", "max_option_words", "max_tries"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.min_kept < 0 or (self.limit is not None and self.limit < 1):
            raise ConfigError(f"min_kept {self.min_kept} must be at least 0, and limit {self.limit} at least 1")
        if self.price_per_million is not None:
            check_prices(self.price_per_million)
        if isinstance(self.blind, AskedBlindConfig):
            self.blind.check_rounds_suffice(least)

    @property
    def limits(self) -> Limits:
        """What a question has to keep to."""
        return Limits(*read_sizes(self.num_options), self.max_question_words, self.max_option_words)


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line, `build-gqa` among them, as options; `--source NAME` chooses the set.

    Raises:
        ConfigError: a word that belongs to no option.
    """
    words, options = words_apart(args)
    odd = next((word for word in words if word != "build-gqa"), None)
    if odd is not None:
        raise ConfigError(f"`{odd}` is no option: {USAGE}")
    return [
        f"--source.type{word.removeprefix('--source')}" if word.partition("=")[0] == "--source" else word
        for word in options
    ]


def main(args: Sequence[str], write: Callable[[str], None]) -> int:
    """`merv data build-gqa`; gives the exit status."""
    return run_main(build_gqa, BuildGqaConfig, named(args), prog="merv data build-gqa")


def build_gqa(config: BuildGqaConfig) -> int:
    """Write the questions, drop those that need no video, write the folder; gives the exit status.

    Raises:
        ConfigError: the options do not fit, the source is missing or has no moments, the endpoint refuses.
        RunStopped: the endpoint cannot be reached, the disk is full, or no reply could be used.
    """
    writer = ChatClient(config.chat.access(config.llm, config.model), NAMING)
    source = _source(config)
    asker = asker_of(config)
    claim(config.out, deciding(config))
    cache = ReplyCache(config.cache_dir, name="reply cache", option="--cache_dir")
    try:
        replies = KeptReplies(cache)
        written = _write(config, source.moments, writer, replies)
        cost = {"writer": cost_report(replies.tally, config.price_per_million)}
        report: dict[str, Any] = {"writing": writing_report(written), "cost": cost}
        _write_lines(config.out / REJECTED, [vars(refusal) for refusal in written.refusals])
        if not written.questions:
            write_json(config.out / REPORT, report)
            raise RunStopped(_nothing(config, written))
        kept = _without_known(config, written, asker, cache, report)
    finally:
        cache.close()
    rows = rows_of(kept, config.seed)
    report["rows"] = rows_report(rows)
    _write_lines(config.out / source.list_name, rows)
    write_json(config.out / REPORT, report)
    write_json(config.out / LINEAGE, lineage(config, source.files, asker))
    if not rows:
        raise RunStopped(
            f"none of {len(written.questions)} questions is left, as all are answered without the video; see "
            f"{config.out / DROPPED}, or keep the least known with --min_kept"
        )
    logger.info("%s\n%s", _where(config, source, len(rows)), "\n".join(lines_of(report)))
    return 0


@dataclass(frozen=True)
class _Moments:
    """What is written about, and what the list of questions is called."""

    moments: list[Moment]
    files: Sequence[Path]
    list_name: str


def _source(config: BuildGqaConfig) -> _Moments:
    source, name = config.source, config.source.type_name
    source.make()
    samples = source.load_rows("finetune")
    read: Any = getattr(source, "files", list)
    folders = [path for path in read() if path not in samples.files]
    moments = moments_of(samples, name=source.name, videos=folders, suffix=suffix_of(name), limit=config.limit)
    return _Moments(moments, samples.files, list_name(name))


def _write(config: BuildGqaConfig, moments: Sequence[Moment], writer: ChatClient, replies: KeptReplies) -> Written:
    chat = config.chat

    def replier(attempt: int) -> ChatReplier:
        options = {
            "temperature": chat.temperature,
            "max_tokens": chat.max_tokens,
            "response_format": {"type": "json_object"} if chat.json_object else None,
            "seed": config.seed + attempt - 1 if chat.send_seed else None,
        }
        return ChatReplier(writer, options, concurrency=chat.concurrency)

    return write_questions(
        moments, replier, replies, limits=config.limits, max_tries=config.max_tries, seed=config.seed
    )


def _without_known(
    config: BuildGqaConfig, written: Written, asker: BlindAsker | None, cache: ReplyCache, report: dict[str, Any]
) -> list[tuple[Moment, Question]]:
    """The questions that need the video; what was found is added to `report`, and what goes is written down."""
    if asker is None:
        return written.questions
    questions = [question for _, question in written.questions]
    blind, selection, check = asker.choose(questions, cache)
    report["cost"]["blind"] = cost_report(asker.tally, asker.price_per_million)
    report["blind"] = blind_report(questions, blind, selection, check)
    _write_lines(config.out / DROPPED, [_dropped(written, blind, place) for place in selection.dropped])
    return _chosen(written, selection)


def _chosen(written: Written, selection: Selection) -> list[tuple[Moment, Question]]:
    return [written.questions[place] for place in selection.kept]


def _dropped(written: Written, blind: Sequence[Blind], place: int) -> dict[str, Any]:
    moment, question = written.questions[place]
    return {
        "qid": moment.id,
        "vid": moment.vid,
        **vars(question),
        "right": blind[place].right,
        "of": blind[place].rounds,
    }


def _write_lines(path: Path, rows: Sequence[Any]) -> None:
    write(path, as_lines(rows))


def _nothing(config: BuildGqaConfig, written: Written) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in written.reasons.items())
    return (
        f"none of {len(written.refusals)} replies of `{config.model}` could be used: {reasons}; see "
        f"{config.out / REJECTED}, and try another --model"
    )


def _where(config: BuildGqaConfig, source: _Moments, num_rows: int) -> str:
    reader = READERS.get(config.source.type_name)
    read = f", which dataset `{reader}` reads" if reader else ""
    return f"{num_rows} questions in {config.out / source.list_name}{read}"
