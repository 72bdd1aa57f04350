"""Megatron-core's GPTModel for a Hugging Face config: its options, and one built in this process alone.

Megatron-core asks CUDA for its device even where there is none; `alone` answers with the device we compute on.
https://github.com/NVIDIA/Megatron-LM/tree/main/megatron/core
"""

import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch.nn import functional as F

from merv.errors import ConfigError
from merv.export.hf_folder import HfFolder
from merv.export.megatron_files import ITERATION, Layout
from merv.export.sizes import Sizes
from merv.runtime import is_accelerator, quiet

LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""What Megatron-core takes for granted of Llama 3's scaled positions."""
ASKED = "torch.cuda.current_device"
"""What Megatron-core asks for the device of its tensors."""
WAITED = "torch.cuda.synchronize"
"""What it waits with for copies to the host, before it writes them."""


def positions_of(config: Any) -> dict[str, Any]:
    """GPTModel's options for rotary positions."""
    text = config.get_text_config()
    rope = text.rope_parameters
    options: dict[str, Any] = {"position_embedding_type": "rope", "rotary_base": rope["rope_theta"]}
    if "mrope_section" in rope:
        return options | {"position_embedding_type": "mrope"}
    if rope["rope_type"] == "llama3":
        options |= {"rope_scaling": True, "rope_scaling_factor": rope["factor"]}
    if rope["rope_type"] == "linear":
        options |= {"seq_len_interpolation_factor": rope["factor"]}
    return options


def check_computes(config: Any) -> None:
    """Refuse what GPTModel computes otherwise, although its tensors are the same.

    Raises:
        ConfigError: names the option of config.json.
    """
    text = config.get_text_config()
    rope = text.rope_parameters
    kind = rope["rope_type"]
    odd = [
        f"rope {name} {rope.get(name)}" for name, known in LLAMA3.items() if kind == "llama3" and rope[name] != known
    ]
    if kind not in ("default", "linear", "llama3"):
        odd.append(f"rope type {kind}")
    if text.hidden_act != "silu":
        odd.append(f"hidden_act {text.hidden_act}")
    if odd:
        raise ConfigError(
            f"--test-precision cannot compute a model with {odd[0]}: megatron-core's GPTModel has no such option; "
            "leave the test out"
        )


def args_of(hf: HfFolder, layout: Layout, dtype: torch.dtype) -> Namespace:
    """What Megatron-LM keeps beside the weights, and takes over with --use-checkpoint-args."""
    sizes, text = hf.sizes, hf.config.get_text_config()
    options = positions_of(hf.config)
    return Namespace(
        num_layers=sizes.num_layers,
        hidden_size=sizes.hidden_size,
        ffn_hidden_size=sizes.ffn_size,
        num_attention_heads=sizes.num_heads,
        group_query_attention=True,
        num_query_groups=sizes.num_groups,
        kv_channels=sizes.head_dim,
        max_position_embeddings=text.max_position_embeddings,
        seq_length=text.max_position_embeddings,
        vocab_size=sizes.vocab_size,
        make_vocab_size_divisible_by=layout.divisible_by,
        padded_vocab_size=sizes.padded_vocab_size(layout.divisible_by, layout.tp),
        untie_embeddings_and_output_weights=not sizes.tied,
        position_embedding_type=options["position_embedding_type"],
        rotary_base=int(options["rotary_base"]),
        rotary_percent=1.0,
        mrope_section=text.rope_parameters.get("mrope_section"),
        use_rope_scaling=options.get("rope_scaling", False),
        rope_scaling_factor=options.get("rope_scaling_factor", 8.0),
        rotary_seq_len_interpolation_factor=options.get("seq_len_interpolation_factor"),
        normalization="RMSNorm",
        norm_epsilon=text.rms_norm_eps,
        swiglu=True,
        add_bias_linear=False,
        add_qkv_bias=sizes.has_qkv_bias,
        transformer_impl="local",
        tensor_model_parallel_size=layout.tp,
        pipeline_model_parallel_size=layout.pp,
        virtual_pipeline_model_parallel_size=None,
        params_dtype=dtype,
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        iteration=ITERATION,
        consumed_train_samples=0,
        consumed_valid_samples=0,
    )


def check_installed(option: str) -> None:
    """Refuse to go on without megatron-core, which only few options need.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about Apex and Transformer Engine, which are not used
            import megatron.core  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"{option} needs the package megatron-core; pip install 'merv[megatron]', or leave the option out"
        ) from error


@contextmanager
def alone(device: torch.device) -> Iterator[None]:
    """Within it Megatron-core has process groups of this process alone, and computes and saves on `device`.

    Raises:
        ConfigError: this process is one of several.
    """
    check_installed("this export")
    if dist.is_initialized():
        raise ConfigError("this export runs in one process; start it without torchrun")
    here, done = mock.patch(ASKED, return_value=device), mock.patch(WAITED, partial(wait, device))
    with warnings.catch_warnings(), quiet("megatron"), here, done:
        warnings.simplefilter("ignore")
        from megatron.core import parallel_state
        from megatron.core.tensor_parallel.random import initialize_rng_tracker

        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            parallel_state.initialize_model_parallel(create_gloo_process_groups=False)
            initialize_rng_tracker(inference_rng_tracker=True)  # the other kind is CUDA's
            yield
        finally:
            parallel_state.destroy_model_parallel()
            parallel_state.destroy_global_memory_buffer()
            dist.destroy_process_group()


def wait(device: torch.device) -> None:
    """Wait for what an accelerator was asked to do."""
    if is_accelerator(device):
        torch.accelerator.synchronize(device)


def transformer_options(config: Any, sizes: Sizes) -> dict[str, Any]:
    """TransformerConfig's options for layers that compute as the Hugging Face model's do."""
    text = config.get_text_config()
    return {
        "num_layers": sizes.num_layers,
        "hidden_size": sizes.hidden_size,
        "ffn_hidden_size": sizes.ffn_size,
        "num_attention_heads": sizes.num_heads,
        "num_query_groups": sizes.num_groups,
        "kv_channels": sizes.head_dim,
        "layernorm_epsilon": text.rms_norm_eps,
        "normalization": "RMSNorm",
        "activation_func": F.silu,
        "gated_linear_unit": True,
        "add_bias_linear": False,
        "add_qkv_bias": sizes.has_qkv_bias,
        "mrope_section": text.rope_parameters.get("mrope_section"),
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "bias_dropout_fusion": False,
        "use_cpu_initialization": True,
        "perform_initialization": False,
    }


def build_gpt(hf: HfFolder, state: dict[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    """A GPTModel with all layers and the tensors of `state`, which are of type `dtype`; within `alone`."""
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from megatron.core.models.gpt.gpt_model import GPTModel
    from megatron.core.transformer.transformer_config import TransformerConfig

    model = GPTModel(
        TransformerConfig(**transformer_options(hf.config, hf.sizes), params_dtype=dtype),
        get_gpt_layer_local_spec(normalization="RMSNorm"),
        vocab_size=len(state["embedding.word_embeddings.weight"]),
        max_sequence_length=hf.config.get_text_config().max_position_embeddings,
        share_embeddings_and_output_weights=hf.sizes.tied,
        parallel_output=False,
        **positions_of(hf.config),
    )
    model.to(dtype)  # norms too, as Megatron-LM does it
    model.load_state_dict(state, strict=True)
    return model.eval()
