"""A tokenizer's own chat template, read off into a `PromptTemplate`: what it puts around the messages.

Chat templates are programs (Jinja), and some write a turn differently once it is history, so that a prompt would not
be the beginning of its training row.  Here the program runs a few times on marked messages, and the text between the
marks becomes data; the program itself is not needed after that.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from merv.backbones.llm.prompts import PromptTemplate
from merv.errors import ConfigError

SYSTEM, ASKED, ANSWERED, AGAIN, LAST = "MARKsystem", "MARKasked", "MARKanswered", "MARKagain", "MARKlast"


def follow_chat_template(tokenizer: Any) -> PromptTemplate:
    """The template that writes what the tokenizer's chat template writes.

    Raises:
        ConfigError: it loses or reorders messages.
    """
    opening = _text(tokenizer, [ASKED]).partition(ASKED)[0]
    asked, again = _between(tokenizer, [ASKED, ANSWERED, AGAIN, LAST], ASKED, ANSWERED, AGAIN)
    prompt_end = _text(tokenizer, [ASKED]).partition(ASKED)[2]
    spaces = tokenizer.tokenize("a")[0].startswith("▁")
    end, later = _split_end(tokenizer, again)
    template: dict[str, Any] = {"after_user": prompt_end, "end": end}
    template["before_answer"] = asked.removeprefix(prompt_end) if asked.startswith(prompt_end) else ""
    if spaces:  # the tokenizer puts one before every text itself
        template["before_answer"] = template["before_answer"].removeprefix(" ")
    before_user = _common_end(opening, later)
    template |= {"before_user": before_user, "between": later.removesuffix(before_user)}
    return PromptTemplate(**template, **_system(tokenizer, opening, before_user))


def _system(tokenizer: Any, opening: str, before_user: str) -> dict[str, Any]:
    """Where the system message goes, and which one stands there by default."""
    default = opening.removesuffix(before_user)
    text = _render(tokenizer, [SYSTEM, ASKED], first="system")
    if text is None or SYSTEM not in text:  # no place for one
        return {"system": default}
    before, _, rest = text.partition(SYSTEM)
    after = rest.partition(ASKED)[0]
    if before_user and before.startswith(before_user) and not after.endswith(before_user):
        return {"system_in_question": True, "before_system": before.removeprefix(before_user), "after_system": after}
    after = after.removesuffix(before_user)
    has_default = default.startswith(before) and default.endswith(after)
    own = default.removeprefix(before).removesuffix(after) if has_default else ""
    return {"system": own, "before_system": before, "after_system": after}


def _split_end(tokenizer: Any, text: str) -> tuple[str | None, str]:
    """The special token that ends an answer, if there is one, and the text from there to the next question."""
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    found = [(text.find(token), -len(token), token) for token in special if token in text]
    if not found:
        return None, text
    place, _, end = min(found)
    return end, text[place + len(end) :]


def _common_end(one: str, other: str) -> str:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))[::-1]


def _between(tokenizer: Any, messages: Sequence[str], *marks: str) -> list[str]:
    """The texts between the marks that follow one another in a whole conversation."""
    text = _text(tokenizer, messages, prompt=False)
    places = [text.find(mark) for mark in marks]
    if -1 in places or places != sorted(places):
        raise ConfigError("the tokenizer's chat template loses or reorders messages; set template, such as pure")
    pairs = zip(marks, places, places[1:], strict=False)
    return [text[place + len(mark) : following] for mark, place, following in pairs]


def _text(tokenizer: Any, messages: Sequence[str], *, prompt: bool = True) -> str:
    text = _render(tokenizer, messages, prompt=prompt)
    if text is None or messages[0] not in text:
        raise ConfigError("the tokenizer's chat template refuses a plain question; set template, such as pure")
    return text


def _render(tokenizer: Any, messages: Sequence[str], *, first: str = "user", prompt: bool = True) -> str | None:
    """What the chat template makes of the messages, without BOS; None where it refuses them."""
    from jinja2 import TemplateError

    roles = ["user", "assistant"] * len(messages)
    roles = ["system", *roles] if first == "system" else roles
    turns = [{"role": role, "content": text} for role, text in zip(roles, messages, strict=False)]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt)
    except TemplateError:
        return None
    return text.removeprefix(tokenizer.bos_token or "")
