"""Have a question written about each moment, asking again where a reply cannot be used."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from merv.data.build.moments import Moment
from merv.data.build.placing import in_turns
from merv.data.build.prompts import writing_prompt
from merv.data.build.validate import Limits, Question, Rejected, normalised, read_question
from merv.endpoint.kept import KeptReplies, Replier

log = logging.getLogger(__name__)

REPEATED = "asked before about this video"


@dataclass(frozen=True)
class Refusal:
    """A reply that was not used."""

    id: str
    """The moment's."""
    attempt: int
    """Counted from 1."""
    reason: str
    reply: str


@dataclass
class Written:
    """What the writer wrote, in the order of the moments."""

    num_moments: int
    questions: list[tuple[Moment, Question]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """Refused replies by reason, most frequent first."""
        return dict(Counter(refusal.reason for refusal in self.refusals).most_common())


def write_questions(
    moments: Sequence[Moment],
    replier: Callable[[int], Replier],
    kept: KeptReplies,
    *,
    limits: Limits,
    max_tries: int,
    seed: int,
) -> Written:
    """A question about each moment for which one of `max_tries` replies can be used.

    Args:
        moments: what to ask about.
        replier: gives the writer for an attempt, counted from 1; another attempt is another draw.
        kept: the replies there are, and those to come.
        limits: what a question has to keep to; the number of its options is drawn within them.
        max_tries: replies a moment.
        seed: decides how many options each question is to have.

    Raises:
        RunStopped: the writer cannot be reached; what it wrote is kept.
        ConfigError: it refuses to reply.
    """
    sizes = in_turns(range(limits.least, limits.most + 1), len(moments), f"{seed}/size")
    found: dict[int, Question] = {}
    refused: dict[int, list[Refusal]] = {place: [] for place in range(len(moments))}
    for attempt in range(1, max_tries + 1):
        todo = [place for place in refused if place not in found]
        if not todo:
            break
        log.info("attempt %d of %d: a question about each of %d moments", attempt, max_tries, len(todo))
        reasons = {place: refused[place][-1].reason if refused[place] else "" for place in todo}
        prompts = {place: writing_prompt(moments[place], sizes[place], reasons[place]) for place in todo}
        for place, reply in kept.ask(replier(attempt), prompts).items():
            text = "" if reply is None else reply.text
            try:
                found[place] = read_question(text, limits)
            except Rejected as reason:
                refused[place].append(Refusal(moments[place].id, attempt, str(reason), text))
    refusals = [refusal for place in refused for refusal in refused[place]]
    return _once_a_video(moments, found, Written(len(moments), refusals=refusals))


def _once_a_video(moments: Sequence[Moment], found: dict[int, Question], written: Written) -> Written:
    """Leave out what was asked about the same video before; grounding sets have rows that say the same."""
    asked: set[tuple[str, str]] = set()
    for place in sorted(found):
        moment, question = moments[place], found[place]
        key = moment.vid, normalised(question.question)
        if key in asked:
            written.refusals.append(Refusal(moment.id, 0, REPEATED, question.question))
            continue
        asked.add(key)
        written.questions.append((moment, question))
    return written
