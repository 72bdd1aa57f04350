"""A published language model from its folder: config, tokenizer, and the weights, compared key by key."""

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from merv.backbones.llm.files import WEIGHTS, shards_of
from merv.backbones.weights import read_tensors
from merv.errors import CheckpointError, ConfigError
from merv.runtime import quiet


def read_config(folder: Path, what: str) -> Any:
    """The config.json of a folder, as transformers understands it.

    Raises:
        ConfigError: it is damaged, or describes a model transformers does not know.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{what}: {folder / 'config.json'} cannot be used: {_first_line(error)}") from error


def make_config(shape: dict[str, Any]) -> Any:
    """A config from the fields of a config.json."""
    from transformers import AutoConfig

    return AutoConfig.for_model(**shape)


def load_tokenizer(folder: Path, what: str) -> Any:
    """The tokenizer of a folder, as its owner published it.

    A tokenizer.json is taken as it is: transformers 5 rebuilds that of Llama with other rules for spaces.  From a
    tokenizer.model, such as Vicuna's, the same rules are made as SentencePiece has.

    Raises:
        ConfigError: it is damaged.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    file = folder / "tokenizer.json"
    try:
        if file.is_file():
            json.loads(file.read_text(encoding="utf-8"))  # tokenizers raises a bare Exception
            tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
        else:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            _keep_spaces(tokenizer)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{what}: the tokenizer in {folder} cannot be used: {_first_line(error)}") from error
    tokenizer.padding_side = "right"
    return tokenizer


def _keep_spaces(tokenizer: Any) -> None:
    """Put a space before every text, also before one that begins with a space, as SentencePiece does."""
    from tokenizers import normalizers, pre_tokenizers

    backend = tokenizer.backend_tokenizer
    if isinstance(backend.pre_tokenizer, pre_tokenizers.Metaspace):
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        backend.pre_tokenizer = None


def load_model(folder: Path, *, dtype: str, attention: str, what: str, family: str = "AutoModelForCausalLM") -> Any:
    """The model of a folder with all its weights.

    Args:
        folder: in the published layout.
        dtype: type of the weights.
        attention: transformers' name of an implementation.
        what: the part that needs it, for messages.
        family: transformers' class that knows models of this kind.

    Raises:
        ConfigError: transformers knows no model of this kind, or not with this attention.
        CheckpointError: the weights are damaged, want to run code, or are of another model than config.json says.
    """
    import transformers
    from safetensors import SafetensorError

    config = read_config(folder, what)
    try:
        with quiet("transformers"), without_bars():
            loaded: Any = getattr(transformers, family).from_pretrained(
                str(folder),
                config=config,
                dtype=getattr(torch, dtype),
                attn_implementation=attention,
                local_files_only=True,
                trust_remote_code=False,
                weights_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        _find_damage(folder)
        raise CheckpointError(f"{what}: {folder} cannot be loaded: {_first_line(error)}") from error
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{what}: {_first_line(error)}") from error
    model, found = loaded
    _refuse_differences(model, found, folder, what)
    return model


@contextmanager
def without_bars() -> Iterator[None]:
    """Transformers draws a bar on every process."""
    from transformers.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _find_damage(folder: Path) -> None:
    """Read the weights one by one, so that the damaged file is named."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            for shard in shards_of(folder / name) or [name]:
                read_tensors(folder / shard)
            return


def make_model(config: Any, *, dtype: str, attention: str, what: str) -> Any:
    """The model of a config, its weights drawn from torch's generator.

    Raises:
        ConfigError: transformers knows no causal language model of this kind, or not with this attention.
    """
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, dtype), attn_implementation=attention, trust_remote_code=False
        )
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{what}: {_first_line(error)}") from error


def _refuse_differences(model: nn.Module, found: dict[str, Any], folder: Path, what: str) -> None:
    """Refuse weights with a tensor missing, left over or of another shape; the first in the model's order is named."""
    own = model.state_dict()
    differing = {key: f"missing there, {tuple(own[key].shape)} here" for key in found["missing_keys"]}
    for key, there, here in found["mismatched_keys"]:
        differing[key] = f"{tuple(there)} there, {tuple(here)} here"
    left_over = sorted(found["unexpected_keys"])
    first = next((key for key in own if key in differing), None)
    if first is None and not left_over:
        return
    line = f"`{left_over[0]}` is there, but not here" if first is None else f"`{first}` is {differing[first]}"
    raise CheckpointError(
        f"{what}: the weights in {folder} are not those of its config.json: {line}; download both from one place"
    )


def grow_vocabulary(model: Any, size: int) -> None:
    """Give the embeddings and the head `size` rows; the new ones begin at the mean of the old ones."""
    old = model.get_input_embeddings().weight.shape[0]
    if size <= old:
        return
    model.resize_token_embeddings(size, mean_resizing=False)
    with torch.no_grad():
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            weight = module.weight
            weight[old:] = weight[:old].float().mean(0).to(weight.dtype)


def forget_sampling(model: Any) -> None:
    """Make greedy answers the default: published generation configs sample, or penalise repetition."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig.from_model_config(model.config)


def check_attention(attention: str, what: str) -> None:
    """Refuse flash-attention where it cannot run.

    Raises:
        ConfigError: the package or a CUDA device is missing.
    """
    from transformers.utils import is_flash_attn_2_available

    if attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise ConfigError(
            f"{what}: attention is flash_attention_2, which needs the package flash-attn and a CUDA "
            "device; leave it at sdpa"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
