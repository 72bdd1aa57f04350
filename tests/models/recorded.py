"""Whole runs of the original implementation, recorded beside this checkout; tests skip where they are absent."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / ".." / "shared" / "golden"
CASES = ["lq", "lq_mixed", "concat", "concat_channel", "single"]


class Recorded(NamedTuple):
    """One batch through one model of the original."""

    tensors: dict[str, Tensor]
    weights: dict[str, dict[str, Tensor]]
    """Part of the model -> its state dict."""
    facts: dict[str, Any]
    llm_config: dict[str, Any]

    @property
    def num_encoders(self) -> int:
        return len(self.facts["encoders"])

    def features(self, index: int) -> Tensor:
        """What an encoder gave, text-only rows included; KeyError where it was too large to keep.  -> (B, T, N, D)."""
        return self.tensors[f"mid.features_{index}"].unflatten(1, (self.facts["temporal"][index], -1))

    def projected(self, index: int) -> Tensor:
        """What the projector made of it, for rows with frames only.  -> (V, V_i, D)."""
        return self.tensors[f"mid.projected_{index}"]

    def weights_of(self, part: str, prefix: str) -> dict[str, Tensor]:
        """The tensors below `prefix`, without it."""
        found = self.weights.get(part, {})
        return {key.removeprefix(prefix): tensor for key, tensor in found.items() if key.startswith(prefix)}


def recorded_run(case: str) -> Recorded:
    """Read a case of `CASES`, or skip the test."""
    if not SHARED.exists():
        pytest.skip("recorded runs of the original are not beside this checkout")
    run = SHARED / f"c_merv_{case}_run"
    return Recorded(
        load_file(SHARED / f"c_merv_{case}.safetensors"),
        torch.load(run / "checkpoints" / "latest-checkpoint.pt", weights_only=True)["model"],
        json.loads((SHARED / f"c_merv_{case}.json").read_text()),
        json.loads((run / "llm" / "config.json").read_text()),
    )
