"""What an answer is worth: the contract of rewards, which may be written anywhere, and the sum of several.

A reward is a function, or a class made without arguments, of one of two forms:

    def words(completions, references, **columns) -> list[float | None]      as ms-swift and TRL call them
    def words(responses, references) -> list[float | None]                   two lists, whatever their names

It gives a number for each completion, or None where it does not apply, and may be `async`.
https://github.com/modelscope/ms-swift, https://huggingface.co/docs/trl/grpo_trainer
"""

import asyncio
import inspect
import math
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from merv.data.sample import Sample
from merv.errors import ConfigError, RunStopped
from merv.registry import did_you_mean
from merv.rl.answers import OWN_COLUMNS, Answers

_LARGEST = torch.finfo(torch.float32).max
_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Reward:
    """One reward under the name it is logged by."""

    name: str
    function: Callable[..., Any]
    columns: tuple[str, ...] | None
    """Columns it names; None when it takes whatever there is.  `("",)` means the two lists."""
    required: tuple[str, ...] = ()
    """Those of the columns it cannot do without."""

    def check(self, samples: Iterable[Sample]) -> None:
        """Refuse a column that a row does not have, before anything is built.

        Raises:
            ConfigError: there is such a row.
        """
        needed = [name for name in self.required if name not in OWN_COLUMNS]
        for sample in samples if needed else ():
            for name in needed:
                if name not in sample.meta:
                    raise self._lacks(name, [*OWN_COLUMNS, *sample.meta], f"row `{sample.id}` does not have")

    def _lacks(self, name: str, known: Iterable[str], who: str) -> ConfigError:
        there = did_you_mean(name, known).replace("registered:", "there are")
        return ConfigError(f"reward `{self.name}` asks for `{name}`, which {who}; {there}")

    def __call__(self, answers: Answers) -> Any:
        """Its values for the answers, or something to await.

        Raises:
            ConfigError: it asks for a column there is none of.
        """
        known = answers.columns()
        if self.columns == ("",):
            return self.function(known["completions"], known["references"])
        missing = [name for name in self.required if name not in known]
        if missing:
            raise self._lacks(missing[0], known, "not all rows have")
        wanted = known if self.columns is None else [name for name in self.columns if name in known]
        return self.function(**{name: known[name] for name in wanted})


def as_reward(made: Any, name: str) -> Reward:
    """A reward out of a function, a class, or an object that can be called.

    Raises:
        ConfigError: it cannot be called, its class needs arguments, or it has neither of the two forms.
    """
    if inspect.isclass(made):
        try:
            made = made()
        except Exception as error:
            raise ConfigError(
                f"reward `{name}`: its class cannot be made without arguments: {_line(error)}"
            ) from error
    if not callable(made):
        raise ConfigError(f"reward `{name}` is {type(made).__name__}; expected a function or a class with __call__")
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"reward `{name}` does not say what it takes: {error}; wrap it in a function") from error
    parameters = signature.parameters.values()
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind in (*_PLACED, inspect.Parameter.KEYWORD_ONLY)]
    required = tuple(p.name for p in named if p.default is p.empty)
    by_name = any(p.name == "completions" and p.kind is not p.POSITIONAL_ONLY for p in named)
    if by_name or (takes_all and not required):
        return Reward(name, made, None if takes_all else tuple(p.name for p in named), required)
    if _takes_two_lists(named):
        return Reward(name, made, ("",))
    raise ConfigError(
        f"reward `{name}` takes {signature}; expected (completions, **columns) or (responses, references)"
    )


def _takes_two_lists(named: Sequence[inspect.Parameter]) -> bool:
    """Whether two places are enough; the second may have a default if it is called references."""
    if len(named) < 2 or any(p.kind not in _PLACED for p in named[:2]):
        return False
    needs = [p.default is p.empty for p in named]
    return needs[0] and (needs[1] or named[1].name == "references") and not any(needs[2:])


def score_all(rewards: Sequence[Reward], answers: Answers) -> Tensor:
    """What each reward gives each completion, NaN where it does not apply.  -> (N, R) float32; R rewards.

    Those that are `async` run at the same time.

    Raises:
        ConfigError: a reward asks for a column there is none of.
        RunStopped: a reward raised, gave another number of values, or one that is no finite number.
    """
    values: list[Any] = []
    try:
        for reward in rewards:
            values.append(_called(reward, answers))
    except Exception:
        for value in filter(inspect.iscoroutine, values):  # nobody is going to await it
            value.close()
        raise
    waiting = [place for place, value in enumerate(values) if inspect.isawaitable(value)]
    if waiting:
        found = _loop_thread().submit(_loop().run, _gather([values[place] for place in waiting])).result()
        for place, value in zip(waiting, found, strict=True):
            if isinstance(value, BaseException):
                raise _raised(rewards[place], answers, value) from value
            values[place] = value
    columns = [_checked(reward, value, answers) for reward, value in zip(rewards, values, strict=True)]
    return torch.tensor(columns, dtype=torch.float32).T.reshape(len(answers.completions), len(rewards))


def total(scores: Tensor, weights: Sequence[float]) -> Tensor:
    """The sum of the rewards by weight, of each completion over those that apply; NaN where none does.

    (N, R) -> (N,).
    """
    applies = ~scores.isnan()
    sums = torch.where(applies, scores * scores.new_tensor(list(weights)), 0.0).sum(1)
    return torch.where(applies.any(1), sums, torch.nan)


def _called(reward: Reward, answers: Answers) -> Any:
    try:
        return reward(answers)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # whatever another's code does, the line is to name it
        raise _raised(reward, answers, error) from error


@cache
def _loop_thread() -> ThreadPoolExecutor:
    """Where rewards are awaited: the caller's thread may have an event loop of its own."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="merv-rewards")


@cache
def _loop() -> asyncio.Runner:
    """One event loop for the whole run: a reward may keep a client or a lock from one step to the next."""
    return asyncio.Runner()


async def _gather(values: Sequence[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*values, return_exceptions=True)


def _checked(reward: Reward, values: Any, answers: Answers) -> list[float]:
    """A number for each completion, NaN for None."""
    count, kind = len(answers.completions), type(values).__name__
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, list | tuple):
        raise RunStopped(f"reward `{reward.name}` gave {kind}; expected a list with a number for each completion")
    if len(values) != count:
        raise RunStopped(
            f"reward `{reward.name}` gave {len(values)} values for {count} completions; "
            "give one for each, None where it does not apply"
        )
    return [_number(reward, value, name) for value, name in zip(values, answers.ids, strict=True)]


def _number(reward: Reward, value: Any, name: str) -> float:
    if value is None:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= _LARGEST or isinstance(value, str):
        raise RunStopped(
            f"reward `{reward.name}` is {value!r:.60} for an answer to sample `{name}`; "
            "give a finite number, or None where it does not apply"
        )
    return number


def _raised(reward: Reward, answers: Answers, error: BaseException) -> RunStopped:
    ids = list(dict.fromkeys(answers.ids))
    named = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    return RunStopped(f"reward `{reward.name}` raised {_line(error)}; it was scoring answers to {named}")


def _line(error: BaseException) -> str:
    """The error in one line, with the place it came from."""
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    frames = traceback.extract_tb(error.__traceback__)
    return f"{said} ({frames[-1].filename}:{frames[-1].lineno})" if frames else said
