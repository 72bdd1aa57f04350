"""The random generators of a process as plain JSON: saved with a checkpoint, without pickling anything."""

import base64
import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """State of Python's, NumPy's and torch's generators, the current accelerator's included."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    state: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, cached],
        "torch": _encode(torch.get_rng_state()),
    }
    module = _accelerator()
    if module is not None:
        state["accelerator"] = _encode(module.get_rng_state())
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Bring the generators to a saved state."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_decode(state["torch"]))
    module = _accelerator()
    if module is not None and "accelerator" in state:
        module.set_rng_state(_decode(state["accelerator"]))


def _accelerator() -> Any:
    """torch.cuda, torch.npu, ...; None on a CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return None if found is None else torch.get_device_module(found)


def _encode(state: torch.Tensor) -> str:
    return base64.b64encode(state.cpu().numpy().tobytes()).decode()


def _decode(text: str) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), dtype=np.uint8).copy())
