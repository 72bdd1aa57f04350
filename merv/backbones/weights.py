"""Published weights onto a module: read without unpickling, compared key by key, laid onto an empty module once."""

import dataclasses
import json
import pickle
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from merv.backbones.hub import HubSource, fetch_optional, find_file, find_optional, one_line, shards_of
from merv.errors import CheckpointError, ConfigError

Init = Literal["pretrained", "random"]
WRAPPERS = ("model_state", "state_dict", "model", "module")
"""Names under which a torch file may hold its table of tensors."""
DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""What torch raises on damaged bytes, by where they are: found by changing bytes of good files."""


@dataclass
class PublishedWeights:
    """Options of a part whose weights somebody published; a mixin before the part's own config base."""

    source: ClassVar[HubSource]
    """Where its weights are."""
    part_name: ClassVar[str]
    """What messages call it: "video backbone" or "LLM backbone"."""
    beside: ClassVar[tuple[str, ...]] = ("config.json",)
    """Small files worth having beside the weights."""

    init: Init = "pretrained"
    """pretrained loads the published weights; random draws new ones of the same shapes, and fetches nothing."""
    path: Path | None = None
    """Local folder in the published layout, or its weight file; None means the hub and its cache on this disk."""

    def is_published(self) -> bool:
        """Whether it loads weights anybody can get, which a saved model need not hold."""
        return self.init == "pretrained"

    @property
    def what(self) -> str:
        """How messages name this part."""
        return f"{self.part_name} `{self.type_name}`"  # type: ignore[attr-defined]

    @property
    def path_option(self) -> str:
        """The option that names a local folder."""
        return f"--model.{self.type_name}_path DIR"  # type: ignore[attr-defined]

    def drawn(self) -> Self:
        """The same config without its published weights."""
        return dataclasses.replace(self, init="random")

    def fetch(self) -> None:
        """Bring the weights to this disk, or say what is missing; reads none of them.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """
        if self.init == "pretrained":
            self.weight_file()
            if self.path is None:
                fetch_optional(self.source, self.beside)

    def missing(self) -> str | None:
        """The line about weights that are not on this disk; None when they are, or not wanted.  Fetches nothing."""
        if self.init == "random":
            return None
        try:
            find_file(self.source, self.path, what=self.what, option=self.path_option, download=False)
        except ConfigError as error:
            return str(error)
        return None

    def weight_file(self) -> Path:
        """The file with the weights, fetched if need be."""
        return find_file(self.source, self.path, what=self.what, option=self.path_option)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file beside the weights, such as config.json; empty when there is none, or weights are not asked for.

        Raises:
            ConfigError: it is no JSON object.
        """
        if self.init == "random" and self.path is None:
            return {}
        path = find_optional(self.source, name, self.path)
        if path is None:
            return {}
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.what}: {path} is not JSON: {error}; download it again") from error
        if not isinstance(found, dict):
            raise ConfigError(f"{self.what}: {path} holds no JSON object; download it again")
        return found

    def load_published(self, module: nn.Module, rename: Callable[[str], str | None] = lambda key: key) -> None:
        """Lay the published weights onto `module`, unless random ones are wanted.

        Args:
            module: the module, best made within `empty_parameters()`.
            rename: published key -> the module's key; None for a tensor the module has no use for.
        """
        if self.init == "pretrained":
            file = self.weight_file()
            found = read_tensors(file, lambda key: rename(key) is not None)
            lay_onto(module, {str(rename(key)): tensor for key, tensor in found.items()}, file, self.what)

    def parameters_of_build(self) -> AbstractContextManager[Any]:
        """Within it a module is made: without memory when weights are about to be laid onto it."""
        return empty_parameters() if self.init == "pretrained" else nullcontext()


def empty_parameters() -> AbstractContextManager[Any]:
    """Within it modules get parameters without memory (meta device), and buffers as ever."""
    from accelerate import init_empty_weights

    return init_empty_weights(include_buffers=False)


def read_tensors(path: Path, wanted: Callable[[str], Any] = lambda key: True) -> dict[str, Tensor]:
    """Tensors of a weight file by name: .safetensors, a torch file, or the index of a sharded one.

    A torch file may wrap its tensors once, in `model_state`, `state_dict`, `model` or `module`.

    Args:
        path: the file.
        wanted: says of a name whether its tensor is to be read.

    Raises:
        CheckpointError: it is damaged, or a pickle with more than tensors in it.
    """
    if path.name.endswith(".index.json"):
        return _read_shards(path, wanted)
    if path.suffix == ".safetensors":
        return _read_safetensors(path, wanted)
    found = read_torch_file(path)
    if isinstance(found, Mapping):
        found = next((found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping)), found)
    if not isinstance(found, Mapping) or not all(_is_entry(*entry) for entry in found.items()):
        raise CheckpointError(f"{path} holds no plain table of tensors; name a file of weights")
    return {key: tensor for key, tensor in found.items() if wanted(key)}


def _is_entry(key: Any, tensor: Any) -> bool:
    return isinstance(key, str) and isinstance(tensor, Tensor)


def _read_shards(index: Path, wanted: Callable[[str], Any]) -> dict[str, Tensor]:
    try:
        shards = [index.with_name(name) for name in shards_of(index)]
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    for shard in shards:
        if not shard.is_file():
            raise CheckpointError(f"{index.parent} lacks {shard.name}, which {index.name} lists; download it as well")
    return {key: tensor for shard in shards for key, tensor in read_tensors(shard, wanted).items()}


def _read_safetensors(path: Path, wanted: Callable[[str], Any]) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys() if wanted(key)}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {one_line(error)}; download it again") from error


def read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote, as long as it is tensors, numbers, text and containers of them.

    Raises:
        CheckpointError: it is damaged, or a pickle that wants to run code.
    """
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # a file of before torch 1.6 cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            raise CheckpointError(f"{path} is damaged, or no file of weights; download it again") from error
        raise CheckpointError(
            f"{path} is refused: it asks for `{asked[1]}`, and merv never runs code of a file; get safetensors instead"
        ) from error
    except DAMAGE as error:
        raise CheckpointError(f"{path} cannot be read: {one_line(error)}; download it again") from error


