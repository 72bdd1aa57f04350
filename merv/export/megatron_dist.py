"""A Megatron checkpoint of the format `torch_dist`, which any number of ranks and any layer spec load.

Megatron-core writes it itself; on a machine without CUDA it is told what it asks CUDA for (`merv.export.gpt:alone`).
The vision tower, which no GPTModel has, stands beside it in a file of its own.

OUT/latest_checkpointed_iteration.txt
OUT/iter_0000001/                       .metadata, *.distcp, common.pt, metadata.json
OUT/vision_model.safetensors            the vision tower under its own names, where there is one
OUT/huggingface/                        config, tokenizer, processor, names
"""

from pathlib import Path

import torch

from merv.export.gpt import alone, args_of, build_gpt
from merv.export.hf_folder import Weights
from merv.export.hf_writing import cast
from merv.export.megatron import CHECKPOINT_VERSION, num_bytes
from merv.export.megatron_files import ASIDE, ITERATION, TRACKER, VISION, Layout, rank_state
from merv.runtime import share
from merv.space import check_space, replaced


def write_dist(
    source: Weights, out: Path, layout: Layout, *, dtype: torch.dtype | None = None, overwrite: bool = False
) -> None:
    """Write the checkpoint; the whole model is in memory.

    Args:
        source: the weights.
        out: folder to write, by one rename.
        layout: what the vocabulary is padded for, and what the arguments in the checkpoint say.
        dtype: of the tensors; None keeps theirs.
        overwrite: whether to replace a folder that is there.

    Raises:
        ConfigError: megatron-core is not installed, the layout does not divide the model, `out` is there, or the disk
            is too small.
        CheckpointError: the source is damaged.
    """
    from safetensors.torch import save_file

    hf, kind = source.hf, dtype or source.dtype
    hf.sizes.check_divides(layout.tp, layout.pp)
    one = Layout(divisible_by=layout.divisible_by * layout.tp)
    with replaced(out, overwrite) as folder, alone(torch.device("cpu")):
        vision = {name: cast(tensor, dtype, name) for name, tensor in source.vision().items()}
        check_space(out, num_bytes(source, one, kind, vision))
        from megatron.core import dist_checkpointing

        iteration = folder / f"iter_{ITERATION:07d}"
        iteration.mkdir()
        model = build_gpt(hf, rank_state(source, 0, 0, one, kind), kind)
        state = {
            "model": model.sharded_state_dict(),
            "args": args_of(hf, layout, kind),
            "checkpoint_version": CHECKPOINT_VERSION,
            "iteration": ITERATION,
        }
        dist_checkpointing.save(state, str(iteration))
        if vision:
            save_file(vision, folder / f"{VISION}.safetensors", metadata={"format": "pt"})
            share(folder / f"{VISION}.safetensors")
        hf.lay_aside(folder / ASIDE)
        (folder / TRACKER).write_text(str(ITERATION))
