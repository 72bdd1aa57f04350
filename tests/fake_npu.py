"""Run as a program: what merv decides on a machine whose accelerator torch calls `npu`; prints the facts as JSON.

The device is torch's place for other vendors' devices under another name, as torch-npu has it.  It answers questions
and computes nothing.
"""

import json
import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
import torch.distributed as dist
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from merv import runtime
from merv.models.base import ModelConfig
from merv.runs import assemble
from merv.training.checkpoint import Checkpointer
from merv.training.metrics import device_name, peak_memory_gib
from merv.training.randomness import random_state
from merv.training.strategies.fsdp import FsdpConfig
from merv.training.strategies.single import SingleConfig
from merv.training.world import World, join_world


class FakeNpu:
    """What `torch.npu` answers; memory figures are nowhere else, as with torch-npu."""

    has_bfloat16 = True

    def is_available(self):
        return True

    def is_initialized(self):
        return True

    def device_count(self):
        return 2

    def current_device(self):
        return 1

    def _is_in_bad_fork(self):
        return False

    def manual_seed_all(self, seed):
        self.seed = seed

    def is_bf16_supported(self):
        return self.has_bfloat16

    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]

    def get_device_name(self, device):
        return "Ascend910B3"

    def max_memory_allocated(self, device):
        return 3 * 2**30

    def get_rng_state(self):
        return torch.zeros(8, dtype=torch.uint8)


def as_hccl(store, rank, size, timeout):
    return dist.ProcessGroupGloo(store, rank, size, timedelta(seconds=30))


def chosen_precision():
    config = SimpleNamespace(enable_mixed_precision_training=True, reduce_in_full_precision=True)
    precision = assemble.precision(config, runtime.device())
    return [str(precision.compute), str(precision.reduce)]


def loader_options(world):
    anything = mock.MagicMock()
    anything.__len__.return_value = 1
    with mock.patch.object(assemble, "build_loader") as build_loader:
        assemble.open_loader(anything, world, anything, anything, anything, anything, steps=1)
    return build_loader.call_args.kwargs


def facts(npu: FakeNpu, world: World):
    stager = Checkpointer(Path(tempfile.mkdtemp()), world)._stager._config
    precision = assemble.precision(SimpleNamespace(**vars(ModelConfig.get("merv-tiny")())), world.device)
    batch = SimpleNamespace(to=lambda device: device)
    device, mixed = (
        SingleConfig()
        .build(world, precision)
        .forward(lambda device: (str(device), torch.is_autocast_enabled("npu")), batch)
    )
    yield "device", str(runtime.device())
    yield "backends", str(dist.get_backend_config())
    yield "mesh", FsdpConfig().build(world, precision).mesh.device_type
    yield "batches go to", device
    yield "autocast", mixed
    yield "batches are pinned", loader_options(world)["pin_memory"]
    yield "staging is pinned and overlaps", [stager.use_pinned_memory, stager.use_non_blocking_copy]
    yield "name", device_name(world.device)
    yield "peak GiB", peak_memory_gib(world.device)
    yield "random state of the device is kept", "accelerator" in random_state()
    yield "seed", npu.seed
    yield "precision", chosen_precision()
    npu.has_bfloat16 = False
    yield "precision without bfloat16", chosen_precision()
    FakeNpu.is_bf16_supported = property()  # as if the module had none
    yield "precision where torch.npu cannot say and a product fails", chosen_precision()


def main():
    """Be the second process of one that is alone: its device has number 1."""
    os.environ["LOCAL_RANK"] = "1"
    npu = FakeNpu()
    _setup_privateuseone_for_python_backend("npu", npu)
    dist.Backend.register_backend("hccl", as_hccl, devices=["npu"])
    runtime.seed_everything(7)
    with join_world(timeout_s=30) as world:
        sys.stdout.write(json.dumps(dict(facts(npu, world))))


if __name__ == "__main__":
    main()
