"""Architecture numbers of the published language models, as their config.json gives them: for `init random`.

With them a model can be built at its full size where nothing of it has been downloaded.
"""

from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, Any]
"""Fields of a config.json, `model_type` among them."""

_LLAMA2 = {
    "model_type": "llama",
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
_LLAMA3 = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}
_QWEN25 = {
    "model_type": "qwen2",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
}

LLAMA2_7B: Shape = {
    **_LLAMA2,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
}
"""Table 1 of https://arxiv.org/abs/2307.09288; Vicuna v1.5 has the same."""
LLAMA2_13B: Shape = {
    **_LLAMA2,
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
    "num_key_value_heads": 40,
}
LLAMA3_8B: Shape = {**_LLAMA3, "max_position_embeddings": 8192}
"""Table 3 of https://arxiv.org/abs/2407.21783."""
LLAMA31_8B: Shape = {
    **_LLAMA3,
    "max_position_embeddings": 131072,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
QWEN25_3B: Shape = {
    **_QWEN25,
    "vocab_size": 151936,
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
"""Table 1 of https://arxiv.org/abs/2412.15115; small ones share their embeddings with the head."""
QWEN25_7B: Shape = {
    **_QWEN25,
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
