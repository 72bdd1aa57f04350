"""A Hugging Face model for Megatron-core, and back.

`merv export megatron --model DIR --dtype bfloat16 --tp 2 --pp 2 --test-precision --out DIR`
`merv export megatron --from-megatron DIR --out DIR`
`merv export megatron --from-megatron DIR --reshard --tp 4 --out DIR`
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from merv.conf.options import with_value, words_apart
from merv.errors import ConfigError
from merv.export.gpt import check_computes, check_installed
from merv.export.hf_folder import HfFolder, HfWeights, Weights
from merv.export.megatron import write_hf, write_megatron
from merv.export.megatron_dist import write_dist
from merv.export.megatron_files import ASIDE, Layout, MegatronWeights
from merv.export.precision import check_precision
from merv.space import check_apart, check_free

logger = logging.getLogger(__name__)

USAGE = "merv export megatron --model DIR --out DIR, or --from-megatron DIR --out DIR"
FLAGS = ("--overwrite", "--test-precision", "--test_precision", "--reshard")
"""Options that may stand alone."""


@dataclass
class ExportMegatronConfig:
    """A model for Megatron-core: `merv export megatron --model DIR --out DIR`; or back, `--from-megatron DIR`."""

    out: Path
    """Folder to write."""
    model: Path | None = None
    """Folder of a Hugging Face model with safetensors; on the way back None means the one laid aside at export."""
    from_megatron: Path | None = None
    """Folder of a Megatron checkpoint to bring back; None writes one."""
    reshard: bool = False
    """Lay the checkpoint of `from_megatron` out anew, by tp and pp, and write no Hugging Face folder."""
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """Type of the tensors; None keeps theirs."""
    tp: int = 1
    """Ranks of tensor parallelism."""
    pp: int = 1
    """Stages of pipeline parallelism."""
    format: Literal["torch", "torch_dist"] = "torch"
    """Megatron's --ckpt-format: torch, a file for each rank, which also comes back, or torch_dist, for any layout."""
    make_vocab_size_divisible_by: int = 128
    """Rows of the vocabulary that each rank holds are padded to a multiple of it, as Megatron's option says."""
    test_precision: bool = False
    """Run both models on one batch and compare their logits; needs the package megatron-core."""
    overwrite: bool = False
    """Replace a folder that is there."""

    def __post_init__(self) -> None:
        """Refuse what cannot work together."""
        if self.model is None and self.from_megatron is None:
            raise ConfigError(f"nothing to export is named: {USAGE}")
        if self.reshard and self.from_megatron is None:
            raise ConfigError("--reshard lays out a checkpoint anew; name it with --from-megatron")
        if self.from_megatron is not None and not self.reshard and (self.tp, self.pp) != (1, 1):
            raise ConfigError("--tp and --pp are of a checkpoint to write; add --reshard, or leave them out")
        if self.test_precision and self.from_megatron is not None:
            raise ConfigError("--test-precision compares a checkpoint with the --model it is made of; leave it out")
        if self.test_precision and self.format == "torch_dist":
            raise ConfigError("--test-precision reads a checkpoint of --format torch; leave one of the two out")
        if self.make_vocab_size_divisible_by < 1:
            raise ConfigError(f"make_vocab_size_divisible_by is {self.make_vocab_size_divisible_by}; at least 1")

    @property
    def layout(self) -> Layout:
        """Of the checkpoint to write."""
        return Layout(self.tp, self.pp, self.make_vocab_size_divisible_by)

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """Of the tensors."""
        return None if self.dtype is None else getattr(torch, self.dtype)


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line, `megatron` among them, as options.

    Raises:
        ConfigError: a word that belongs to no option.
    """
    for flag in FLAGS:
        args = with_value(flag, args)
    words, options = words_apart(args)
    if words != ["megatron"] and "-h" not in options and "--help" not in options:
        odd = next((word for word in words if word != "megatron"), "nothing")
        raise ConfigError(f"`{odd}` is no option: {USAGE}")
    return options


def export_megatron(config: ExportMegatronConfig) -> int:
    """Write the folder; gives the exit status, 1 when the precision test failed.

    Raises:
        ConfigError: the options do not fit the model, `out` is there, or the disk is too small.
        CheckpointError: weights are damaged, or of another model.
    """
    check_free(config.out, config.overwrite)
    check_apart(config.out, *(source for source in (config.model, config.from_megatron) if source is not None))
    if config.from_megatron is not None:
        return _from_megatron(config, config.from_megatron)
    assert config.model is not None
    hf = HfFolder(config.model)
    hf.sizes.check_divides(config.tp, config.pp)
    if config.test_precision:  # before minutes of writing
        check_computes(hf.config)
    if config.test_precision or config.format == "torch_dist":
        check_installed("--test-precision" if config.test_precision else "--format torch_dist")
    _write(config, HfWeights(hf))
    logger.info("%s holds %s for %d ranks", config.out, hf.config.model_type, config.tp * config.pp)
    return _test(config.out, hf) if config.test_precision else 0


def _write(config: ExportMegatronConfig, weights: Weights) -> None:
    write = write_dist if config.format == "torch_dist" else write_megatron
    write(weights, config.out, config.layout, dtype=config.torch_dtype, overwrite=config.overwrite)


def _test(out: Path, hf: HfFolder) -> int:
    precision = check_precision(MegatronWeights(out, hf), hf)
    for line in precision.lines():
        logger.log(logging.INFO if precision.passed else logging.ERROR, line)
    return 0 if precision.passed else 1


def _from_megatron(config: ExportMegatronConfig, checkpoint: Path) -> int:
    aside = checkpoint / ASIDE
    if config.model is None and not aside.is_dir():
        raise ConfigError(
            f"{checkpoint} has no {ASIDE}/, which merv lays aside at export; name the Hugging Face folder with --model"
        )
    hf = HfFolder(config.model or aside)
    weights = MegatronWeights(checkpoint, hf)
    if config.reshard:
        _write(config, weights)
    else:
        write_hf(weights, config.out, dtype=config.torch_dtype, overwrite=config.overwrite)
    logger.info("%s holds %s", config.out, hf.config.model_type)
    return 0
