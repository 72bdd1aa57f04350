"""Ask a run one question: `merv ask --model runs/<run_id> --video a.mp4 --question "What happens?"`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from merv.agent.chain import ChainConfig, chosen_paths
from merv.agent.roles import read_roles
from merv.conf.options import words_apart
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError, SampleError
from merv.evaluation.tasks.protocols import ask_merv
from merv.models.answering import answer_all, answer_in_pieces
from merv.models.base import VideoLM
from merv.runs.load import load, paths_of
from merv.video.media import MediaRef, Span


@dataclass
class AskConfig:
    """One question: `merv ask RUN VIDEO "What happens?"`, or about no video: `merv ask RUN "Why is the sky blue?"`."""

    model: Path
    """Folder of a finished run, such as runs/<run_id>, or a published model, such as merv-full."""
    video: Path | None = None
    """Video file, animated GIF or folder of frames; None asks about an image or about nothing."""
    image: Path | None = None
    """Still image, in place of a video."""
    question: str = ""
    """What to ask."""
    options: list[str] = field(default_factory=list)
    """Texts of which one is the answer, such as ring,cross,square, with or without letters; empty leaves it free."""
    start: float | None = None
    """Second of the video to begin at; None means its beginning."""
    end: float | None = None
    """Second of the video to end at; None means its end."""
    max_new_tokens: int = 256
    """Longest answer in tokens; with an agent, that of the answerer."""
    agent: list[str] = field(default_factory=list)
    """Roles that answer together: planner,grounder,verifier,answerer, or some of them; `mupa` for MUPA's paths.
    Empty asks the model itself."""
    chain: ChainConfig = field(default_factory=ChainConfig)
    """Options of the agent."""
    timeline: Path | None = None
    """Where an agent draws what it found, a PNG; the record goes beside it as JSON.  None means
    <name of the video>-timeline.png in this folder."""

    adapter: Path | None = None
    """Folder of an adapter for a model of transformers, put onto `model`; None asks the model as it is."""
    model_options: dict[str, Any] = field(default_factory=dict)
    """Fields of the model's config in place of what the run says: `--model_options.num_frames 8`."""
    llm_path: Path | None = None
    """Local folder with the LLM's files, in place of the hub's; None means what the run says."""
    video_backbone_paths: dict[str, Path] = field(default_factory=dict)
    """Local folders of encoders' weights by name or its beginning: `--dinov2_path DIR` is short for it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if not self.question.strip():
            raise ConfigError('question is empty; ask one: --question "What happens?"')
        if self.video is not None and self.image is not None:
            raise ConfigError("video and image are both set; a question is about one of them")
        start, end = self.start or 0.0, float("inf") if self.end is None else self.end
        if not 0 <= start <= end:
            raise ConfigError(f"start {start:g} s and end {end:g} s: expected 0 <= start <= end")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        self.options = _without_letters(self.options)
        if len(self.options) == 1:
            raise ConfigError("options has one text; give at least two, with commas between: --options ring,cross")
        chosen_paths(self.agent, read_roles(self.agent), self.chain)
        if self.agent and self.video is None:
            raise ConfigError("agent: an agent looks for moments of a video; name one: merv ask RUN VIDEO QUESTION")
        if self.timeline is not None and not self.agent:
            raise ConfigError("timeline: only an agent finds moments to draw; name its roles: --agent mupa")

    def sample(self) -> Sample:
        """The question as a sample."""
        media: tuple[MediaRef, ...] = ()
        if self.image is not None:
            media = (MediaRef(self.image, "image"),)
        elif self.video is not None:
            whole = self.start is None and self.end is None
            span = None if whole else Span(self.start or 0.0, float("inf") if self.end is None else self.end)
            media = (MediaRef(self.video, "video", span),)
        text = ask_merv(self.question, self.options, "") if self.options else self.question
        meta = {"question": self.question, **({"options": self.options} if self.options else {})}
        return Sample("question", (Turn("user", text),), media, meta=meta)


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line with run, video and question, which may stand without their names, as options.

    Raises:
        ConfigError: more words than there is room for.
    """
    words, options = words_apart(args)
    given = {option.partition("=")[0] for option in options if option.startswith("--")}
    free = [name for name in ("model", "video", "question") if f"--{name}" not in given]
    if "--image" in given:
        free = [name for name in free if name != "video"]
    if len(words) > len(free):
        raise ConfigError(f'`{words[len(free)]}` is one word too many; quote the question: merv ask RUN VIDEO "What?"')
    if free[-2:] == ["video", "question"] and len(words) == len(free) - 1 and not _is_path(words[-1]):
        free.remove("video")  # a question about nothing
    return [f"--{name}={word}" for name, word in zip(free, words, strict=False)] + options


def _without_letters(options: Sequence[str]) -> list[str]:
    """`(A) ring` and so on without the letters, if all have the right one."""
    marks = [f"({chr(ord('A') + number)}) " for number in range(len(options))]
    if all(option.startswith(mark) for option, mark in zip(options, marks, strict=True)):
        return [option[len(mark) :] for option, mark in zip(options, marks, strict=True)]
    return list(options)


def _is_path(word: str) -> bool:
    """Whether a word is meant as a file or folder: it exists, or looks like `clip.mp4`."""
    return " " not in word and bool(Path(word).suffix or Path(word).exists())


def run(config: AskConfig, write: Callable[[str], object]) -> int:
    """Load the model and hand its answer to `write`, piece by piece; gives the exit status.

    Raises:
        MervError: something the user can mend, in one line.
    """
    sample = config.sample()
    for ref in sample.media:
        if not ref.path.exists():  # said before a large model is loaded
            raise SampleError(f"{ref.kind} `{ref.path}` does not exist; check the path")
    model = load(config.model, **paths_of(config))
    if config.agent:
        from merv.runs.ask_agent import ask_agent

        return ask_agent(config, model, sample, write)
    from merv.runs.ask_role import adds_to_words, ask_role

    if adds_to_words(model):
        return ask_role(config, model, sample, write)  # type: ignore[arg-type]
    for piece in answer_in_pieces(model, sample, max_new_tokens=config.max_new_tokens, do_sample=False):
        write(piece)
    write("\n")
    return 0


def answer(model: VideoLM, sample: Sample, *, max_new_tokens: int = 256) -> str:
    """The model's answer to one sample.

    Raises:
        SampleError: the video or image cannot be used.
    """
    return answer_all(model.eval(), [sample], max_new_tokens=max_new_tokens, do_sample=False)[0]
