"""From a line of an index to a sample whose media are pieces of the shard."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from merv.data.formats.messages import RowReader
from merv.data.formats.messages_writing import Named
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.video.media import Bringer, MediaRef, Within


@dataclass(frozen=True)
class Shard:
    """A shard as media refer to it."""

    path: Path
    """Where it is, or will be once it has been fetched."""
    digest: str = ""
    """SHA-256 of its bytes; empty when it is not known."""
    bringer: Bringer | None = None
    """Fetches it; None for one on the disk."""

    def sample(self, row: dict[str, Any], places: list[Any], *, dataset: str, number: int) -> Sample:
        """The sample of a row.

        Args:
            row: As in the shard's JSON member.
            places: Offset and size of each medium, or a list of them for a folder of frames.
            dataset: Name for rows without an id.
            number: Row number for those.

        Raises:
            SampleError: the row is none of messages, or has other media than places.
        """
        sample = sample_of(row, dataset=dataset, number=number)
        if len(sample.media) != len(places):
            raise SampleError(f"{len(sample.media)} media in the row, {len(places)} in the index; convert again")
        media = tuple(self._within(ref, place) for ref, place in zip(sample.media, places, strict=True))
        return replace(sample, media=media)

    def _within(self, ref: MediaRef, place: Any) -> MediaRef:
        is_folder = not place or isinstance(place[0], list)
        stretches = tuple((offset, size) for offset, size in (place if is_folder else [place]))
        within = Within(str(ref.path), stretches, is_folder, self.digest, self.bringer)
        return replace(ref, path=self.path, within=within)


def sample_of(row: dict[str, Any], *, dataset: str, number: int) -> Sample:
    """The sample of a row, with the names of members for the paths of its media; it need not end with an answer.

    Raises:
        SampleError: the row is none of messages.
    """
    [sample] = RowReader(Named(), dataset, prompts_only=True).samples(number, row)
    return sample
