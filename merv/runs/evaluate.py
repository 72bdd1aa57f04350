"""Evaluate a run on a task: `merv eval --model runs/<run_id> --task.type synthetic-mcq`."""

import logging
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import merv.evaluation.tasks  # noqa: F401 - registers the tasks
from merv.agent.chain import ChainConfig, chosen_paths
from merv.agent.roles import as_role_model, read_roles
from merv.errors import ConfigError
from merv.evaluation import report
from merv.evaluation.answering import Answering, ModelAnswering
from merv.evaluation.judge import give_loader
from merv.evaluation.runner import RESULTS, evaluate_with
from merv.evaluation.task import Task, TaskConfig
from merv.models.base import VideoLM
from merv.models.hf_vlm.adapter_files import is_adapter_folder, read_adapter
from merv.models.hf_vlm.config import HfVlmConfig
from merv.models.hf_vlm.fingerprint import base_fingerprint
from merv.models.peft_files import ADAPTER, file_of_tensors
from merv.models.published import CHECKPOINT, MODELS, find_run
from merv.models.qwen2_vl.published import ROLE_MODELS, find_roles, is_roles, weight_files
from merv.models.weights import FILE
from merv.runs.folder import hash_of_file
from merv.runs.load import load, paths_of
from merv.runs.load_vlm import is_hub_name, is_vlm_folder
from merv.runtime import is_main

logger = logging.getLogger(__name__)


@dataclass
class EvalConfig:
    """A model, a task, and how to ask."""

    model: Path
    """Folder of a finished run, such as runs/<run_id>, or a published model, such as merv-full."""
    task: TaskConfig = field(default_factory=lambda: TaskConfig.new("synthetic-mcq"))
    """What to ask; `merv list tasks`."""
    batch_size: int = 8
    """Questions answered at a time; an agent answers one after the other."""
    max_new_tokens: int = 32
    """Longest answer in tokens; with an agent, that of the answerer."""
    agent: list[str] = field(default_factory=list)
    """Roles that answer together: planner,grounder,verifier,answerer, or some of them; `mupa` for MUPA's paths.
    Empty asks the model itself."""
    chain: ChainConfig = field(default_factory=ChainConfig)
    """Options of the agent."""
    out_dir: Path | None = None
    """Folder of the predictions and results; None means eval/<task> in the run's folder, and for an agent
    eval/<task>-agent-<roles>."""
    num_workers: int = 2
    """Processes that decode ahead; 0 decodes in the evaluating process."""
    decode_deadline_s: float = 60.0
    """Seconds one item may take to decode; after that it has failed."""
    resume: bool = True
    """Go on after the answers in out_dir; false refuses a folder that holds some."""
    plugins: list[str] = field(default_factory=list)
    """Packages to import first, so that what they register can be chosen."""

    adapter: Path | None = None
    """Folder of an adapter for a model of transformers, put onto `model`; None asks the model as it is."""
    model_options: dict[str, Any] = field(default_factory=dict)
    """Fields of the model's config in place of what the run says: `--model_options.num_frames 8`."""
    llm_path: Path | None = None
    """Local folder with the LLM's files, in place of the hub's; None means what the run says."""
    video_backbone_paths: dict[str, Path] = field(default_factory=dict)
    """Local folders of encoders' weights by name or its beginning: `--dinov2_path DIR` is short for it."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no sense."""
        if self.batch_size < 1 or self.max_new_tokens < 1:
            raise ConfigError(
                f"batch_size {self.batch_size} and max_new_tokens {self.max_new_tokens} must be at least 1"
            )
        if self.num_workers < 0 or not self.decode_deadline_s > 0:
            raise ConfigError(
                f"num_workers {self.num_workers} must be at least 0 and decode_deadline_s {self.decode_deadline_s:g} "
                "above 0"
            )
        chosen_paths(self.agent, read_roles(self.agent), self.chain)


