"""One row of a dataset as a picture: the frames a model would see, the prompt, what is to be answered, and when."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import merv.conf.models
import merv.conf.roles
import merv.conf.vlm  # noqa: F401 - these register named models
from merv import runtime
from merv.chat import MEDIA
from merv.conf.parse import run_main
from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.sample import IGNORE_INDEX, Example, Sample
from merv.errors import ConfigError, SampleError
from merv.models.base import ModelConfig, Processor
from merv.models.hf_vlm.config import HfVlmConfig
from merv.models.seen import as_they_are
from merv.models.stage import StageName
from merv.runs.contact_sheet import Sheet, draw_sheet
from merv.runs.words import dataset_named

USAGE = "merv data show NAME --index 3 [--model.type merv-tiny] [--out show.png] [--dataset.* options of NAME]"
PARTS = ("llm", "video_backbones", "projectors", "fusion")
"""Parts of a model that looking at a row needs none of."""
_REPEATED = re.compile(r"(<[^<>\s]{1,40}>)\1+")


@dataclass
class DataShowConfig:
    """Draw a row of a dataset: `merv data show NAME --index 3`, with --model.type as that model is shown it."""

    dataset: DatasetConfig = field(default_factory=lambda: DatasetConfig.new("videollava"))
    """Whose row; NAME is its type, `merv list datasets`."""
    index: int = 0
    """Which sample, from 0; negative ones count from the end."""
    id: str | None = None
    """The sample of this id, in place of an index."""
    stage: StageName = "finetune"
    """Whose rows, of datasets that have others for each stage."""
    model: ModelConfig | None = None
    """A model, whose frames and tokens are shown; None shows frames in the size of the file, and plain words."""
    num_frames: int = 8
    """Frames of a video where no model says how many."""
    out: Path | None = None
    """The picture; None means show-NAME-INDEX.png."""
    plugins: list[str] = field(default_factory=list)
    """Packages that register datasets or models of their own."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            ConfigError: no frame is asked for, or the picture is no PNG.
        """
        if self.num_frames < 1:
            raise ConfigError(f"num_frames is {self.num_frames}; give at least 1")
        if self.out is not None and self.out.suffix.lower() != ".png":
            raise ConfigError(f"out is {self.out}; the picture is a PNG, name it {self.out.with_suffix('.png').name}")


def main(args: Sequence[str], write: Callable[[str], None]) -> int:
    """Show what the words say; gives the exit status."""
    words = dataset_named(args, "show", USAGE)
    return run_main(lambda config: show(config, write), DataShowConfig, words, prog="merv data show")


def show(config: DataShowConfig, write: Callable[[str], None]) -> int:
    """Draw the row and tell what it says; gives the exit status.

    Raises:
        ConfigError: there is no such row, or the dataset or the model's tokenizer is not to be had.
        SampleError: the row cannot be shown to the model; says why.
    """
    runtime.setup_logging(logging.WARNING)
    config.dataset.make()
    source = config.dataset.load(config.stage)
    index = _index_of(config, source)
    sample = source[index]
    dataset, row = source.origin(index)
    sheet = _sheet(config, sample, f"{dataset} row {row}, sample {index} of {len(source)}, id {sample.id}")
    out = config.out or Path(f"show-{config.dataset.name}-{index}.png")
    draw_sheet(sheet, out)
    write(f"{sheet.title}\n")
    write("".join(f"  {ref.kind} {ref.where}\n" for ref in sample.media))
    write("".join(f"{name}: {text}\n" for name, text in sheet.texts) + f"drawn: {out}\n")
    return 0


def _index_of(config: DataShowConfig, source: Source) -> int:
    if config.id is not None:
        found = next((index for index, sample in enumerate(source) if sample.id == config.id), None)
        bad = next((row for row in source.bad_rows if row.id == config.id), None)
        if bad is not None and found is None:
            raise ConfigError(f"{bad}; there is nothing to show of it")
        if found is None:
            raise ConfigError(f"dataset `{config.dataset.name}` has no sample with the id `{config.id}`")
        return found
    if not -len(source) <= config.index < len(source):
        raise ConfigError(
            f"index {config.index}: dataset `{config.dataset.name}` has {len(source)} samples, 0 to {len(source) - 1}"
        )
    return config.index % len(source)


def _sheet(config: DataShowConfig, sample: Sample, title: str) -> Sheet:
    """What is drawn: frames and words as the model gets them, or plain ones."""
    windows = [(float(start), float(end)) for start, end in sample.meta.get("windows", ())]
    if not windows and sample.span is not None:
        windows = [(sample.span.start, sample.span.end)]
    duration = sample.meta.get("duration")
    if config.model is None:
        spoken = [(str(turn.role), turn.text.replace(MEDIA, "[shown here] ")) for turn in sample.turns]
        return Sheet(title, as_they_are(sample, config.num_frames), spoken, windows, duration)
    processor = processor_of(config.model)
    try:
        example = processor.prepare(sample)
    except SampleError as error:
        raise SampleError(f"{title}: {error}") from error
    texts = [*_words(processor, example), *(_moments(example))]
    name = f"{title}, for {config.model.type_name}"
    return Sheet(name, processor.seen(sample), texts, windows, duration)


def processor_of(config: ModelConfig) -> Processor:
    """What turns samples into a model's inputs; where a family can, its weights are not loaded for it.

    Raises:
        ConfigError: files of it are not to be had.
    """
    if isinstance(config, HfVlmConfig):
        return config.processor(config.folder(weights=False))
    return config.build(without=PARTS).processor


def _words(processor: Processor, example: Example) -> list[tuple[str, str]]:
    """The tokens the model reads as text, and those of them it learns."""
    ids, learned = example.input_ids.tolist(), (example.labels != IGNORE_INDEX).tolist()
    answer = _decoded(processor, [token for token, yes in zip(ids, learned, strict=True) if yes])
    first = learned.index(True) if True in learned else len(ids)
    name, read = ("prompt", ids[:first]) if _is_one_stretch(learned) else ("tokens", ids)
    return [
        (name, _decoded(processor, read)),
        ("target", answer or "nothing to learn from"),
        ("length", f"{len(ids)} tokens, {sum(learned)} of them learned"),
    ]


def _is_one_stretch(learned: Sequence[bool]) -> bool:
    return sum(now and not before for before, now in zip([False, *learned], learned, strict=False)) <= 1


def _decoded(processor: Processor, ids: Sequence[int]) -> str:
    text = processor.tokenizer.decode(list(ids), skip_special_tokens=False)  # type: ignore[attr-defined]
    return _REPEATED.sub(lambda found: f"{found[1]} x {len(found[0]) // len(found[1])}", text)


def _moments(example: Example) -> list[tuple[str, str]]:
    """What a grounding head is to find, as parts of what is shown."""
    if example.moments is None:
        return []
    spans = ", ".join(f"{start:.3f} - {end:.3f}" for start, end in example.moments.spans.tolist())
    return [("moments", f"{spans} of what is shown")]
