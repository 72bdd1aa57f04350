"""Judges on this machine: a program that reads the prompt and writes its reply, and a model of merv."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from merv.endpoint.cache import hash_of
from merv.endpoint.chat import Prompt
from merv.errors import ConfigError, RunStopped
from merv.evaluation.judge.config import Judge, JudgeConfig
from merv.models.weights import FILE

Load = Callable[[str], Any]
"""From a model's name or folder to a `VideoLM`, such as `merv.load`."""


@JudgeConfig.register_subclass("command")
@dataclass
class CommandJudgeConfig(JudgeConfig):
    """A program: the prompt comes in on its standard input, the reply goes out on its standard output."""

    command: str = ""
    """The program with its arguments, as in a shell but run without one: "llama-cli -m judge.gguf -f /dev/stdin"."""
    concurrency: int = 1
    """Programs at a time."""
    timeout_s: float = 120.0
    """Seconds a reply may take."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        super().__post_init__()
        if self.concurrency < 1 or not self.timeout_s > 0:
            raise ConfigError(
                f"judge concurrency {self.concurrency} must be at least 1 and timeout_s {self.timeout_s:g} above 0"
            )

    def build(self) -> "CommandJudge":
        """The judge.

        Raises:
            ConfigError: there is no such program.
        """
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ConfigError(f"judge command cannot be split into words: {error}; see its quotes") from error
        program = words[0] if words else ""
        if shutil.which(program) is None:
            raise ConfigError(f"judge program `{program}` is not there or cannot be run; set judge.command")
        return CommandJudge(self, words)


class CommandJudge(Judge):
    """Starts the program once a prompt."""

    def __init__(self, config: CommandJudgeConfig, words: Sequence[str]) -> None:
        """Run `words`, the program first."""
        self.config, self.words, self.concurrency = config, list(words), config.concurrency
        self.program = Path(words[0]).name

    def identity(self) -> dict[str, Any]:
        """Hash of the command, whose arguments may hold what nobody should read, with size and time of its files.

        A script that was changed, or weights that were, are another judge.
        """
        files = [_stat(Path(word)) for word in self.words if os.path.isfile(word)]  # is_file raises at a long word
        return {**self._command(), "files": files}

    def describe(self) -> dict[str, Any]:
        """Name of the program and hash of the command."""
        return {**self._command(), "model": self.program}

    def _command(self) -> dict[str, Any]:
        return {"type": "command", "command_sha256": hash_of(self.words)}

    def replies(self, prompts: Sequence[Prompt], stop: Event) -> list[str | None]:
        """What the program writes about each prompt.

        Raises:
            RunStopped: it failed or took too long at every attempt.
        """
        return [self._reply(prompt, stop) for prompt in prompts]

    def _reply(self, prompt: Prompt, stop: Event) -> str | None:
        reason = ""
        for _ in range(self.config.max_attempts):
            if stop.is_set():
                return None
            try:
                done = subprocess.run(
                    self.words,
                    input=prompt.text.encode("utf-8", "replace"),
                    capture_output=True,
                    timeout=self.config.timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                reason = f"no reply within {self.config.timeout_s:g} s"
                continue
            except OSError as error:
                reason = error.strerror or type(error).__name__
                continue
            if done.returncode == 0:
                return done.stdout.decode("utf-8", "replace").strip()
            reason = f"exit status {done.returncode}"
        raise RunStopped(
            f"judge program `{self.program}` does not reply after {self.config.max_attempts} attempts: {reason}"
        )


@JudgeConfig.register_subclass("merv")
@dataclass
class MervJudgeConfig(JudgeConfig):
    """A model of merv, which is asked without a video."""

    model: str = ""
    """Folder of a run or name of a published model."""
    batch_size: int = 8
    """Prompts replied to at a time."""
    max_new_tokens: int = 64
    """Longest reply in tokens."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no sense."""
        super().__post_init__()
        if self.batch_size < 1 or self.max_new_tokens < 1:
            raise ConfigError(
                f"judge batch_size {self.batch_size} and max_new_tokens {self.max_new_tokens} must be at least 1"
            )

    def build(self) -> "MervJudge":
        """The judge; its model is loaded when it is first asked.

        Raises:
            ConfigError: no model is named.
        """
        if not self.model:
            raise ConfigError("the judge is a model of merv and none is named; set judge.model to a run's folder")
        return MervJudge(self)


class MervJudge(Judge):
    """Asks a model, greedily; `load`, which gives it, is handed in by who can load models: see `give_loader`."""

    def __init__(self, config: MervJudgeConfig) -> None:
        """Ask the model `config` names."""
        self.config, self.batch_size = config, config.batch_size
        self.load: Load | None = None
        self._model: Any = None

    def identity(self) -> dict[str, Any]:
        """The model with size and time of its weights' file, since a run may be trained anew in its folder."""
        path = Path(self.config.model) / FILE
        weights = _stat(path) if path.is_file() else None
        return {"model": str(self.config.model), "weights": weights, "type": "merv", **self._options()}

    def describe(self) -> dict[str, Any]:
        """Name and options of the model."""
        return {"type": "merv", "model": self.config.model, **self._options()}

    def replies(self, prompts: Sequence[Prompt], stop: Event) -> list[str | None]:
        """The model's answers.

        Raises:
            ConfigError: nobody handed in how to load it.
        """
        if self._model is None:
            if self.load is None:
                raise ConfigError(f"judge model `{self.config.model}` cannot be loaded here; use merv eval")
            self._model = self.load(self.config.model)
        texts = [prompt.text for prompt in prompts]
        replies: list[str | None] = self._model.generate(prompt=texts, batch_size=self.batch_size, **self._options())
        return replies

    def _options(self) -> dict[str, Any]:
        return {"max_new_tokens": self.config.max_new_tokens}


def _stat(path: Path) -> list[int]:
    """Size in bytes and time of the last change in ns."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def give_loader(task: object, load: Load) -> None:
    """Let a task's judge load a model, if it is one of merv."""
    judge = getattr(task, "judge", None)
    if isinstance(judge, MervJudge):
        judge.load = load
