"""Role models as VideoMind publishes them: a folder with an adapter for each role, read onto its base.

    config.json                       sizes of the base, its name, the numbers of the new tokens
    pytorch_model.safetensors         the grounding head
    <role>/adapter_config.json        as peft writes it
    <role>/adapter_model.safetensors

Files are those of https://github.com/yeliudev/VideoMind (videomind/model/builder.py, train/custom_trainer.py);
MUPA (https://github.com/soughtlin/MUPA) adds the role GQA.  `publish.py` writes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from merv.backbones.hub import HubSource, find_cached, hub_is_reachable, missing, refusals_told
from merv.backbones.weights import read_tensors
from merv.errors import CheckpointError, ConfigError
from merv.models.peft_files import ADAPTER, ADAPTER_CONFIG, file_of_tensors, read_json, without_prefix
from merv.models.qwen2_vl.adapter_files import read_adapter
from merv.models.qwen2_vl.base import SHAPES
from merv.models.qwen2_vl.config import TINY, Qwen2VLConfig
from merv.models.qwen2_vl.grounding_head import GroundingHeadConfig
from merv.models.qwen2_vl.net import RoleLM
from merv.models.qwen2_vl.role_weights import RoleWeights, put_roles
from merv.models.qwen2_vl.roles import ROLES
from merv.models.qwen2_vl.tiny import TinyBaseConfig
from merv.registry import did_you_mean

ROLE_MODELS = {
    "yeliudev/VideoMind-2B": "VideoMind's planner, grounder and verifier on Qwen2-VL-2B",
    "yeliudev/VideoMind-7B": "VideoMind's planner, grounder and verifier on Qwen2-VL-7B",
}
"""Published role models and what they are."""

MODEL_TYPE = "agent_qwen2_vl"
CONFIG, HEAD = "config.json", "pytorch_model.safetensors"
SAID = "merv"
"""Key of config.json with what only we need: looks, words and sizes of each role."""
TOKEN_KEYS = {"reg_token_id": "reg", "seg_s_token_id": "segment_start", "seg_e_token_id": "segment_end"}
"""Keys of config.json, and our names of the tokens."""
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
"""Sizes of the language model that tell bases apart."""


@dataclass
class RoleFolder:
    """What a folder holds; nothing of it has been put into a model."""

    path: Path
    data: dict[str, Any]
    """Its config.json."""
    roles: list[RoleWeights]
    configs: dict[str, Qwen2VLConfig]
    """Of each role it holds, and of the answerer, who needs no adapter."""

    @property
    def own_role(self) -> str:
        """Who is asked when nobody is named: the only role, or the answerer."""
        return self.roles[0].role if len(self.roles) == 1 else "answerer"


def is_roles(folder: Path) -> bool:
    """Whether a folder is laid out like this."""
    return (folder / CONFIG).is_file() and bool(_role_folders(folder))


def weight_files(folder: Path) -> list[Path]:
    """The files that decide what the roles say, sorted; for a hash."""
    found = [folder / CONFIG, *folder.glob("*.safetensors")]
    found += [path for role in _role_folders(folder) for path in role.iterdir() if path.is_file()]
    return sorted(found)


def find_roles(name: str) -> Path:
    """The folder of a published role model, fetched into the hub's cache if it is not there.

    Raises:
        ConfigError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import snapshot_download

    wanted = [CONFIG, HEAD]
    wanted += [f"{role}/{file}" for role in ("planner", "grounder", "verifier") for file in (ADAPTER_CONFIG, ADAPTER)]
    cached = [find_cached(name, file) for file in wanted]
    if all(cached):
        assert cached[0] is not None
        return cached[0].parent
    fail = partial(_missing_line, name)
    if not hub_is_reachable():
        raise ConfigError(fail("the hub cannot be reached from here"))
    with refusals_told(name, fail):
        return Path(snapshot_download(name, allow_patterns=wanted))


def _missing_line(name: str, cause: str, *, gated: bool | None = None) -> str:
    line = missing(HubSource(name), cause, what=f"model `{name}`", option="", gated=gated, kind="adapters")
    return line.replace("name a local folder with ", "name the folder it was copied to")


def read_roles(folder: Path, base: Path | None = None) -> RoleFolder:
    """Read a folder.

    Args:
        folder: config.json, and a folder for each role.
        base: folder with the base; None means the base that config.json names.

    Raises:
        CheckpointError: a file is missing, damaged, a pickle, or contradicts another.
        ConfigError: its base is none we know.
    """
    data = read_json(folder / CONFIG)
    if data.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{folder / CONFIG} is of a `{data.get('model_type')}`; beside adapters of roles it is of a {MODEL_TYPE}"
        )
    found = {_role_of(path): path for path in _role_folders(folder)}
    owner = str(data.get("role", "")).lower()
    configs = _configs(folder, data, base, [*(role for role in ROLES if role in found), "answerer"])
    roles = []
    for role in ROLES:
        if role in found:
            weights = read_adapter(found[role], role, _base_path(data))
            if ROLES[role].has_head:
                weights.head_file = _head_file(folder, found[role], role, owner, list(found))
                weights.head = {without_prefix(key): t for key, t in read_tensors(weights.head_file).items()}
            roles.append(weights)
    return RoleFolder(folder, data, roles, configs)


