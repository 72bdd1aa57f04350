"""Roles trained one by one, joined in one folder as VideoMind publishes them.

`merv export roles runs/grounder runs/verifier --out agents/mine`
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from merv.backbones.llm.files import has_tokenizer
from merv.backbones.llm.loading import load_tokenizer, read_config
from merv.backbones.llm.zoo import folder_of
from merv.conf.options import with_value, words_apart
from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError
from merv.models.lora import is_adapter
from merv.models.peft_files import ADAPTER, ADAPTER_CONFIG
from merv.models.qwen2_vl.adapter_files import Keys
from merv.models.qwen2_vl.config import TINY, Qwen2VLConfig
from merv.models.qwen2_vl.publish import Written, shape_of, write_folder
from merv.models.qwen2_vl.published import (
    CONFIG,
    HEAD,
    ROLE_MODELS,
    SIZES,
    TOKEN_KEYS,
    find_roles,
    is_roles,
    read_roles,
)
from merv.models.qwen2_vl.role_weights import RoleWeights, sort_out
from merv.models.qwen2_vl.roles import ROLES
from merv.models.qwen2_vl.tiny import tiny_base, tiny_tokenizer
from merv.models.qwen2_vl.tokens import TokenIds, add_tokens
from merv.models.weights import FILE, read_parts
from merv.runs.run_config import config_class

logger = logging.getLogger(__name__)

USAGE = "merv export roles RUN [RUN ...] --out DIR"
WRITTEN = {CONFIG, HEAD, "preprocessor_config.json"}
WRITTEN |= {"vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json"}
"""Files of an exported folder, beside those of the tokenizer that say so; --overwrite deletes no others."""


@dataclass
class ExportRolesConfig:
    """Join roles in one folder: `merv export roles RUN [RUN ...] --out DIR`."""

    runs: list[Path]
    """Folders of finished runs, a role each; folders of roles, and published ones by name, may stand among them."""
    out: Path
    """Folder to write."""
    overwrite: bool = False
    """Replace a folder of roles that is there; what others laid into it, such as eval/, stays."""
    keys: Keys = "videomind"
    """Names of modules: videomind, as its code has them, or transformers5, for peft on a current transformers."""

    def __post_init__(self) -> None:
        """Refuse what leaves nothing to do."""
        if not self.runs:
            raise ConfigError(f"runs is empty; name the folders of runs: {USAGE}")
        if self.out.exists() and not self._may_go():
            hint = "or add --overwrite" if is_roles(self.out) else "it is no folder of roles"
            raise ConfigError(f"{self.out} is there already; name another --out, {hint}")

    def _may_go(self) -> bool:
        """Whether what stands at `out` may be replaced."""
        is_empty = self.out.is_dir() and not any(self.out.iterdir())
        return is_empty or (self.overwrite and is_roles(self.out))


@dataclass
class Found:
    """One of the folders named."""

    path: Path
    roles: list[RoleWeights]
    configs: dict[str, Qwen2VLConfig]
    shape: dict[str, Any]
    """Of its base, see `merv.models.qwen2_vl.publish:shape_of`."""
    tokenizer: Any
    """None where the folder has none."""

    @property
    def base(self) -> dict[str, Any]:
        """What tells its base from others."""
        config = next(iter(self.configs.values()))
        facts = {"base": config.base.rpartition("/")[2], **{name: self.shape[name] for name in SIZES}}
        facts |= {f"vision {name}": self.shape["vision_config"][name] for name in ("depth", "embed_dim")}
        facts |= {f"tiny.{name}": value for name, value in asdict(config.tiny).items() if config.base == TINY}
        if self.tokenizer is not None:
            ids = TokenIds.of(self.tokenizer)
            return facts | {key: getattr(ids, name) for key, name in TOKEN_KEYS.items()}
        return facts | {key: self.shape[key] for key in TOKEN_KEYS if key in self.shape}


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line, `roles RUN [RUN ...]` among them, as options."""
    words, options = words_apart(with_value("--overwrite", args))
    if "-h" in options or "--help" in options:
        return options
    runs = ",".join(f'"{word}"' for word in words[1:])
    return [f"--runs=[{runs}]", *options] if runs else options


