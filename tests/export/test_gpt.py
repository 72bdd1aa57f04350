import sys

import pytest
import torch
import torch.distributed as dist

from merv.errors import ConfigError
from merv.export.gpt import alone, args_of, check_computes, check_installed, positions_of
from merv.export.hf_folder import HfFolder
from merv.export.megatron_files import Layout

from .tiny import TYPES, config_of

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 16.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def llama(**rope):
    return config_of("llama", rope_parameters={**LLAMA3, **rope})


@pytest.mark.parametrize("model_type", TYPES)
def test_every_type_of_the_table_can_be_computed(model_type):
    check_computes(config_of(model_type))

    kind = "mrope" if model_type.endswith("vl") else "rope"
    assert positions_of(config_of(model_type)) == {"position_embedding_type": kind, "rotary_base": 1e4}


def test_scaled_positions_become_options_of_the_model():
    linear = config_of("llama", rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0})

    assert positions_of(llama())["rope_scaling_factor"] == 16.0
    assert positions_of(linear)["seq_len_interpolation_factor"] == 2.0
    for config in (llama(), linear):
        check_computes(config)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (lambda: llama(high_freq_factor=8.0), r"rope high_freq_factor 8\.0"),
        (lambda: llama(rope_type="dynamic"), "rope type dynamic"),
        (lambda: config_of("qwen2", hidden_act="gelu"), "hidden_act gelu"),
    ],
)
def test_what_gptmodel_computes_otherwise_is_refused_by_the_test(config, what):
    with pytest.raises(
        ConfigError, match=f"--test-precision cannot compute a model with {what}: .*; leave the test out"
    ):
        check_computes(config())


def test_without_megatron_core_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "megatron.core", None)

    with pytest.raises(
        ConfigError, match=r"needs the package megatron-core; pip install 'merv\[megatron\]', or leave"
    ):
        check_installed("--format torch_dist")


def test_process_groups_and_patches_are_gone_afterwards():
    pytest.importorskip("megatron.core", reason="megatron-core is not installed (extra `megatron`)")
    asked = torch.cuda.current_device

    for _ in range(2):
        with alone(torch.device("cpu")):
            assert dist.get_world_size() == 1
            assert torch.cuda.current_device() == torch.device("cpu")
        assert not dist.is_initialized()
        assert torch.cuda.current_device is asked


def test_one_of_several_processes_is_refused():
    pytest.importorskip("megatron.core", reason="megatron-core is not installed (extra `megatron`)")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with pytest.raises(ConfigError, match="this export runs in one process; start it without torchrun"):
            alone(torch.device("cpu")).__enter__()
    finally:
        dist.destroy_process_group()


def test_arguments_name_the_padded_vocabulary_of_the_layout(tiny):
    args = args_of(HfFolder(tiny("qwen2", tied=True)), Layout(4, 2), torch.float16)

    assert (args.vocab_size, args.padded_vocab_size, args.untie_embeddings_and_output_weights) == (151, 512, False)
    assert (args.position_embedding_type, args.mrope_section, args.fp16) == ("rope", None, True)
