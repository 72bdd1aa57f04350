"""Values through a pipe between processes that share no memory: pickle protocol 5, with tensors as bare bytes."""

import io
import os
import pickle
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor


class _Pickler(pickle.Pickler):
    """Pickles tensors as bare bytes; torch's own way goes through shared memory or copies twice."""

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor):
            return NotImplemented
        data = obj.detach().cpu().contiguous()
        return _rebuild, (data.reshape(-1).view(torch.uint8).numpy(), data.dtype, tuple(data.shape))


def _rebuild(data: np.ndarray, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(data).view(dtype).reshape(tuple(shape))


def send(pipe: Connection, value: Any) -> None:
    """Write a value: its pickle with the sizes of its buffers, then the buffers as they are."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    raw = [buffer.raw() for buffer in buffers]
    pipe.send_bytes(pickle.dumps((file.getvalue(), [part.nbytes for part in raw]), protocol=5))
    for part in raw:
        while part.nbytes:
            part = part[os.write(pipe.fileno(), part) :]


def receive(pipe: Connection) -> Any:
    """Read a value that `send` wrote; each buffer is copied once, from the pipe to where it stays.

    Raises:
        EOFError: the other side is gone.
    """
    body, sizes = pickle.loads(pipe.recv_bytes())
    buffers = [np.empty(size, dtype=np.uint8) for size in sizes]
    for buffer in buffers:
        rest = buffer.data
        while rest.nbytes:
            count = os.readv(pipe.fileno(), [rest])
            if count == 0:
                raise EOFError
            rest = rest[count:]
    return pickle.loads(body, buffers=buffers)
