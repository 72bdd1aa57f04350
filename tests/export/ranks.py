"""GPTModel as one rank of many builds it, in this process: process groups that send nothing stand for the others."""

from contextlib import contextmanager
from unittest import mock

import torch
import torch.distributed as dist

from merv.export.gpt import ASKED, positions_of, transformer_options


@contextmanager
def as_rank(layout, stage, rank):
    from megatron.core import parallel_state
    from megatron.core.tensor_parallel.random import initialize_rng_tracker
    from torch.testing._internal.distributed.fake_pg import FakeStore

    place = stage * layout.tp + rank
    dist.init_process_group("fake", store=FakeStore(), rank=place, world_size=layout.tp * layout.pp)
    here = mock.patch(ASKED, return_value=torch.device("cpu"))
    stay = mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor)
    try:
        with here, stay:
            parallel_state.initialize_model_parallel(layout.tp, layout.pp, create_gloo_process_groups=False)
            initialize_rng_tracker(inference_rng_tracker=True)
            assert parallel_state.get_tensor_model_parallel_rank() == rank
            assert parallel_state.get_pipeline_model_parallel_rank() == stage
            yield
    finally:
        parallel_state.destroy_model_parallel()
        dist.destroy_process_group()


def gpt_of_rank(hf, layout, stage):
    """Within `as_rank`: the model that Megatron-LM would build there."""
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from megatron.core.models.gpt.gpt_model import GPTModel
    from megatron.core.transformer.transformer_config import TransformerConfig

    config = TransformerConfig(
        **transformer_options(hf.config, hf.sizes),
        tensor_model_parallel_size=layout.tp,
        pipeline_model_parallel_size=layout.pp,
        pipeline_dtype=torch.float32,
    )
    return GPTModel(
        config,
        get_gpt_layer_local_spec(normalization="RMSNorm"),
        vocab_size=hf.sizes.padded_vocab_size(layout.divisible_by, layout.tp),
        max_sequence_length=64,
        pre_process=stage == 0,
        post_process=stage == layout.pp - 1,
        share_embeddings_and_output_weights=hf.sizes.tied,
        **positions_of(hf.config),
    )
