"""The tasks that come with merv; importing this package registers them."""

from merv.evaluation.tasks import mcq

__all__ = ["mcq"]
