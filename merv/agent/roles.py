"""The roles an agent asks, and the contract of a model that plays them."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.models.reply import Reply
from merv.registry import did_you_mean

ROLES = ("planner", "grounder", "verifier", "answerer", "gqa")
"""In the order they are asked; `gqa` finds the moment and chooses an option in one reply."""
MUPA = "mupa"
"""Short for the roles of MUPA's paths."""
MUPA_ROLES = ("grounder", "verifier", "answerer", "gqa")

Asked = tuple[str, Sample]
"""A role and what it is asked about."""


class RoleModel(Protocol):
    """A model that plays roles.  Roles write their own prompts from a sample's `meta`; the answerer gets its turns."""

    @property
    def roles(self) -> Sequence[str]:
        """Those it was trained for; the answerer is always there, if need be as the model without adapters."""

    def ask(self, asked: Sequence[Asked], **options: Any) -> Sequence[Reply | SampleError]:
        """Replies in order, with what makes a sample unusable in its place; one call may ask several roles.

        `meta` of what is asked holds `duration` (seconds of the video) and, for the planner, `question`; for the
        grounder, `query`; for the verifier, `query` and `candidate` (start and end in seconds); for gqa, `question`
        and `options`.  A grounder's reply has spans in seconds of the video, best first, or None when it found none;
        a verifier's has a score 0..1.

        Args:
            asked: roles and what they are asked.
            options: those of transformers' generate.
        """


def read_roles(words: Sequence[str]) -> tuple[str, ...]:
    """The roles that `--agent` names, in the order they are asked, each once.

    Raises:
        ConfigError: there is no such role, or one of them has nothing to work on.
    """
    named: set[str] = set()
    for word in words:
        if word not in (*ROLES, MUPA):
            hint = did_you_mean(word, [*ROLES, MUPA]).replace("registered:", "roles:")
            raise ConfigError(f"agent: unknown role `{word}`; {hint}")
        named |= set(MUPA_ROLES) if word == MUPA else {word}
    for role, finders in (("planner", {"grounder"}), ("verifier", {"grounder", "gqa"})):
        if role in named and not named & finders:
            raise ConfigError(f"agent: a {role} has nothing to work on without a grounder; add grounder")
    return tuple(role for role in ROLES if role in named)


def as_role_model(model: Any, roles: Sequence[str], name: str) -> RoleModel:
    """The model, if it plays the roles; `name` is what messages call it.

    Raises:
        ConfigError: it does not.
    """
    there = getattr(model, "roles", None)
    if there is None:
        raise ConfigError(f"agent: {name} plays no roles; name a model trained for them, or leave --agent out")
    missing = [role for role in roles if role not in (*there, "answerer")]
    if missing:
        has = ", ".join(role for role in ROLES if role in there) or "none but the answerer"
        raise ConfigError(f"agent: {name} has no {' and no '.join(missing)}; its roles: {has}")
    return cast(RoleModel, model)
