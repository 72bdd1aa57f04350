"""Causal language models of the hub: one class loads them all.

What differs is data, in the presets of published.py; any other repository is `hf:<owner/name>`.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.backbones.hub import HubSource, missing
from merv.backbones.llm import files, shapes
from merv.backbones.llm.base import LLM, LLMConfig
from merv.backbones.llm.loading import (
    check_attention,
    forget_sampling,
    grow_vocabulary,
    load_model,
    load_tokenizer,
    make_config,
    make_model,
    read_config,
)
from merv.backbones.llm.prompts import Template
from merv.backbones.llm.reference import REFERENCE_TEMPLATES
from merv.backbones.llm.templates import TEMPLATES, TemplateName, special_tokens, template_for
from merv.backbones.llm.tiny import WORDS, byte_level_tokenizer
from merv.backbones.weights import PublishedWeights
from merv.errors import ConfigError, MervError

logger = logging.getLogger(__name__)

ROWS = 64
"""Embeddings that have to grow do so to a multiple of this."""


@dataclass
class HubLLMConfig(PublishedWeights, LLMConfig):
    """A causal language model of transformers, from the hub or a local folder."""

    part_name: ClassVar[str] = "LLM backbone"
    shape: ClassVar[shapes.Shape | None] = None
    """Architecture where no config.json is at hand; None: it is always needed."""
    padding: ClassVar[str | None] = None
    """Padding token; None: what the tokenizer has, or its EOS."""
    adds_padding: ClassVar[bool] = False
    """Whether the padding token is new to the published vocabulary."""
    has_bos: ClassVar[bool] = True
    """Whether texts begin with a BOS token, for a stand-in tokenizer."""
    reference: ClassVar[str | None] = None
    """Name of the original's prompts for this model; None: the original does not have it."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights; training keeps float32 and computes in bfloat16 by itself."""
    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    """sdpa is PyTorch's own; flash_attention_2 needs the package flash-attn and a CUDA device."""
    protocol: Literal["merv", "reference"] = "merv"
    """merv: prompts as they should be; reference: exactly those the original trained its models with."""
    template: TemplateName = "own"
    """Prompt template of protocol merv; own is the tokenizer's chat template, or `pure` where it has none."""
    num_layers: int | None = None
    """Decoder layers, fewer than published to measure speed with `init random`; None means all."""

    def __post_init__(self) -> None:
        """Refuse what published weights cannot have."""
        super().__post_init__()
        if self.num_layers is not None and self.init == "pretrained":
            raise ConfigError(
                f"num_layers is {self.num_layers}, but published weights have all layers; set init random"
            )
        if self.num_layers is not None and self.num_layers < 1:
            raise ConfigError(f"num_layers is {self.num_layers}; it must be at least 1")
        if self.protocol == "reference" and self.reference is None:
            raise ConfigError("protocol reference: the original does not have this LLM; leave protocol at merv")

    @property
    def path_option(self) -> str:
        """The option that names a local folder."""
        return "--model.llm_path DIR"

    def fetch(self) -> None:
        """Bring config, tokenizer and weights to this disk, or say what is missing; reads none of them.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """
        if self.init == "pretrained":
            self.folder(weights=True)

    def missing(self) -> str | None:
        """The line about files that are not on this disk; None when they are, or not wanted.  Fetches nothing."""
        if self.init == "random":
            return None
        try:
            if self.path is not None:
                self.folder(weights=True)
                return None
            cached = files.cached_folder(self.source)
            complete = cached is not None and files.first_lacking(cached, weights=True) is None
            return None if complete else missing(self.source, "", what=self.what, option=self.path_option)
        except MervError as error:
            return str(error)

    def fetch_tokenizer(self) -> None:
        """Bring config and tokenizer to this disk, for weights that come from elsewhere.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """
        self.folder(weights=False)

    def folder(self, *, weights: bool) -> Path:
        """Where config and tokenizer are, and the weights if they are wanted; fetched if need be."""
        if self.path is not None:
            return files.local_folder(self.path, weights=weights, what=self.what, option=self.path_option)
        return files.hub_folder(self.source, weights=weights, what=self.what, option=self.path_option)

    def build(self) -> LLM:
        """Make the model and its tokenizer, and load the weights or draw them from torch's generator.

        With `init random` config and tokenizer are taken from `path` or the hub's cache as far as they are there;
        what is not is made up: the published shape, and a small byte-level tokenizer.

        Raises:
            ConfigError: a file is missing, or this machine cannot run the model as asked.
            CheckpointError: the weights are damaged or of another model.
        """
        check_attention(self.attention, self.what)
        made_of = {"dtype": self.dtype, "attention": self.attention, "what": self.what}
        if self.init == "pretrained":
            folder = self.folder(weights=True)
            tokenizer = self._with_padding(load_tokenizer(folder, self.what))
            model = load_model(folder, **made_of)
            grow_vocabulary(model, _rows(len(tokenizer), model.config.vocab_size))
        else:
            config = self._config()
            tokenizer, words = self._tokenizer(config.vocab_size)
            config.vocab_size = _rows(words, config.vocab_size)
            model = make_model(config, **made_of)
        positions = getattr(model.config, "max_position_embeddings", None)
        if positions is not None and self.max_length > positions:
            logger.warning("%s: max_length %d, but it knows %d positions", self.what, self.max_length, positions)
        model.config.pad_token_id = tokenizer.pad_token_id
        forget_sampling(model)
        return LLM(model, tokenizer, self._template(tokenizer), max_length=self.max_length)

    def _config(self) -> Any:
        """The architecture for random weights."""
        folder = self._known_folder()
        if folder is not None and (folder / "config.json").is_file():
            config = read_config(folder, self.what)
        elif self.shape is not None:
            config = make_config(dict(self.shape))
        else:
            raise ConfigError(
                f"{self.what}: its config.json is not on this disk; run `hf download {self.source.repo}` where there "
                f"is a network, or name a local folder with {self.path_option}"
            )
        if self.num_layers is not None:
            config.num_hidden_layers = self.num_layers
            if getattr(config, "layer_types", None):
                config.layer_types = config.layer_types[: self.num_layers]
        return config

    def _tokenizer(self, vocab_size: int) -> tuple[Any, int]:
        """The tokenizer for random weights, and the words it has or, for a stand-in, the real one would have."""
        folder = self._known_folder()
        if folder is not None and files.has_tokenizer(folder):
            tokenizer = self._with_padding(load_tokenizer(folder, self.what))
            return tokenizer, len(tokenizer)
        tokenizer = byte_level_tokenizer(WORDS.split())
        if self.template != "own":
            tokenizer.add_tokens(special_tokens(TEMPLATES[self.template]), special_tokens=True)
        if not self.has_bos:
            tokenizer.bos_token = None
        grows = self.adds_padding and self.shape is not None and vocab_size == self.shape["vocab_size"]
        return tokenizer, max(len(tokenizer), vocab_size + grows)

    def _known_folder(self) -> Path | None:
        """The folder of `path` or of the hub's cache, complete or not."""
        if self.path is not None and not self.path.is_dir():
            raise ConfigError(f"{self.what}: {self.path} is no folder; set {self.path_option} to one")
        return files.cached_folder(self.source) if self.path is None else self.path

    def _with_padding(self, tokenizer: Any) -> Any:
        if self.padding is not None:
            tokenizer.add_special_tokens({"pad_token": self.padding})
        elif tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def _template(self, tokenizer: Any) -> Template:
        if self.protocol == "reference":
            return REFERENCE_TEMPLATES[str(self.reference)]
        return template_for(self.template, tokenizer)


def _rows(words: int, rows: int) -> int:
    """Rows of the embeddings that hold `words`: those there are, or more of them."""
    return rows if words <= rows else -(-words // ROWS) * ROWS


def register_repository(name: str) -> None:
    """Register `hf:<owner/name>`, unless it is.

    Raises:
        ConfigError: the name is of another form.
    """
    if name in LLMConfig.get_known_choices():
        return
    repo = name.removeprefix("hf:")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise ConfigError(f"LLM backbone `{name}`: expected hf:<owner/name>, such as hf:HuggingFaceTB/SmolLM2-135M")
    HubLLMConfig.preset(name).source = HubSource(repo)
