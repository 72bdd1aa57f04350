"""What is worth a look beside a step's loss: what the model logs over target tokens, and facts its batches bring."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from merv.data.sample import Batch


class Looks:
    """Sums of one step, in an order that is the same on every process, so that one collective adds them up."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        """Take the facts of a process's micro-batches; all have the same names."""
        self._logged: dict[str, Tensor] = {}
        self._facts: dict[str, tuple[float, float]] = {}
        for batch in batches:
            for name, (total, count) in batch.facts.items():
                before = self._facts.get(name, (0.0, 0.0))
                self._facts[name] = (before[0] + total, before[1] + count)

    def add(self, logged: Mapping[str, Tensor] | None) -> None:
        """Add what a forward pass logged: sums over its target tokens, () each."""
        for name, value in (logged or {}).items():
            before = self._logged.get(name)
            self._logged[name] = value.detach() if before is None else before + value.detach()

    @property
    def sums(self) -> list[float | Tensor]:
        """This process's sums and counts, to be added up over processes."""
        facts = [number for name in sorted(self._facts) for number in self._facts[name]]
        return [*(self._logged[name] for name in sorted(self._logged)), *facts]

    def means(self, sums: Sequence[float], tokens: float) -> dict[str, float]:
        """Rows of the step's metrics from the sums of all processes; a fact that nobody counted is left out.

        Args:
            sums: `sums` of all processes, added up.
            tokens: target tokens of all processes.
        """
        logged, facts = sums[: len(self._logged)], sums[len(self._logged) :]
        row = {name: value / max(tokens, 1.0) for name, value in zip(sorted(self._logged), logged, strict=True)}
        for place, name in enumerate(sorted(self._facts)):
            total, count = facts[2 * place : 2 * place + 2]
            if count:
                row[name] = total / count
        return row
