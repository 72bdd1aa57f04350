"""Training that goes on from what a role has learned before: in an earlier run, or in a folder of roles.

VideoMind tunes its published grounder on QVHighlights like this (https://github.com/yeliudev/VideoMind,
scripts/finetune).
"""

import logging
from pathlib import Path

from merv.errors import CheckpointError, ConfigError
from merv.models.qwen2_vl.adapters import adapter_lora
from merv.models.qwen2_vl.base import SHAPES
from merv.models.qwen2_vl.config import TINY, Qwen2VLConfig
from merv.models.qwen2_vl.net import RoleLM
from merv.models.qwen2_vl.published import ROLE_MODELS, check_base, find_roles, is_roles, read_roles
from merv.models.qwen2_vl.role_weights import put_roles
from merv.models.stage import LoraConfig
from merv.models.weights import FILE

logger = logging.getLogger(__name__)


def names_roles(path: Path) -> bool:
    """Whether a path is that of a folder of roles, or the name of a published one."""
    if path.is_dir():
        return is_roles(path) and not (path / FILE).is_file()
    return str(path) in ROLE_MODELS


def lay_role(path: Path, model: RoleLM) -> list[str]:
    """Put the adapter of a model's own role, and its head, from a folder of roles into the model.

    Args:
        path: the folder, or the name of a published one.
        model: the model; it has no adapter yet.

    Returns:
        Names of the parts that came from there.

    Raises:
        ConfigError: a published folder is not to be had.
        CheckpointError: the folder is damaged, has no such role, or is for another base.
    """
    folder, role = path if path.is_dir() else find_roles(str(path)), model.config.role
    found = read_roles(folder, model.config.path)
    own = [weights for weights in found.roles if weights.role == role]
    if not own:
        held = ", ".join(weights.role for weights in found.roles)
        raise CheckpointError(f"{path} has no adapter of role {role} to start from; it has {held}")
    there = found.configs[role]
    check_same_base(there, model.config, path)
    check_base(found, model)
    put_roles(model, own, {role: model.config.head})
    for name in ("protocol", "wording"):
        if getattr(there, name) != getattr(model.config, name):
            logger.warning(
                "%s was trained with %s %s, this run has %s; --model.%s %s goes on as it was",
                *(path, name, getattr(there, name), getattr(model.config, name), name, getattr(there, name)),
            )
    return ["llm", "heads"] if own[0].head is not None else ["llm"]


def check_same_base(there: Qwen2VLConfig, here: Qwen2VLConfig, path: Path) -> None:
    """Refuse weights that were trained on another base.

    Raises:
        CheckpointError: the first difference.
    """
    said = {name: _known_name(config.base) for name, config in (("there", there), ("here", here))}
    facts = {"base": (said["there"], said["here"])} if None not in said.values() else {}
    if there.base == here.base == TINY:
        facts |= {f"tiny.{name}": (value, getattr(here.tiny, name)) for name, value in vars(there.tiny).items()}
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise CheckpointError(
                f"{path} was trained on another base: {name} is {found} there, {wanted} here; set --model.{name} "
                f"{found}, or start from another --pretrained_checkpoint"
            )


def _known_name(base: str) -> str | None:
    """A base's name where it is one of those we know: published names come with other folders before them."""
    known = {TINY: TINY, **{repo.rpartition("/")[2]: repo for repo in SHAPES}}
    return known.get(base.rpartition("/")[2])


def check_adapter_learns(model: RoleLM, lora: LoraConfig, stage: str) -> None:
    """Refuse a stage without adapters on a model whose role has one: what it would leave could not be loaded.

    Raises:
        ConfigError: there is one, and `rank` is 0.
    """
    there = adapter_lora(model.llm.model, model.config.role)
    if there is not None and not lora.rank:
        raise ConfigError(
            f"lora.rank of stage {stage} is 0, but the adapter of role {model.config.role} to start from has "
            f"{there.rank}; set --model.{stage.replace('-', '_')}.lora.rank {there.rank}, or give this model another "
            "--model.model_id to start anew"
        )