def load_roles(found: RoleFolder, configs: Mapping[str, Qwen2VLConfig], own: str, *, seed: int = 0) -> RoleLM:
    """The base with all the roles of a folder.

    Args:
        found: the folder.
        configs: of every role, as the folder says or changed since.
        own: the role that answers when none is named.
        seed: of what the folder does not say: nothing, as long as it is complete.

    Raises:
        ConfigError: the base is not to be had, or is no Qwen2-VL.
        CheckpointError: an adapter or head is of another base.
    """
    judge = configs.get("verifier", configs[own])  # the protocol outside of heads is about verifying
    model = replace(configs[own], protocol=judge.protocol).build(seed=seed)
    check_base(found, model)
    put_roles(model, found.roles, {role: config.head for role, config in configs.items()})
    model.processor = replace(
        model.processor,
        budgets={**model.processor.budgets, **{role: config.budgets()[role] for role, config in configs.items()}},
        wordings={role: config.wording for role, config in configs.items()},
        timestamps=tuple(role for role, config in configs.items() if config.timestamps),
        max_length=max(config.max_length for config in configs.values()),
    )
    return model.eval()


def _role_folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{ADAPTER_CONFIG}"))


def _role_of(folder: Path) -> str:
    role = folder.name.lower()
    if role not in ROLES:
        hint = did_you_mean(role, ROLES).replace("registered:", "roles:")
        raise CheckpointError(f"{folder} is an adapter of no role we know; {hint}")
    return role


def _head_file(folder: Path, own: Path, role: str, owner: str, held: list[str]) -> Path:
    """The file with a role's head: in its own folder, or the one of the whole folder, which belongs to one role."""
    if any((own / name).exists() for name in (HEAD, "pytorch_model.bin")):
        return file_of_tensors(own / HEAD)
    finders = [name for name in held if ROLES[name].has_head]
    if len(finders) == 1 or role == owner:
        return file_of_tensors(folder / HEAD)
    raise CheckpointError(f"{own} lacks {HEAD}, the head of the {role}; the one in {folder} is of the {owner}")


def _base_path(data: Mapping[str, Any]) -> str:
    return str(data.get("base_model_path") or "")


def _configs(folder: Path, data: Mapping[str, Any], path: Path | None, roles: list[str]) -> dict[str, Qwen2VLConfig]:
    """The config of each role: as we wrote it, else as it was published."""
    said = data.get(SAID)
    if said is None:
        base = _published_base(folder, data, path)
        return {
            role: Qwen2VLConfig(
                role=role,  # type: ignore[arg-type]  # one of ROLES
                protocol="videomind",
                head=GroundingHeadConfig(protocol="videomind"),
                timestamps=role == "gqa",
                **base,
            )
            for role in roles
        }
    try:
        return {role: _from_said(said[role], role) for role in roles}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / CONFIG}: `{SAID}` cannot be used: {type(error).__name__} {error}") from error


def _from_said(said: Mapping[str, Any], role: str) -> Qwen2VLConfig:
    known = {known.name for known in fields(Qwen2VLConfig)}
    strange = sorted(set(said) - known)
    if strange:
        raise ValueError(f"unknown `{strange[0]}`")
    path = Path(said["path"]) if said.get("path") else None
    more = {
        "path": path if path and path.is_dir() else None,  # another machine has it elsewhere
        "tiny": TinyBaseConfig(**said["tiny"]),
        "head": GroundingHeadConfig(**said["head"]),
    }
    return Qwen2VLConfig(**{**said, **more, "role": role})


def _published_base(folder: Path, data: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """Name and folder of the base a published config.json names.

    Raises:
        ConfigError: it names none, or one we do not know.
    """
    named = _base_path(data)
    known = {repo.rpartition("/")[2]: repo for repo in SHAPES}
    last = Path(named).name
    if last in known:
        return {"base": known[last], "path": Path(named) if Path(named).is_dir() else None}
    if named == TINY:
        return {"base": TINY}
    if path is not None or (named and Path(named).is_dir()):
        return {"base": last or "base", "path": path or Path(named)}
    raise ConfigError(
        f"{folder / CONFIG}: base_model_path is `{named}`, which is no folder here and none of {', '.join(known)}; "
        "name the base's folder with path"
    )


def check_base(found: RoleFolder, model: RoleLM) -> None:
    """Compare the base with what the folder says of it.

    Raises:
        CheckpointError: sizes or the numbers of tokens differ.
    """
    text, file = model.llm.model.config.get_text_config(), found.path / CONFIG
    for name in SIZES:
        if name in found.data and found.data[name] != getattr(text, name):
            raise CheckpointError(
                f"{file} is for another base: {name} is {found.data[name]} there, {getattr(text, name)} in "
                f"{model.config.path or model.config.base}"
            )
    for key, name in TOKEN_KEYS.items():
        here = getattr(model.processor.ids, name)
        if found.data.get(key, here) != here:
            raise CheckpointError(
                f"{file} is for another tokenizer: {key} is {found.data[key]} there, {here} in that of "
                f"{model.config.path or model.config.base}"
            )
