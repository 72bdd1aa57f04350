"""The contract every model family fulfils, so that one loop, every strategy and every task can serve it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from draccus import ChoiceRegistry
from torch import Tensor, nn

from merv.backbones.llm.base import LLM
from merv.data.sample import Batch, Example, Sample
from merv.errors import ConfigError, SampleError
from merv.models.answering import Media, answer_all, answer_in_pieces, samples_of
from merv.models.lora import add_lora, merge_lora, silenced
from merv.models.prompted import Prompts
from merv.models.reply import Reply
from merv.models.seen import Seen, as_they_are
from merv.models.stage import TRAINED_PARTS, LoraConfig, StageConfig, StageName
from merv.registry import Registry
from merv.video.media import MediaKind


class Output(NamedTuple):
    """What a forward pass gives the loop; a tuple, so that FSDP's hooks find the tensors in it."""

    loss_sum: Tensor
    """() cross-entropy summed over target tokens; the strategy divides by the step's global token count."""
    num_tokens: Tensor
    """() int64, target tokens behind `loss_sum`."""
    row_loss_sum: Tensor | None = None
    """() what a head is to learn, summed over the rows that say so (`Batch.num_target_rows`); None without a head."""
    logged: dict[str, Tensor] | None = None
    """Sums over the target tokens that are worth a look beside the loss, () each; the loop logs their means."""


@dataclass
class ModelConfig(Registry, ChoiceRegistry, kind="model"):
    """Options every model family has: its name, its stages, its precision."""

    model_id: str = ""
    """Name of this model; `finetune` looks for the align run that carries it.  Empty means its type."""
    align: StageConfig = field(default_factory=StageConfig)
    """Projectors and fusion learn; encoders and LLM are frozen."""
    full_align: StageConfig = field(default_factory=StageConfig)
    """As align, and the LLM learns too."""
    finetune: StageConfig = field(default_factory=StageConfig)
    """Projectors, fusion and LLM learn; encoders are frozen."""
    full_finetune: StageConfig = field(default_factory=StageConfig)
    """Everything learns."""
    enable_gradient_checkpointing: bool = True
    """Recompute blocks in the backward pass instead of keeping their activations."""
    enable_mixed_precision_training: bool = True
    """Compute in bfloat16 where the device has it; parameters and optimiser stay float32."""
    reduce_in_full_precision: bool = False
    """Sum gradients over processes in float32 even when computing in bfloat16."""
    compile_blocks: bool = False
    """Compile each repeated block with torch.compile; the first steps are slow, the later ones faster."""
    init: Literal["pretrained", "random"] = "pretrained"
    """pretrained loads published weights; random draws all of them, at full size: to measure speed and memory."""

    def stage(self, name: StageName) -> StageConfig:
        """The config of the stage called `name`."""
        return getattr(self, name.replace("-", "_"))

    def fetch(self) -> None:
        """Bring published weights to this disk before anything is built.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """

    def missing_weights(self) -> list[str]:
        """A line for each part whose published weights are not on this disk; nothing is fetched."""
        return []

    def build(self, *, seed: int = 0, without: Collection[str] = ()) -> "VideoLM":
        """Make the model with its pretrained parts; new parts are drawn from `seed`.

        Args:
            seed: of the weights that are new.
            without: parts to lay out without memory: their weights come from elsewhere, see `merv.models.weights`.
        """
        raise TypeError(f"{type(self).__name__} does not define build()")

    def build_late(self, *, seed: int = 0) -> "VideoLM | None":
        """The model without memory for its weights, which another process hands out; None where a family cannot."""
        return None


class Processor(ABC):
    """Turns samples into what the model eats.  Picklable: it travels to the loader's workers."""

    @abstractmethod
    def prepare(self, sample: Sample, *, answer: bool = True) -> Example:
        """Decode and tokenise one sample; with `answer=False` the prompt ends where the model is to speak.

        Raises:
            SampleError: the row or its media cannot be used; the message says why.
        """

    def prepare_all(self, samples: Sequence[Sample], *, answer: bool = True) -> list[Example | SampleError]:
        """Prepare several samples; what makes one unusable stands in its place.

        Families that can decode a clip once for all samples that show it do so.
        """
        return [self._tried(sample, answer) for sample in samples]

    def _tried(self, sample: Sample, answer: bool) -> Example | SampleError:
        try:
            return self.prepare(sample, answer=answer)
        except SampleError as error:
            return error

    @abstractmethod
    def collate(self, examples: Sequence[Example], *, indices: Sequence[int] = (), pad: str = "right") -> Batch:
        """Join examples; `pad="left"` for generation."""

    def expect(self, kinds: Collection[MediaKind]) -> None:  # noqa: B027 - most families show all kinds alike
        """Hear which kinds of media the rows of the data hold, before anything is prepared."""

    def seen(self, sample: Sample) -> list[Seen]:
        """The frames the model is shown of a sample, before they are normalised or cut into patches.

        Raises:
            SampleError: its media cannot be used.
        """
        return as_they_are(sample)

    def length(self, sample: Sample) -> int:
        """Rough number of text tokens, without opening anything; samplers group by it."""
        return sum(len(turn.text.split()) for turn in sample.turns)


