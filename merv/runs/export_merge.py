"""An adapter made part of its base, in a folder of its own.

`merv export merge --adapter runs/aria-nextqa-lora --base rhymes-ai/Aria --out merged`
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from merv.backbones.hub import hub_is_reachable
from merv.conf import files
from merv.conf.options import with_value, words_apart
from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError
from merv.export.merge import check_repository, find_base, merge_plain, merged, push
from merv.export.merge_role import choose_role, merge_role
from merv.models.hf_vlm.adapter_files import is_adapter_folder, read_adapter
from merv.models.hf_vlm.whole import num_bytes, save_whole
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.qwen2_vl.config import Qwen2VLConfig
from merv.models.qwen2_vl.published import ROLE_MODELS, is_roles
from merv.models.stage import LoraConfig
from merv.models.weights import FILE, read_header, save_parts
from merv.runs.load import load
from merv.runs.pretrain_config import PretrainConfig
from merv.runs.run_config import config_class
from merv.space import check_apart, check_free, check_space, replaced

logger = logging.getLogger(__name__)

USAGE = "merv export merge --adapter DIR --out DIR [--base ID_OR_DIR]"


@dataclass
class ExportMergeConfig:
    """Make an adapter part of its base: `merv export merge --adapter DIR --out DIR`."""

    adapter: Path
    """Folder of a run with adapters, of roles, or of an adapter that peft wrote."""
    out: Path
    """Folder to write."""
    base: str | None = None
    """The hub's name of the base, or its folder; None means what the adapter says."""
    role: str | None = None
    """The role to merge, of a folder with several."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type of the weights; None keeps the base's.  The sum is made in float32 in any case."""
    push_to_hub: str | None = None
    """Repository to upload the folder to, as owner/name; a new one is private.  None uploads nothing."""
    overwrite: bool = False
    """Replace a folder that is there."""

    def __post_init__(self) -> None:
        """Refuse a name no repository can have."""
        if self.push_to_hub is not None:
            check_repository(self.push_to_hub)

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """Of the weights."""
        return None if self.dtype is None else getattr(torch, self.dtype)


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line, `merge` among them, as options.

    Raises:
        ConfigError: a word that belongs to no option.
    """
    words, options = words_apart(with_value("--overwrite", args))
    odd = next((word for word in words if word != "merge"), None)
    if odd is not None:
        raise ConfigError(f"`{odd}` is no option: {USAGE}")
    return options


def export_merge(config: ExportMergeConfig) -> int:
    """Write the folder, by one rename; gives the exit status.

    Raises:
        ConfigError: the options do not fit, `out` is there, the base is not to be had, or the disk is too small.
        CheckpointError: the adapter is damaged, or of another base.
    """
    check_free(config.out, config.overwrite)
    check_apart(config.out, config.adapter, *([] if config.base is None else [Path(config.base)]))
    if config.push_to_hub is not None and not hub_is_reachable():
        raise ConfigError(f"push_to_hub {config.push_to_hub}: the hub cannot be reached from here; leave it out")
    merge = _kind(config)
    with replaced(config.out, config.overwrite) as partial:
        merge(config, partial)
    logger.info("%s holds %s merged into its base", config.out, config.adapter)
    if config.push_to_hub is not None:
        push(config.out, config.push_to_hub)
    return 0


def _kind(config: ExportMergeConfig) -> Any:
    """What merges adapters of this folder's kind.

    Raises:
        ConfigError: it is of a model without adapters, or `role` is of no use.
        CheckpointError: it holds nothing to merge.
    """
    folder = config.adapter
    if is_roles(folder) or (str(folder) in ROLE_MODELS and not folder.is_dir()):
        return _merge_role
    kind: Any = None
    if is_adapter_folder(folder):
        kind = _merge_plain
    elif (folder / "config.yaml").is_file():
        model = _run(folder).model
        kinds = {Qwen2VLConfig: _merge_role, MultiEncoderConfig: _merge_multi_encoder}
        kind = next((merge for family, merge in kinds.items() if isinstance(model, family)), None)
    if kind is None:
        raise CheckpointError(_no_adapter(folder))
    if config.role is not None and kind is not _merge_role:
        raise ConfigError(f"role is {config.role}, but {folder} is of a model without roles; leave it out")
    return kind


def _no_adapter(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}; name one of a run with adapters, or of an adapter that peft wrote"
    if (folder / "config.yaml").is_file():
        return f"{folder} holds no adapter: its run trained whole weights, or has not finished"
    return f"{folder} holds no adapter: it has neither adapter_config.json nor config.yaml; name such a folder"


def _run(folder: Path) -> PretrainConfig:
    file = folder / "config.yaml"
    return parse(config_class(file), ["--config_path", str(file)])  # imports the run's plugins, too


def _merge_plain(config: ExportMergeConfig, out: Path) -> None:
    adapter = read_adapter(config.adapter)
    name = config.base or adapter.base
    if not name:
        raise ConfigError(f"adapter {config.adapter} does not say what it was trained on; name it with --base")
    base = find_base(name)
    check_apart(config.out, base)
    merge_plain(adapter, name, base, out, config.torch_dtype)


def _merge_role(config: ExportMergeConfig, out: Path) -> None:
    _check_finished(config.adapter)
    options = {"path": config.base} if config.base else {}
    model: Any = load(config.adapter, device="cpu", dtype=torch.float32, **options)
    merge_role(model, choose_role(model, config.role), out, config.torch_dtype)


def _merge_multi_encoder(config: ExportMergeConfig, out: Path) -> None:
    """A run's folder whose LLM is whole, and the LLM alone in `llm`."""
    _check_finished(config.adapter)
    parts, lora = read_header(config.adapter / FILE)
    if not lora.rank:
        raise CheckpointError(_no_adapter(config.adapter))
    run = _run(config.adapter)
    assert isinstance(run.model, MultiEncoderConfig)
    llm = run.model.llm_config()
    options: dict[str, Any] = {"llm_path": config.base} if config.base else {}
    if hasattr(llm, "dtype"):
        options["llm_options"] = {**run.model.llm_options, "dtype": "float32"}
    model: Any = load(config.adapter, device="cpu", dtype=torch.float32, **options)
    own = config.torch_dtype or getattr(torch, getattr(llm, "dtype", "float32"))
    language = merged(model.llm.model, own)
    state = {name: tensor.to(own) if config.dtype else tensor for name, tensor in model.state_dict().items()}
    state |= {f"llm.model.{name}": tensor for name, tensor in language.items()}
    kept = {name: tensor for name, tensor in state.items() if name.split(".", 1)[0] in {*parts, "llm"}}
    check_space(out, num_bytes(kept) + num_bytes(language))
    save_parts(out / FILE, kept, {*parts, "llm"}, LoraConfig())
    save_whole(out / "llm", language, model.llm.model.config, model.llm.tokenizer)
    _write_run(config, run, model, out)


def _write_run(config: ExportMergeConfig, run: PretrainConfig, model: Any, out: Path) -> None:
    """What tells where a merged run comes from, and lets `merv.load` open it."""
    stage: Any = {run.stage.replace("-", "_"): replace(run.stage_config, lora=LoraConfig())}
    whole = replace(run.model, **stage)
    if config.base:
        whole = replace(whole, llm_path=Path(config.base))  # type: ignore[call-arg]  # a multi-encoder's
    said = replace(run, model=whole, run_id=config.out.name, run_root_dir=config.out.parent)
    files.save(said, out / "config.yaml")
    (out / "config.json").write_text(json.dumps(files.encode(said), indent=1))
    (out / "lineage.json").write_text(json.dumps({"parents": [str(config.adapter)], "merged": True}, indent=1))
    model.processor.tokenizer.save_pretrained(out)


def _check_finished(folder: Path) -> None:
    if (folder / "config.yaml").is_file() and not (folder / FILE).is_file():
        raise CheckpointError(f"{folder} has no {FILE}: the run has not finished; resume it with its --run_id")
