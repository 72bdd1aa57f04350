"""Names in a shard: what belongs to one sample, and what a member is."""

from pathlib import PurePosixPath

from merv.video.images import IMAGE_SUFFIXES
from merv.video.media import MediaKind

TAR = ".tar"
INDEX = ".index.jsonl"
"""Ending of the index of a shard, in the place of `TAR`."""
SET_INDEX = "index.json"
"""File that lists the shards of a folder."""
ROW = "json"
CAPTION = "txt"
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"})


def index_name(shard: str) -> str:
    """Name of a shard's index: `000000.tar` has `000000.index.jsonl`."""
    return shard.removesuffix(TAR) + INDEX


def split_name(member: str) -> tuple[str, str]:
    """Key and ending of a member: `in/a.000.jpg` is `in/a` and `000.jpg`.  The first dot of the last part divides."""
    folder, slash, last = member.rpartition("/")
    key, _, ending = last.partition(".")
    return folder + slash + key, ending.lower()


def kind_of(ending: str) -> MediaKind | None:
    """Whether members with this ending are videos or images; None for neither.  A GIF is a video, as GIFs move."""
    suffix = PurePosixPath(f"a.{ending}").suffix
    if suffix in VIDEO_SUFFIXES or suffix == ".gif":
        return "video"
    return "image" if suffix in IMAGE_SUFFIXES else None
