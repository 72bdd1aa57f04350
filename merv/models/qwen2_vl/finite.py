"""Numbers that are none: weights that are damaged, or too large for the type they are computed in."""

from torch import Tensor

from merv.errors import RunStopped


def refuse_not_finite(name: str, *values: Tensor) -> None:
    """Let nobody make an answer of NaN or infinity; `name` is what messages call the values.

    Raises:
        RunStopped: one of them is not finite.
    """
    if not all(bool(value.isfinite().all()) for value in values):
        raise RunStopped(
            f"{name} are not finite: the model's weights are damaged, or overflow in their type; "
            "try bfloat16 or float32"
        )
