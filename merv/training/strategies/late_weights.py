"""Weights that only the first process has read: every process gets its shards of them from there.

A model of 25 billion parameters is 50 GB in bfloat16 and 100 GB in the float32 that learns; eight processes that read
it one by one would fill a machine before a single shard is made.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from merv.training.world import World


class LateWeights:
    """The whole tensors of the first process, until everybody has its part of them."""

    def __init__(self, model: nn.Module, world: World) -> None:
        """Look, before the model is sharded, whether a process has it without weights.  A collective."""
        self._world = world
        own = {name: parameter.data for name, parameter in model.named_parameters()}
        [lacking] = world.sum(any(tensor.is_meta for tensor in own.values()))
        self.wanted = lacking > 0
        """Whether there is something to hand out."""
        self._whole = own if self.wanted and world.rank == 0 else {}

    @torch.no_grad()
    def hand_out(self, model: nn.Module, device: torch.device) -> None:
        """Give every process its shards, one tensor after the other.  A collective.

        Args:
            model: the same, sharded.
            device: where shards are kept.
        """
        if any(parameter.is_meta for parameter in model.parameters()):
            buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
            model.to_empty(device=device)
            for name, buffer in model.named_buffers():  # they were there all along
                buffer.copy_(buffers[name])
        for name, parameter in model.named_parameters():
            whole = self._whole.pop(name, None)
            if isinstance(parameter, DTensor):
                mesh = parameter.device_mesh
                sent = self._sent(whole, parameter, torch.device(mesh.device_type))
                piece = distribute_tensor(sent, mesh, parameter.placements)
                parameter.to_local().copy_(piece.to_local())
            else:
                sent = self._sent(whole, parameter, self._world.device)
                dist.broadcast(sent, src=0)
                parameter.copy_(sent)

    def _sent(self, whole: Tensor | None, like: Tensor, device: torch.device) -> Tensor:
        if whole is None:
            return torch.empty(like.shape, dtype=like.dtype, device=device)
        return whole.to(device)
