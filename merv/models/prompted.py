"""Prompts as a language model takes them: visual tokens in their places, encoded once for many answers."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Prompts:
    """B prompts of L positions, padded on the left."""

    embeds: Tensor
    """(B, L, D): words and visual tokens."""
    mask: Tensor
    """(B, L) bool, False on padding."""
    positions: Tensor | None = None
    """(3, B, L) int64 for models that count time, rows and columns; None where tokens are counted."""
    roles: tuple[str, ...] = ()
    """Who answers each row, for models with roles."""

    def repeat(self, times: int) -> "Prompts":
        """Every row `times` times in a row; the gradients of copies are summed."""
        return Prompts(
            self.embeds.repeat_interleave(times, dim=0),
            self.mask.repeat_interleave(times, dim=0),
            None if self.positions is None else self.positions.repeat_interleave(times, dim=1),
            tuple(role for role in self.roles for _ in range(times)),
        )

    def choose(self, rows: slice) -> "Prompts":
        """Some of the rows."""
        positions = None if self.positions is None else self.positions[:, rows]
        return Prompts(self.embeds[rows], self.mask[rows], positions, self.roles[rows])
