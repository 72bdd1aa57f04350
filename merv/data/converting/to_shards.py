"""A dataset as tar shards with its media in them, see `merv.data.shards`."""

from pathlib import Path

from merv.data.converting.account import MISSING, UNTOLD, Account
from merv.data.converting.plan import Missing, Plan, shown, together
from merv.data.dataset import Source
from merv.data.sample import Sample
from merv.data.shards.index import FORMAT
from merv.data.shards.naming import SET_INDEX
from merv.data.shards.writing import ShardWriter, room
from merv.errors import ConfigError, SampleError
from merv.space import check_space, write_json

ROW_BYTES = 4096
"""What a row takes beside its media, with headers and index, for the estimate of the room that is needed."""


def convert_to_shards(source: Source, plan: Plan, folder: Path, *, shard_bytes: int, missing: Missing) -> Account:
    """Write shards, their indexes and `index.json` into a folder that is there.

    Rows that show the same files go together, in the order in which the files come first; the indexes keep each row's
    number, so that reading gives the order of the dataset.

    Args:
        source: What to convert.
        plan: What `make_plan` found of it.
        folder: Where to.
        shard_bytes: Size of a shard.
        missing: What happens to rows whose media are not there: `stop` or `skip`.

    Raises:
        ConfigError: a file is missing, the disk is too small, or nothing could be written.
    """
    check_space(folder, plan.num_bytes + len(plan.groups) * (ROW_BYTES + room(0)))
    account, writer = Account(folder, source), ShardWriter(folder, shard_bytes)
    for numbers in together(plan):
        for rows in _alike([(int(number), source[int(number)]) for number in numbers]):
            _write(writer, rows, account, missing)
    writer.close()
    if not account.num_rows:
        raise ConfigError(f"dataset `{source.name}`: no row can be written; {account}")
    left_out = dict(account.left_out)
    about = {"format": FORMAT, "dataset": source.name, "rows": account.num_rows, "left_out": left_out}
    write_json(folder / SET_INDEX, {**about, "shards": writer.shards})
    return account


def _alike(rows: list[tuple[int, Sample]]) -> list[list[tuple[int, Sample]]]:
    """The rows by what they show: one list, unless two names share a hash."""
    found: dict[str, list[tuple[int, Sample]]] = {}
    for number, sample in rows:
        found.setdefault(shown(sample), []).append((number, sample))
    return list(found.values())


def _write(writer: ShardWriter, rows: list[tuple[int, Sample]], account: Account, missing: Missing) -> None:
    try:
        refused = writer.add(rows)
    except SampleError as error:
        if missing != "skip":
            raise ConfigError(f"row {account.row(rows[0][0])} (id `{rows[0][1].id}`): {error}") from error
        for number, sample in rows:
            account.leave_out(number, sample, str(error), MISSING)
        return
    for number, sample, reason in refused:
        account.leave_out(number, sample, reason, UNTOLD)
    account.wrote(len(rows) - len(refused))