def export_roles(config: ExportRolesConfig) -> int:
    """Write the folder, by one rename; gives the exit status.

    Raises:
        ConfigError: runs that cannot be joined, or are of no role model.
        CheckpointError: a run is not finished, or damaged.
    """
    written = join([find(path) for path in config.runs])
    partial = config.out.with_name(f"{config.out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_folder(partial, written, keys=config.keys)
        _replace(config.out, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("%s holds %s", config.out, ", ".join(role.role for role in written.roles))
    return 0


def _replace(out: Path, new: Path) -> None:
    """Put a folder in the place of another; what others laid into that one, such as eval/, moves along."""
    old = out.with_name(f"{out.name}.old")
    if out.exists():
        _carry_over(old, out)  # an export that was killed here left it
        out.rename(old)
    new.rename(out)
    _carry_over(old, out)


def _carry_over(old: Path, out: Path) -> None:
    """Move what the exporter did not write, then delete the old folder."""
    if not old.is_dir():
        return
    of_roles = [path for path in old.iterdir() if path.is_dir() and path.name.lower() in ROLES]
    others = [path for path in old.iterdir() if path not in of_roles]
    for path in [*others, *(file for folder in of_roles for file in folder.iterdir())]:
        name = path.relative_to(old)
        if not _is_written(name) and not (out / name).exists():
            (out / name).parent.mkdir(exist_ok=True)
            path.rename(out / name)
    shutil.rmtree(old)


def _is_written(name: Path) -> bool:
    """Whether the exporter writes files of this name, relative to its folder."""
    if len(name.parts) == 2:
        return name.name in (ADAPTER_CONFIG, ADAPTER, HEAD)
    return name.name in WRITTEN or name.name.startswith(("tokenizer", "chat_template"))


def join(found: Sequence[Found]) -> Written:
    """The roles of several folders as one.

    Raises:
        ConfigError: a role that is there twice, or bases that differ.
    """
    first, where = found[0], dict[str, Path]()
    for one in found:
        _check_base(first, one)
        for role in one.roles:
            if role.role in where:
                raise ConfigError(f"role {role.role} is in {where[role.role]} and in {one.path}; name one of them")
            where[role.role] = one.path
    roles = {role.role: role for one in found for role in one.roles}
    configs = {name: one.configs[name] for one in reversed(found) for name in one.configs}
    configs |= {role.role: one.configs[role.role] for one in found for role in one.roles}
    tokenizer = next((one.tokenizer for one in found if one.tokenizer is not None), None)
    return Written(
        roles=[roles[name] for name in ROLES if name in roles],
        configs={name: configs[name] for name in ROLES if name in configs},
        shape={**first.shape, "vocab_size": max(one.shape["vocab_size"] for one in found)},
        tokenizer=tokenizer or _tokenizer_of(first.configs[first.roles[0].role]),
    )


def _check_base(one: Found, other: Found) -> None:
    here, there = one.base, other.base
    for name in here:
        if name in there and here[name] != there[name]:
            raise ConfigError(
                f"{one.path} and {other.path} are on different bases: {name} is {here[name]} and {there[name]}; roles "
                "of one folder share a base"
            )


def find(path: Path) -> Found:
    """Read a run's folder, or one of roles.

    Raises:
        ConfigError: the run is of no role model, or has no adapter.
        CheckpointError: there is no such run, it is not finished, or damaged.
    """
    if (path / FILE).is_file():
        return _of_run(path)
    if is_roles(path):
        return _of_folder(path)
    if str(path) in ROLE_MODELS and not path.is_dir():
        return _of_folder(find_roles(str(path)))
    if (path / "config.yaml").is_file():
        raise CheckpointError(f"{path} has no {FILE}: the run has not finished; resume it with its --run_id")
    raise CheckpointError(
        f"{path} is neither a run's folder nor one of roles; name folders such as runs/<run_id>, or "
        f"{' or '.join(ROLE_MODELS)}"
    )


def _of_folder(path: Path) -> Found:
    found = read_roles(path)
    lacking = [name for name in (*SIZES, "vision_config", "vocab_size") if name not in found.data]
    if lacking:
        raise CheckpointError(f"{path / 'config.json'} lacks {lacking[0]}; copy it again")
    own = ("merv", "role", "base_model_path", "architectures", "model_type")
    shape = {name: value for name, value in found.data.items() if name not in own}
    tokenizer = load_tokenizer(path, f"roles in {path}") if has_tokenizer(path) else None
    return Found(path, found.roles, found.configs, shape, tokenizer)


def _of_run(path: Path) -> Found:
    if not (path / "config.yaml").is_file():
        raise CheckpointError(f"{path} is no run: it has no config.yaml; name a folder such as runs/<run_id>")
    file = path / "config.yaml"
    run = parse(config_class(file), ["--config_path", str(file)])
    config = run.model
    if not isinstance(config, Qwen2VLConfig):
        raise ConfigError(f"{path} is of a {config.type_name}, which plays no role; name runs of role models")
    tensors, _, lora = read_parts(path / FILE)
    whole = [name for name in tensors if name.startswith(("llm.", "vision.")) and not is_adapter(name)]
    if whole or not config.is_published():
        raise ConfigError(
            f"{path} has a base of its own, which no other role can share; train adapters on a published one"
        )
    adapter, head = sort_out(tensors).get(config.role, ({}, {}))
    if not adapter:
        raise ConfigError(f"{path} has no adapter: stage {run.stage} with lora.rank {lora.rank} left none; train one")
    if ROLES[config.role].has_head and not head:
        raise CheckpointError(f"{path / FILE} lacks the head of the {config.role}; train it again")
    roles = [RoleWeights(config.role, lora, adapter, head or None, path / FILE)]
    tokenizer = load_tokenizer(path, f"run {path}") if has_tokenizer(path) else _tokenizer_of(config)
    shape = _shape_of(config)
    shape["vocab_size"] = max(shape["vocab_size"], len(tokenizer))
    return Found(path, roles, {config.role: config, **_answerer(config)}, shape, tokenizer)


def _answerer(config: Qwen2VLConfig) -> Mapping[str, Qwen2VLConfig]:
    """The config of the answerer that is the base alone; none where an answerer was trained."""
    if config.role == "answerer":
        return {}
    look: dict[str, Any] = dict.fromkeys(("fps", "max_frames", "min_pixels", "max_pixels"))
    return {"answerer": replace(config, role="answerer", timestamps=False, **look)}


def _shape_of(config: Qwen2VLConfig) -> dict[str, Any]:
    if config.base == TINY:
        return shape_of(tiny_base(config.tiny, tiny_tokenizer()).config)
    what = f"base `{config.base}`"
    return shape_of(read_config(folder_of(config.base, config.path, weights=False), what))


def _tokenizer_of(config: Qwen2VLConfig) -> Any:
    """That of the base, with the roles' tokens."""
    if config.base == TINY:
        tokenizer = tiny_tokenizer()
    else:
        tokenizer = load_tokenizer(folder_of(config.base, config.path, weights=False), f"base `{config.base}`")
    add_tokens(tokenizer)
    return tokenizer
