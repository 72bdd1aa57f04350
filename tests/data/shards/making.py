"""Small datasets with every kind of medium, and shards made of them."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from video.clips import constant, picture, write_clip

from merv.chat import MEDIA
from merv.data.converting.plan import make_plan
from merv.data.converting.to_shards import convert_to_shards
from merv.data.dataset import Source
from merv.data.sample import Sample, Turn
from merv.data.shard_dataset import WebDatasetConfig
from merv.video.media import MediaRef, Span

ANSWER = Turn("assistant", "yes")


def media(root: Path) -> dict[str, MediaRef]:
    """A clip, a second one, a still, and a folder of frames."""
    (root / "clips").mkdir(parents=True)
    (root / "frames").mkdir()
    for number in range(12):
        Image.fromarray(picture(number)).save(root / "frames" / f"{number}.png")
    Image.fromarray(picture(3)).save(root / "still.PNG")
    return {
        "a": MediaRef(write_clip(root / "clips" / "a.mp4", constant(20))),
        "b": MediaRef(write_clip(root / "clips" / "b.mkv", constant(30))),
        "still": MediaRef(root / "still.PNG", "image"),
        "frames": MediaRef(root / "frames"),
    }


def samples(root: Path) -> list[Sample]:
    """Nine rows; those about one file stand apart."""
    found = media(root)
    cut = MediaRef(found["a"].path, span=Span(0.1, 0.5))
    shown = [
        ([found["a"]], "What?"),
        ([], "Why?"),
        ([found["b"]], f"{MEDIA}Which?"),
        ([found["a"]], "What else?"),
        ([found["frames"]], "Who?"),
        ([found["still"]], "Where?"),
        ([cut], "And now?"),
        ([found["still"], found["frames"]], f"{MEDIA} or {MEDIA}?"),
        ([found["frames"]], "Who else?"),
    ]
    return [
        Sample(f"row-{number}", (Turn("user", text), ANSWER), tuple(refs), meta={"number": number})
        for number, (refs, text) in enumerate(shown)
    ]


def convert(rows: list[Sample], out: Path, *, shard_bytes: int = 10**9, missing="stop", **more):
    """Write shards of these samples; gives the account."""
    out.mkdir(parents=True)
    source = Source("own", rows, **more)
    return convert_to_shards(source, make_plan(source, None, missing), out, shard_bytes=shard_bytes, missing=missing)


def load(shards, cache: Path, **options):
    return WebDatasetConfig(shards=str(shards), cache_dir=cache, **options).load("finetune")


def without_places(sample: Sample) -> Sample:
    """The sample with nothing said of where its media are."""
    bare = tuple(MediaRef(Path(), ref.kind, ref.span) for ref in sample.media)
    return Sample(sample.id, sample.turns, bare, sample.span, sample.meta)


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """A shard as others write them."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    return path


def png(number: int) -> bytes:
    """A small picture."""
    file = BytesIO()
    Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(file, "png")
    return file.getvalue()


def talk(*content, answer="yes") -> bytes:
    """A JSON member of one question and its answer."""
    messages = [{"role": "user", "content": list(content)}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}).encode()