class VideoLM(nn.Module, ABC):
    """A video-language model: single-device code; strategies shard it by `blocks()`, stages freeze its `parts()`."""

    processor: Processor
    config: ModelConfig
    adapters_stay: ClassVar[bool] = False
    """Whether loaded adapters stay beside the weights they sit on instead of becoming part of them."""
    adapted_parts: ClassVar[tuple[str, ...]] = ("llm",)
    """Parts that adapters may be put into, of those a stage trains."""
    row_loss_name: ClassVar[str] = "head_loss"
    """What `Output.row_loss_sum` is called in metrics."""
    some_rest: ClassVar[bool] = False
    """Whether there may be parameters that learn and get no gradient, such as layers of a tower nobody asks."""
    base_changed: bool = False
    """Whether the LLM's own weights came from an earlier run."""

    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Named parts: what a stage may freeze and a checkpoint saves."""

    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """Repeated layers: what FSDP shards and activation checkpointing wraps."""

    @abstractmethod
    def forward(self, batch: Batch) -> Output:
        """Loss of a batch.  The same operations run whatever mix of videos, images and text the batch holds."""

    @abstractmethod
    def respond(self, batch: Batch, **options: Any) -> list[str]:
        """Answers to left-padded prompts, one string a row; `options` are those of transformers' generate."""

    def reply(self, batch: Batch, **options: Any) -> list[Reply]:
        """The same with what a head or a probability adds to the words; only the words, where a family has no more."""
        return [Reply(text) for text in self.respond(batch, **options)]

    def stream(self, batch: Batch, **options: Any) -> Iterator[str]:
        """The answer to a batch of one prompt, piece by piece; whole, where a family has no better way."""
        yield self.respond(batch, **options)[0]

    @property
    def language(self) -> LLM:
        """The language model, driven by embeddings: for those who sample answers and weigh every word of them."""
        return self.parts()["llm"]  # type: ignore[return-value]  # families whose part is another say so

    def prompts(self, batch: Batch) -> Prompts:
        """Left-padded prompts as the language model takes them; every clip is encoded once.

        Raises:
            ConfigError: this family cannot be driven by embeddings.
        """
        raise ConfigError(f"models of type {self.config.type_name} cannot give their prompts as embeddings")

    def talking(self, prompts: Prompts) -> AbstractContextManager[None]:
        """Within it the language model answers as each row's role does."""
        return nullcontext()

    def without_adapters(self) -> AbstractContextManager[None]:
        """Within it adapters have no effect: the model is what it was before they learnt."""
        return silenced(self)

    def generate(
        self,
        video: Media | Sequence[Media] = None,
        prompt: str | Sequence[str] = "",
        *,
        start: float | None = None,
        end: float | None = None,
        stream: bool = False,
        batch_size: int = 8,
        **options: Any,
    ) -> Any:
        """Answer prompts about videos, images or nothing.

        Args:
            video: a path (video, GIF, folder of frames, still image), or a list of them; None shows nothing.
            prompt: a question, or a list: one for each video, or several about one video, which is decoded once.
            start: second of the video to begin at.
            end: second of the video to end at.
            stream: give an iterator over pieces of the one answer instead.
            batch_size: prompts answered at a time.
            options: those of transformers' generate, such as max_new_tokens (default 256) or do_sample.

        Returns:
            The answer; a list of answers where `video` or `prompt` is a list; an iterator of text with `stream`.

        Raises:
            ConfigError: lists of different lengths, or several prompts to stream.
            SampleError: a video cannot be used; the message says why.
        """
        samples = samples_of(video, prompt, start, end)
        options = {"max_new_tokens": 256, "do_sample": False, **options}
        several = not isinstance(prompt, str) or isinstance(video, list | tuple)
        self.eval()
        if not stream:
            answers = answer_all(self, samples, batch_size=batch_size, **options)
            return answers if several else answers[0]
        if several:
            raise ConfigError(f"stream gives one answer; found {len(samples)} prompts")
        return answer_in_pieces(self, samples[0], **options)

    def learning_parts(self, stage: StageName) -> list[str]:
        """Names of the parts a stage trains."""
        return [part for part in self.parts() if part in TRAINED_PARTS[stage]]

    def add_adapters(self, lora: LoraConfig) -> None:
        """Put adapters into the part called llm; they learn, everything else in it is frozen.

        Raises:
            ConfigError: none of their target modules is there.
        """
        add_lora(self.parts()["llm"].model, lora)

    def settle_adapters(self) -> None:
        """Adapters that were loaded become part of the weights; families that switch between them keep them."""
        merge_lora(self.parts()["llm"].model)

    def freeze_within(self) -> None:
        """Freeze what options name inside parts that learn, such as single layers."""

    def enter(self, stage: StageName) -> None:
        """Hear which stage begins, once its parts are set to learn."""

    def computes_in(self, dtype: torch.dtype) -> None:
        """Hear in which type the forward pass computes, before anything is prepared."""

    def whole_parts(self) -> set[str]:
        """Frozen parts each process keeps whole because it may run them on its own; strategies do not shard them."""
        return set()

    def use_feature_cache(self, folder: Path, dtype: torch.dtype) -> None:
        """Keep what frozen encoders give in `folder`, computed in `dtype`.

        Raises:
            ConfigError: this family has no frozen encoders, or they learn.
        """
        raise ConfigError(f"feature_cache: models of type {self.config.type_name} have no frozen encoders to keep")

    def unpublished_parts(self) -> set[str]:
        """Parts whose weights nobody can download, so that a saved model holds them; all, unless a family knows."""
        return set(self.parts())

    def stations(self) -> Mapping[str, nn.Module]:
        """Modules in the order data flows through them, for counting FLOPs; finer than parts where tokens differ."""
        return self.parts()

    def station_tokens(self, batch: Batch) -> dict[str, int]:
        """Tokens each station handles in a batch, padding left out."""
        text = int(batch.attention_mask.sum())
        return dict.fromkeys(self.stations(), text + len(batch.visual_rows) * self.visual_tokens())

    def visual_tokens(self) -> int:
        """Visual tokens put before the text of one row, for speed and memory figures."""
        return 0
