"""What a role has learned, apart from the base it stands on: its adapter, and a grounding head where it has one.

Names are those of one adapter alone, in the modules of transformers 5:
`model.language_model.layers.0.self_attn.q_proj.lora_A.weight`, `lm_head.weight`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from merv.backbones.llm.loading import grow_vocabulary
from merv.backbones.weights import differences
from merv.errors import CheckpointError
from merv.models.qwen2_vl.adapters import adapter_names
from merv.models.qwen2_vl.grounding_head import GroundingHeadConfig
from merv.models.qwen2_vl.roles import ROLES
from merv.models.stage import LoraConfig

if TYPE_CHECKING:
    from merv.models.qwen2_vl.net import RoleLM

LLM = "llm.model."
"""Where a role model keeps its language model."""
_LOW_RANK = re.compile(r"(?P<path>.+)\.(?P<side>lora_[AB])\.(?P<role>\w+)\.weight")
_WHOLE = re.compile(r"(?P<path>.+)\.modules_to_save\.(?P<role>\w+)\.weight")
_LOSS = "bundle_loss."
"""Tensors of a head that only training uses."""


@dataclass
class RoleWeights:
    """One role."""

    role: str
    lora: LoraConfig
    """Its places are those of the file they come from: last names of modules, or whole paths."""
    adapter: dict[str, Tensor]
    head: dict[str, Tensor] | None = None
    """The grounding head's state; None for a role that calls none."""
    file: Path = field(default_factory=lambda: Path("this model"))
    """Where the adapter comes from, for messages."""
    head_file: Path | None = None
    """Where the head comes from, for messages."""

    @property
    def places(self) -> list[str]:
        """Paths of the linear layers the adapter sits on, sorted."""
        return sorted({name.rpartition(".lora_")[0] for name in self.adapter if ".lora_" in name})

    @property
    def words(self) -> dict[str, Tensor]:
        """Modules that are kept whole: embeddings and head of the LLM."""
        return {name: tensor for name, tensor in self.adapter.items() if ".lora_" not in name}


def alone(name: str) -> tuple[str, str] | None:
    """The role a tensor of an LLM with adapters belongs to, and its name in that adapter alone; None for others."""
    found = _LOW_RANK.fullmatch(name)
    if found:
        return found["role"], f"{found['path']}.{found['side']}.weight"
    found = _WHOLE.fullmatch(name)
    return (found["role"], f"{found['path']}.weight") if found else None


def among_others(name: str, role: str) -> str:
    """The name in an LLM with adapters of a tensor of one adapter; `alone` turned round."""
    path, _, _ = name.rpartition(".weight")
    return f"{path}.{role}.weight" if ".lora_" in name else f"{path}.modules_to_save.{role}.weight"


def sort_out(state: Mapping[str, Tensor]) -> dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Adapter and head of each role in a role model's state."""
    found: dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        if part == "heads":
            role, _, key = rest.partition(".")
            found.setdefault(role, ({}, {}))[1][key] = tensor
        elif name.startswith(LLM) and (own := alone(name.removeprefix(LLM))):
            found.setdefault(own[0], ({}, {}))[0][own[1]] = tensor
    return found


def take_roles(model: "RoleLM") -> list[RoleWeights]:
    """The roles of a model that have an adapter, in the order of `ROLES`."""
    state = sort_out(model.state_dict())
    return [_take(model, role, *state[role]) for role in ROLES if role in adapter_names(model.llm)]


def _take(model: "RoleLM", role: str, adapter: dict[str, Tensor], head: dict[str, Tensor]) -> RoleWeights:
    found = RoleWeights(role, LoraConfig(), adapter, head or None)
    layer: Any = model.llm.model.get_submodule(found.places[0])
    found.lora = LoraConfig(
        rank=layer.r[role],
        alpha=float(layer.lora_alpha[role]),
        dropout=float(getattr(layer.lora_dropout[role], "p", 0.0)),
        target_modules=found.places,
        modules_to_save=sorted(name.split(".")[-2] for name in found.words),
    )
    return found


def put_roles(model: "RoleLM", roles: Sequence[RoleWeights], heads: Mapping[str, GroundingHeadConfig]) -> None:
    """Give a model without adapters these roles, in the types they have.

    Words beyond those the base knows make it grow; where a role has fewer, the base's stay.

    Raises:
        CheckpointError: an adapter or head is of another model.
    """
    grow_vocabulary(model.llm.model, max((len(t) for role in roles for t in role.words.values()), default=0))
    linear = {name: m for name, m in model.llm.model.named_modules() if isinstance(m, nn.Linear)}
    for role in roles:
        _check_places(role, linear)
        lora = replace(role.lora, target_modules=role.places)
        model.add_role(role.role, lora, heads[role.role] if ROLES[role.role].has_head else None)
        _lay_adapter(model, role)
        if role.head is not None:
            _lay_head(model.heads[role.role], role)


def _check_places(role: RoleWeights, linear: Mapping[str, nn.Module]) -> None:
    """Refuse an adapter that sits elsewhere than its config says, or on layers the base does not have."""
    named, places = role.lora.target_modules, role.places
    strange = next((place for place in places if place not in linear), None)
    if strange is not None:
        raise CheckpointError(f"{role.file} is of another model: the base has no linear layer `{strange}`")
    wanted = {place for place in linear if any(place == name or place.endswith(f".{name}") for name in named)}
    lacking, more = sorted(wanted - set(places)), sorted(set(places) - wanted)
    if lacking:
        raise CheckpointError(
            f"{role.file} is of another model: it lacks {len(lacking)} layers of its target_modules, such as "
            f"`{lacking[0]}`"
        )
    if more:
        raise CheckpointError(f"{role.file}: `{more[0]}` is none of the target_modules its config names")


def _lay_adapter(model: "RoleLM", role: RoleWeights) -> None:
    own: dict[str, nn.Parameter] = {}
    for name, parameter in model.llm.model.named_parameters(remove_duplicate=False):
        found = alone(name)
        if found and found[0] == role.role:
            own[found[1]] = parameter
    for name, tensor in role.adapter.items():
        if name not in own or not _fits(tensor, own[name], name):
            here = tuple(own[name].shape) if name in own else "nothing"
            raise CheckpointError(
                f"{role.file} is of another model: `{name}` is {tuple(tensor.shape)} there, {here} here; an adapter "
                "needs the base it was trained on"
            )
    missing = sorted(set(own) - set(role.adapter))
    if missing:
        raise CheckpointError(f"{role.file} lacks {len(missing)} tensors, such as `{missing[0]}`")
    for name, tensor in role.adapter.items():
        laid = own[name].data.to(tensor.dtype)
        laid[: len(tensor)] = tensor.to(laid.device)
        own[name].data = laid


def _fits(tensor: Tensor, parameter: Tensor, name: str) -> bool:
    """Words may have fewer rows than the base has."""
    if tensor.ndim != 2 or ".lora_" in name:
        return tensor.shape == parameter.shape
    return tensor.shape[1] == parameter.shape[1] and len(tensor) <= len(parameter)


def _lay_head(head: nn.Module, role: RoleWeights) -> None:
    assert role.head is not None
    file, own = role.head_file or role.file, head.state_dict()
    for key, there, here in differences(own, role.head):
        if not (key.startswith(_LOSS) and there == "missing"):
            raise CheckpointError(f"{file} is of another model: `{key}` is {there} there, {here} here")
    with torch.no_grad():
        head.load_state_dict(role.head, strict=False)
