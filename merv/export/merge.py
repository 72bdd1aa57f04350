"""An adapter made part of its base: a plain Hugging Face folder, computed in float32 whatever the type of the base."""

import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from merv.backbones.llm.loading import load_model, read_config
from merv.backbones.llm.zoo import folder_of
from merv.errors import ConfigError
from merv.export.hf_writing import cast, copy_small
from merv.models.hf_vlm.adapter_files import Adapter, check_base, lay_adapter
from merv.models.hf_vlm.fingerprint import stored_tensors, weight_files
from merv.models.hf_vlm.tiny import DRAWN, drawn
from merv.models.hf_vlm.whole import save_whole
from merv.models.lora import merge_lora
from merv.space import check_space

logger = logging.getLogger(__name__)

OPTION = "--base"
TOKENIZER: tuple[str, ...] = (
    "tokenizer*",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.jinja",
)
TOKENIZER += ("chat_template.json", "processor_config.json", "*preprocessor_config.json")
"""Files beside an adapter that count more than those of its base: it may have learnt new words."""
_SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4}


def find_base(name: str) -> Path:
    """The folder of a base: itself, or the one in model_zoo or the hub's cache, fetched if it is nowhere.

    Raises:
        ConfigError: it is not to be had; the message says how to get it.
    """
    if name in DRAWN:
        return drawn(name)
    folder = Path(name).expanduser()
    is_folder = folder.is_dir() or not re.fullmatch(r"[\w.-]+/[\w.-]+", name)
    return folder_of(name, folder if is_folder else None, option=OPTION)


def merge_plain(adapter: Adapter, name: str, folder: Path, out: Path, dtype: torch.dtype | None = None) -> None:
    """Merge an adapter of any transformers model into its base.

    Args:
        adapter: what was read.
        name: what the user calls the base.
        folder: the base's.
        out: folder to write into; it is there.
        dtype: type of the weights; None keeps the base's.

    Raises:
        ConfigError: transformers does not know the base, it is quantised, or the disk has no room.
        CheckpointError: the adapter is of another base, or weights are damaged.
    """
    check_base(adapter, folder, name)
    check_space(out, bytes_of(folder, dtype))
    what = f"base `{name}`"
    config = read_config(folder, what)
    if getattr(config, "quantization_config", None) is not None:
        raise ConfigError(f"{what} is quantised, and a sum in its numbers is not exact; name the one it was made of")
    model = load_model(folder, dtype=_type_of(config), attention="eager", what=what, family=family_of(config))
    tensors = merged(model, dtype, lambda: lay_adapter(model, adapter))
    copy_small(folder, out)
    save_whole(out, tensors, model.config)
    for source in (folder, adapter.folder):  # as published: transformers rewrites what it reads
        copy_beside(source, out)


def merged(model: Any, dtype: torch.dtype | None, wear: Any = None, *, name: str = "default") -> dict[str, Tensor]:
    """The tensors of a transformers model with an adapter made part of them.

    Args:
        model: without its adapter, or with it; it is changed.
        dtype: type of all floating-point tensors; None keeps those they had.
        wear: puts the adapter on, where the model has none yet.
        name: what the adapter is called there.
    """
    own = next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    types = {key: tensor.dtype for key, tensor in model.state_dict().items()}
    if dtype not in (None, own):
        model.float()  # rounded once, at the end
    if wear is not None:
        wear()
    merge_lora(model, name)
    tied = dict(model.all_tied_weights_keys) if model.config.tie_word_embeddings else {}
    state = {key: tensor for key, tensor in model.state_dict().items() if key not in tied}
    return {key: cast(tensor.detach(), dtype or types.get(key, own), key) for key, tensor in state.items()}


def family_of(config: Any) -> str:
    """The class of transformers that loads models of a config: with images where it can, else words alone."""
    from transformers import AutoModelForImageTextToText

    known = type(config) in AutoModelForImageTextToText._model_mapping
    return "AutoModelForImageTextToText" if known else "AutoModelForCausalLM"


def bytes_of(folder: Path, dtype: torch.dtype | None) -> int:
    """Bytes the weights of a folder take in another type; None means their own.

    Raises:
        ConfigError: it holds no weights.
    """
    files = weight_files(folder)
    stored = stored_tensors(files).values()
    if dtype is None or not stored:
        return sum(file.stat().st_size for file in files)
    return sum((each.end - each.start) * dtype.itemsize // _SIZES.get(each.dtype, dtype.itemsize) for each in stored)


def copy_beside(source: Path, out: Path) -> None:
    """Copy tokenizer and processor as they were published."""
    for pattern in (*TOKENIZER, "generation_config.json"):
        for path in source.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, out / path.name)


def check_repository(name: str) -> None:
    """Refuse a name the hub could not have, before hours of work.

    Raises:
        ConfigError: it is no `owner/name`.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ConfigError(f"push_to_hub is `{name}`; name a repository as owner/name")


def push(folder: Path, repository: str) -> None:
    """Upload a folder to the hub; a repository that is not there is made, for its owner's eyes alone.

    Raises:
        ConfigError: the hub refuses; the folder stays.
    """
    from huggingface_hub import create_repo, upload_folder
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        create_repo(repository, private=True, exist_ok=True)
        upload_folder(repo_id=repository, folder_path=folder, commit_message="Merged by merv")
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError, ValueError) as error:
        line = " ".join(str(getattr(error, "server_message", None) or error).split())[:160]
        raise ConfigError(
            f"{folder} is written, but cannot be pushed to {repository}: {line}; log in (`hf auth login`), then "
            f"`hf upload {repository} {folder}`"
        ) from error
    logger.info("%s is at https://huggingface.co/%s", folder, repository)


def _type_of(config: Any) -> str:
    """The type of the weights by their config.json."""
    named: Mapping[Any, str] = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
    return named.get(getattr(config, "dtype", None) or config.get_text_config().dtype, "float32")
