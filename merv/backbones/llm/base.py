"""The contract of a language model: embeddings in, hidden states out, and a tokenizer with its prompt template.

One class serves every causal LLM of transformers; what differs stands in its config.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from draccus import ChoiceRegistry
from torch import Tensor, nn

from merv.backbones.llm.attention import causal_without_mask
from merv.backbones.llm.prompts import Template
from merv.errors import ConfigError, RunStopped
from merv.registry import Registry


@dataclass
class LLMConfig(Registry, ChoiceRegistry, kind="LLM backbone"):
    """Options every language model has."""

    pretrained: ClassVar[bool] = True
    """Whether `build()` loads published weights; a saved model holds the others' weights itself."""

    max_length: int = 2048
    """Longest row in tokens, visual tokens included."""

    def __post_init__(self) -> None:
        """Refuse a length nothing fits into."""
        if self.max_length < 8:
            raise ConfigError(f"llm max_length is {self.max_length} tokens; it must be at least 8")

    @classmethod
    def get(cls, name: str) -> type[Self]:
        """The config class called `name`; `hf:<owner/name>` is any causal language model of the hub.

        Raises:
            ConfigError: nothing is registered under `name`; the message lists near names.
        """
        if name.startswith("hf:"):
            from merv.backbones.llm.hf import register_repository

            register_repository(name)
        return super().get(name)

    @classmethod
    def get_choice_class(cls, name: str) -> Any:
        """What draccus decodes `type: name` into."""
        return cls.get(name) if name.startswith("hf:") else super().get_choice_class(name)

    def is_published(self) -> bool:
        """Whether it loads weights anybody can get, which a saved model need not hold."""
        return self.pretrained

    def fetch(self) -> None:
        """Bring published weights to this disk before anything is built.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """

    def fetch_tokenizer(self) -> None:
        """Bring the tokenizer and the architecture to this disk, for weights that come from elsewhere.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """

    def build(self) -> "LLM":
        """Make the model and its tokenizer, weights included."""
        raise TypeError(f"{type(self).__name__} does not define build()")


