"""A Hugging Face folder, tensor by tensor: its names, its language model's tensors as GPTModel has them.

transformers 5 has `model.language_model.*` and `model.visual.*` in memory and still saves `model.*` and `visual.*`, so
a folder is read, and written back, with the names it has.
"""

import json
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from merv.backbones.llm.files import shards_of
from merv.backbones.llm.loading import read_config
from merv.errors import CheckpointError, ConfigError
from merv.export.hf_writing import FILE, INDEX, copy_small
from merv.export.mapping import Entry, entries, fuse
from merv.export.sizes import Sizes

NEW_PREFIX, OLD_PREFIX = "model.language_model.", "model."
"""Of the language model's names in a vision-language model; a plain language model has the second."""
VISION = {NEW_PREFIX: "model.visual.", OLD_PREFIX: "visual."}
"""Of the vision tower's names, by the prefix of the language model."""
HEAD = "lm_head.weight"
BUFFER = "rotary_emb.inv_freq"
"""Ending of a buffer that old folders still hold, and every model makes anew."""


class HfFolder:
    """The config of a model and the names of its tensors; weights are looked at by those who have them."""

    def __init__(self, folder: Path) -> None:
        """Read the config and the list of names.

        Raises:
            ConfigError: it is no folder of a model with safetensors, or the table does not describe it.
        """
        self.folder = folder
        _check_folder(folder)
        self.config = read_config(folder, "model")
        self.sizes = Sizes.of(self.config)
        self.files = _weight_map(folder)
        """File of each tensor, by its name."""
        self.prefix = NEW_PREFIX if any(name.startswith(NEW_PREFIX) for name in self.files) else OLD_PREFIX
        self.entries = list(entries(self.sizes, self.prefix))
        self.vision = sorted(name for name in self.files if name.startswith(VISION[self.prefix]))
        """Names of the vision tower; none where there is no such tower."""

    def check_names(self) -> None:
        """Refuse tensors that would get lost, or are not there.

        Raises:
            CheckpointError: names the first of them.
        """
        wanted = {name for entry in self.entries for name in entry.sources}
        lacking = sorted(wanted - set(self.files))
        if lacking:
            raise CheckpointError(f"{self.folder} lacks `{lacking[0]}`, of {len(lacking)} tensors; copy it again")
        idle = {HEAD} if self.sizes.tied else set()
        left = set(self.files) - wanted - set(self.vision) - idle
        odd = sorted(name for name in left if not name.endswith(BUFFER))
        if odd:
            raise ConfigError(
                f"`{odd[0]}` of {self.folder} has no place in the table for {self.config.model_type}, nor have "
                f"{len(odd) - 1} others; Megatron-core's GPTModel has no such tensor"
            )

    def vision_key(self, name: str) -> str:
        """A tensor of the vision tower as the tower itself calls it."""
        return name.removeprefix(VISION[self.prefix])

    def lay_aside(self, folder: Path) -> None:
        """Copy what is not weights, with the names of all tensors, so that the way back needs nothing else."""
        copy_small(self.folder, folder)
        names = self.wanted()
        (folder / INDEX).write_text(json.dumps({"weight_map": {name: self.files[name] for name in names}}, indent=1))

    def wanted(self) -> list[str]:
        """Names of the tensors that travel: all but idle copies and buffers."""
        return sorted({name for entry in self.entries for name in entry.sources} | set(self.vision))


class Weights(Protocol):
    """Where the tensors of a model come from: a Hugging Face folder, or a Megatron checkpoint."""

    hf: HfFolder
    """The model they are of."""
    dtype: torch.dtype
    """Their type."""

    def tensor(self, entry: Entry) -> Tensor:
        """A whole tensor of GPTModel."""

    def vision(self) -> dict[str, Tensor]:
        """The vision tower, by its own names; empty where there is none."""


class HfWeights:
    """The weights of a folder; each tensor is read when it is asked for."""

    def __init__(self, folder: HfFolder) -> None:
        """Open the files.

        Raises:
            CheckpointError: one is damaged, or tensors are missing.
        """
        from safetensors import SafetensorError, safe_open

        self.hf = folder
        folder.check_names()
        self._open: dict[str, Any] = {}
        for name in sorted(set(folder.files.values())):
            try:
                self._open[name] = safe_open(folder.folder / name, framework="pt")
            except (OSError, SafetensorError) as error:
                raise CheckpointError(f"{folder.folder / name} cannot be read: {error}; copy it again") from error
        self.dtype = self._read(folder.entries[0].sources[0]).dtype

    def tensor(self, entry: Entry) -> Tensor:
        """A whole tensor of GPTModel.

        Raises:
            CheckpointError: its sources have other shapes than config.json says.
        """
        found = [self._read(name) for name in entry.sources]
        rows = sum(len(tensor) for tensor in found)
        if (rows, *found[0].shape[1:]) != entry.shape:
            raise CheckpointError(
                f"{self.hf.folder}: {' + '.join(entry.sources)} is {(rows, *found[0].shape[1:])}, by config.json "
                f"{entry.shape}; copy it again"
            )
        return fuse(entry, found, self.hf.sizes)

    def vision(self) -> dict[str, Tensor]:
        """The vision tower, by its own names."""
        return {self.hf.vision_key(name): self._read(name) for name in self.hf.vision}

    def _read(self, name: str) -> Tensor:
        return self._open[self.hf.files[name]].get_tensor(name)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"--model {folder} is no folder; `hf download` a model and name the folder it prints")
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ConfigError(f"--model {folder} holds an adapter; merge it into its base first: merv export merge")
    if not (folder / "config.json").is_file():
        raise ConfigError(f"--model {folder} lacks config.json; name a model's folder in the published layout")


def _weight_map(folder: Path) -> dict[str, str]:
    """File of each tensor, from an index or from the one file there is."""
    from safetensors import SafetensorError, safe_open

    if (folder / INDEX).is_file():
        shards_of(folder / INDEX)  # refuses what is no index
        return json.loads((folder / INDEX).read_text())["weight_map"]
    if not (folder / FILE).is_file():
        raise ConfigError(f"--model {folder} holds neither {FILE} nor {INDEX}; save the model as safetensors")
    try:
        with safe_open(folder / FILE, framework="pt") as file:
            return dict.fromkeys(file.keys(), FILE)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder / FILE} cannot be read: {error}; copy it again") from error