def lay_onto(module: nn.Module, tensors: Mapping[str, Tensor], where: Path, what: str) -> None:
    """Give `module` these tensors as its parameters and buffers, in their own dtype turned to the module's.

    Whether a parameter is trained stays as it is; one that has several names needs to be there under one of them.

    Raises:
        CheckpointError: a key or a shape differs; the first difference is named.
    """
    own = module.state_dict()
    tensors = {**tensors, **_of_several_names(module, tensors)}
    for key, found, expected in differences(own, tensors):
        raise CheckpointError(
            f"{what}: {where} is of another model: `{key}` is {found} there, {expected} here; name the weights of "
            "this architecture"
        )
    cast = {key: tensor.detach().to(own[key].dtype) for key, tensor in tensors.items()}
    cast.update(_of_several_names(module, cast))
    module.load_state_dict(cast, strict=True, assign=True)
    left = [name for name, tensor in chain(module.named_parameters(), module.named_buffers()) if tensor.is_meta]
    assert not left, f"{what}: no weights for {left[:3]}; make it within empty_parameters()"


def _of_several_names(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """Under each name of the module's tied parameters one and the same parameter, so that they stay tied."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    tied = {}
    for group in names.values():
        given = next((name for name in group if name in tensors), None)
        if len(group) > 1 and given is not None:
            tied.update(dict.fromkeys(group, nn.Parameter(tensors[given], requires_grad=False)))
    return tied


def differences(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[tuple[str, str, str]]:
    """Keys that differ, in the module's order, with the shape there and here, or "missing"."""
    for key, tensor in own.items():
        if key not in found:
            yield key, "missing", _shape(tensor)
        elif found[key].shape != tensor.shape:
            yield key, _shape(found[key]), _shape(tensor)
    for key, tensor in found.items():
        if key not in own:
            yield key, _shape(tensor), "missing"


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}"
