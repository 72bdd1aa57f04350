"""`merv export WHAT`: roles in one folder, adapters merged, checkpoints made whole, models for Megatron-core."""

from collections.abc import Callable, Sequence

from merv.conf.parse import run_main
from merv.runs.words import command_word

USAGE = """\
usage: merv export WHAT [options]

  roles        several runs of roles in one folder    merv export roles runs/a runs/b --out agent
  merge        an adapter made part of its base       merv export merge --adapter runs/a --out merged
  consolidate  a checkpoint as a finished run         merv export consolidate runs/a/checkpoints/step-000100
  megatron     a model for Megatron-core, and back    merv export megatron --model DIR --out DIR

`merv export WHAT --help` lists its options.
"""


def export(args: Sequence[str], write: Callable[[str], None]) -> int:
    """Export what the first word says; gives the exit status.

    Raises:
        ConfigError: it says nothing we know.
    """
    return command_word(args, EXPORTERS, USAGE, write, refusal="`{word}` cannot be exported")


def _roles(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.export_roles import ExportRolesConfig, export_roles, named

    return run_main(export_roles, ExportRolesConfig, named(args), prog="merv export roles")


def _merge(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.export_merge import ExportMergeConfig, export_merge, named

    return run_main(export_merge, ExportMergeConfig, named(args), prog="merv export merge")


def _consolidate(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.export_consolidate import ExportConsolidateConfig, export_consolidate, named

    return run_main(export_consolidate, ExportConsolidateConfig, named(args), prog="merv export consolidate")


def _megatron(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.export_megatron import ExportMegatronConfig, export_megatron, named

    return run_main(export_megatron, ExportMegatronConfig, named(args), prog="merv export megatron")


EXPORTERS: dict[str, Callable[[Sequence[str], Callable[[str], None]], int]] = {
    "roles": _roles,
    "merge": _merge,
    "consolidate": _consolidate,
    "megatron": _megatron,
}