class LLM(nn.Module):
    """A causal language model of transformers, driven by embeddings."""

    def __init__(self, model: Any, tokenizer: Any, template: Template, *, max_length: int) -> None:
        """Wrap `model` (a ...ForCausalLM) and its `tokenizer`, which must know a padding token."""
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.template = template
        self.max_length = max_length
        _tie_head(model)
        self.register_load_state_dict_post_hook(_tie_again)

    @property
    def dim(self) -> int:
        """Width of its token embeddings."""
        return self.model.config.get_text_config().hidden_size

    @property
    def visual_position(self) -> int:
        """Text tokens before the visual ones: 1 where texts begin with a BOS token, else 0."""
        return 0 if self.tokenizer.bos_token_id is None else 1

    @property
    def vocab_size(self) -> int:
        """Width of its logits."""
        return self.model.config.get_text_config().vocab_size

    @property
    def end_ids(self) -> list[int]:
        """Tokens an answer ends with: the template's, the tokenizer's EOS, and those the model's config names."""
        configured = getattr(self.model.config, "eos_token_id", None)
        ids = [self.tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
        if self.template.end in self.tokenizer.get_vocab():
            ids.append(self.tokenizer.convert_tokens_to_ids(self.template.end))
        return sorted({token for token in ids if token is not None})

    def embed(self, ids: Tensor) -> Tensor:
        """(B, L) int64 -> (B, L, D)."""
        return self.model.get_input_embeddings()(ids)

    def forward(self, embeds: Tensor, attention_mask: Tensor | None, positions: Tensor | None = None) -> Tensor:
        """Hidden states before the head.  (B, L, D), (B, L) bool -> (B, L, D).

        Without a mask padding has to stand on the right, where a causal model never looks.

        Args:
            embeds: of text and whatever stands between it.
            attention_mask: False on padding.
            positions: (3, B, L) int64 for models that count time, rows and columns; None counts tokens.
        """
        decoder = self.model.get_decoder()
        if attention_mask is None:
            with causal_without_mask(decoder.config):
                return decoder(inputs_embeds=embeds, position_ids=positions, use_cache=False).last_hidden_state
        if positions is None:
            positions = counted(attention_mask)
        return decoder(
            inputs_embeds=embeds, attention_mask=attention_mask, position_ids=positions, use_cache=False
        ).last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        return self.model.get_output_embeddings()(hidden)

    @torch.inference_mode()
    def generate(self, embeds: Tensor, attention_mask: Tensor, **options: Any) -> Tensor:
        """New token ids of left-padded prompts.  (B, L, D), (B, L) bool -> (B, <= max_new_tokens).

        `logits_processor` among the options is a list of functions; they see scores after NaN was refused.
        """
        from transformers import LogitsProcessorList

        options = {"max_new_tokens": 32, "do_sample": False, **options}
        processors = [refuse_nan, *options.pop("logits_processor", ())]
        return self.model.generate(
            inputs_embeds=embeds,
            attention_mask=attention_mask.long(),
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.end_ids,
            logits_processor=LogitsProcessorList(processors),
            **options,
        )

    def stream(self, embeds: Tensor, attention_mask: Tensor, **options: Any) -> Iterator[str]:
        """The same for one prompt, as text, piece by piece.  (1, L, D), (1, L) bool.

        A thread generates; its error is raised here.
        """
        return stream_from(
            self.tokenizer, lambda streamer: self.generate(embeds, attention_mask, streamer=streamer, **options)
        )

    def blocks(self) -> list[nn.Module]:
        """The decoder layers."""
        return list(self.model.get_decoder().layers)


def counted(mask: Tensor) -> Tensor:
    """How many tokens came before each, padding left out.  (B, L) bool -> (B, L) int64."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def positions_to_generate(mask: Tensor, positions: Tensor) -> Tensor:
    """What generate wants of models that count three ways: how many tokens came before, then the three.

    (B, L) bool, (3, B, L) int64 -> (4, B, L) int64.
    """
    return torch.cat([counted(mask)[None], positions])


def stream_from(tokenizer: Any, generate: Callable[[Any], object], *, skip_prompt: bool = False) -> Iterator[str]:
    """Text as `generate(streamer)` writes it: a thread generates, and its error is raised here.

    Args:
        tokenizer: makes text of tokens.
        generate: hands every token to transformers' streamer.
        skip_prompt: the first tokens it hands over are the prompt's.
    """
    from transformers import TextIteratorStreamer

    streamer: Any = TextIteratorStreamer(tokenizer, skip_prompt=skip_prompt, skip_special_tokens=True)

    def run() -> None:
        try:
            generate(streamer)
        finally:
            streamer.end()  # whatever happened, the reader must not wait for ever

    with ThreadPoolExecutor(max_workers=1) as pool:
        done = pool.submit(run)
        yield from streamer
        done.result()


def refuse_nan(_: Tensor, scores: Tensor) -> Tensor:
    """Pass scores on, unless they are NaN: greedy decoding would make words of them.

    Raises:
        RunStopped: they are.
    """
    if bool(scores.isnan().any()):
        raise RunStopped("the model's logits are NaN: its weights are damaged, or overflow in their type; try float32")
    return scores


def _tie_again(llm: LLM, _: Any) -> None:
    """After weights are loaded."""
    _tie_head(llm.model)


def _tie_head(model: Any) -> None:
    """Let the head share the embeddings' weight where the config says so.

    A model laid out without memory has two weights instead, and so has one whose weights were assigned.
    """
    # An adapter may keep copies of both; what is tied are the originals.
    head, embeddings = (
        getattr(module, "original_module", module)
        for module in (model.get_output_embeddings(), model.get_input_embeddings())
    )
    tied = model.config.tie_word_embeddings and model._tied_weights_keys
    if tied and head.weight is not embeddings.weight:
        head._parameters["weight"] = embeddings.weight  # within `empty_parameters` plain assignment makes a copy