def run(config: EvalConfig) -> int:
    """Ask, write out_dir, log the table; gives the exit status, 1 when every item failed.

    Raises:
        MervError: something the user can mend, in one line.
    """
    task = config.task.build()
    give_loader(task, load)
    model = load(config.model, **paths_of(config))
    name, answering = who_answers(config, model, task)
    out_dir = config.out_dir or _beside(config.model) / "eval" / name
    about = about_run(config.model, config.adapter)
    if config.model_options:
        about["options"] = config.model_options
    results = evaluate_with(answering, task, out_dir=out_dir, resume=config.resume, about_model=about)
    if is_main():
        row = {"task": task.name, **results}
        logger.info("results in %s\n%s", out_dir, report.table([row], list(row)))
    if results.get("failed") != results["num_items"]:
        return 0
    if is_main():
        logger.error(
            "all %d items of task `%s` failed, so nothing was measured; failed_items in %s says why",
            *(results["num_items"], task.name, out_dir / RESULTS),
        )
    return 1


def who_answers(config: EvalConfig, model: VideoLM, task: Task) -> tuple[str, Answering]:
    """The agent, or the model itself, and the name of the folder for its answers.

    Raises:
        ConfigError: the model does not play the roles, or the task asks nothing an agent can answer.
    """
    if not config.agent:
        return task.name, ModelAnswering(
            model,
            batch_size=config.batch_size,
            max_new_tokens=config.max_new_tokens,
            num_workers=config.num_workers,
            decode_deadline_s=config.decode_deadline_s,
        )
    from merv.agent.evaluate import ChainAnswering

    answering = ChainAnswering(
        as_role_model(model, read_roles(config.agent), str(config.model)),
        task,
        config.agent,
        config.chain,
        max_new_tokens=config.max_new_tokens,
        num_workers=config.num_workers,
        decode_deadline_s=config.decode_deadline_s,
    )
    return f"{task.name}-{answering.name}", answering


def _beside(path: Path) -> Path:
    """Folder of a run; of a published model, which has none here, one below runs."""
    return path if path.is_dir() else Path("runs") / path.name


def about_run(path: Path, adapter: Path | None = None) -> dict[str, Any]:
    """Where the model comes from, with the hash of its weights: other weights are another model.

    Raises:
        ConfigError: a published model that cannot be had.
    """
    if is_vlm_folder(path) or is_hub_name(str(path)):
        return _about_vlm(path, adapter)
    if str(path) in ROLE_MODELS and not path.is_dir():
        return _about_roles(path, find_roles(str(path)))
    if not (path / FILE).is_file() and is_roles(path):
        return _about_roles(path, path)
    if str(path) in MODELS and not path.is_dir():
        file = find_run(str(path)).checkpoint
    else:
        file = path / FILE if (path / FILE).is_file() else path / CHECKPOINT
    return {"path": str(path), "weights_sha256": hash_of_file(file)}


def _about_vlm(path: Path, adapter: Path | None) -> dict[str, Any]:
    """The same of a model of transformers: the base's fingerprint, and the hash of the adapter on it."""
    worn = path if is_adapter_folder(path) else adapter
    found: dict[str, Any] = {"path": str(path)}
    if worn is not None:
        held = read_adapter(worn)
        found |= {"adapter": str(worn), "base": held.base if worn == path else str(path)}
        found["adapter_sha256"] = hash_of_file(file_of_tensors(worn / ADAPTER))
    base = HfVlmConfig(path=str(found.get("base", path))).folder()
    found["base_fingerprint"] = base_fingerprint(base)
    lines = f"{found['base_fingerprint']} {found.get('adapter_sha256', '')}"
    return {**found, "weights_sha256": sha256(lines.encode()).hexdigest()}


def _about_roles(path: Path, folder: Path) -> dict[str, Any]:
    """The same of a folder of roles: one hash of its files' hashes."""
    lines = [f"{file.relative_to(folder)} {hash_of_file(file)}" for file in weight_files(folder)]
    return {"path": str(path), "weights_sha256": sha256("\n".join(lines).encode()).hexdigest()}
