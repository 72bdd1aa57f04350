"""How fast one loader worker turns clips into what four encoders see, against the straightforward way.

    python benchmarks/data_path.py

Four encoders look at 16, 16, 32 and 16 frames of 224 px.  merv decodes once, resizes once and ships bytes.  The
baseline does what most training scripts do: for every encoder it decodes the clip, brings each frame through PIL to a
normalised float tensor, and ships floats; `one decode` is the same with the decoding shared.
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from clips import ClipSpec, write_clip
from common import Timing, interleaved, seconds, table
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from merv.backbones.llm.prompts import PromptTemplate
from merv.backbones.llm.tiny import WORDS, byte_level_tokenizer
from merv.chat import Turn
from merv.data.dataset import PreparedDataset, Source
from merv.data.loader import Loader
from merv.data.sample import Batch, Sample
from merv.models.multi_encoder.frames import clip_indices
from merv.models.multi_encoder.processor import MultiEncoderProcessor
from merv.video.media import MediaRef
from merv.video.sampling import stride, uniform_indices
from merv.video.transforms import View

NUM_FRAMES = (16, 16, 32, 16)
SIZE = 224
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
MAX_LEVELS_APART = 2
"""PIL and torch round intermediate results of the resampling differently."""
SKIPPED = 2
"""Batches a loader has begun before its time is taken."""
FASTER = 4
"""So many samples of merv are timed for one of the baseline, to be as long about it."""


@dataclass(frozen=True)
class PlainClips(torch.utils.data.Dataset[list[Tensor]]):
    """The baseline: a clip as a float tensor for each encoder."""

    path: Path
    total: int
    """Frames of the clip."""
    one_decode: bool
    length: int = 1

    def __len__(self) -> int:
        """How often the clip is given."""
        return self.length

    def __getitem__(self, index: int) -> list[Tensor]:
        """Decode, PIL, resize, float, normalise, stack: (T, 3, S, S) for each encoder."""
        torch.set_num_threads(1)
        wanted = [self.indices(num_frames) for num_frames in NUM_FRAMES]
        if self.one_decode:
            images = decode_plainly(self.path, {number for numbers in wanted for number in numbers})
            return [torch.stack([plain_tensor(images[number]) for number in numbers]) for numbers in wanted]
        clips = []
        for numbers in wanted:
            images = decode_plainly(self.path, set(numbers))
            clips.append(torch.stack([plain_tensor(images[number]) for number in numbers]))
        return clips

    def indices(self, num_frames: int) -> list[int]:
        """The frames an encoder sees: every k-th of those the most demanding one sees."""
        shared = uniform_indices(self.total, max(NUM_FRAMES), fps=0)
        return [shared[i] for i in stride(len(shared), num_frames)]


def decode_plainly(path: Path, wanted: set[int]) -> dict[int, Image.Image]:
    """Decode from the start and keep the frames asked for."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = enumerate(container.decode(video=0))
        return {number: frame.to_image() for number, frame in frames if number in wanted}


def plain_tensor(image: Image.Image) -> Tensor:
    """An RGB image -> float32 (3, S, S), normalised."""
    small = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(small)).permute(2, 0, 1).float().div(255) - MEAN) / STD


def merv_processor() -> MultiEncoderProcessor:
    """What a multi-encoder model of these four encoders gives its workers."""
    tokenizer = byte_level_tokenizer(WORDS.split())
    return MultiEncoderProcessor((View(SIZE),), max(NUM_FRAMES), tokenizer, PromptTemplate(before_answer=" "), 1024)


def merv_batch(processor: MultiEncoderProcessor, sample: Sample) -> Batch:
    """The worker's part and the collator's, in this process."""
    return processor.collate([processor.prepare(sample)], indices=[0])


def sample_of(path: Path) -> Sample:
    """A row about the clip."""
    turns = (Turn("user", "What moves, and which way does it move?"), Turn("assistant", "A square moves right."))
    return Sample("clip", turns, (MediaRef(path),))


def num_bytes(tensors: Sequence[Tensor]) -> int:
    """Bytes of tensor data."""
    return sum(t.numel() * t.element_size() for t in tensors)


def batch_tensors(batch: Batch) -> list[Tensor]:
    """Everything of a batch that is shipped."""
    return [batch.input_ids, batch.labels, batch.attention_mask, *batch.frames.values()]


def levels_apart(batch: Batch, clips: Sequence[Tensor]) -> int:
    """Largest difference, in levels of 0..255, between what each encoder sees by merv and by the baseline."""
    [shared] = batch.frames.values()
    apart = 0
    for num_frames, clip in zip(NUM_FRAMES, clips, strict=True):
        seen = shared[clip_indices(batch.num_frames, num_frames, repeat_images=True)]
        plain = ((clip * STD + MEAN) * 255).round().int()
        apart = max(apart, int((seen.int() - plain).abs().max()))
    return apart


def check(spec: ClipSpec, path: Path, processor: MultiEncoderProcessor) -> tuple[int, int, int]:
    """Bytes of a sample by the baseline and by merv, and how far apart the pixels are.

    Raises:
        SystemExit: the two do not show the encoders the same.
    """
    clips, batch = PlainClips(path, spec.num_frames, one_decode=False)[0], merv_batch(processor, sample_of(path))
    apart = levels_apart(batch, clips)
    if apart > MAX_LEVELS_APART:
        raise SystemExit(f"{path}: pixels differ by {apart} levels; at most {MAX_LEVELS_APART} are rounding")
    return num_bytes(clips), num_bytes(batch_tensors(batch)), apart


def in_process(spec: ClipSpec, path: Path, processor: MultiEncoderProcessor, repeats: int) -> dict[str, Timing]:
    """Samples a second of each way, in this process."""
    sample = sample_of(path)
    apart, shared = (
        PlainClips(path, spec.num_frames, one_decode=False),
        PlainClips(path, spec.num_frames, one_decode=True),
    )
    times = interleaved(
        {
            "baseline": lambda: seconds(lambda: apart[0]),
            "baseline, one decode": lambda: seconds(lambda: shared[0]),
            "merv": lambda: seconds(lambda: merv_batch(processor, sample)),
        },
        repeats,
    )
    return {name: timing.rate() for name, timing in times.items()}


def through_loaders(
    spec: ClipSpec, path: Path, processor: MultiEncoderProcessor, repeats: int, count: int
) -> dict[str, Timing]:
    """Samples a second that arrive from one worker process, batches of one sample; one loader at a time runs."""
    plain = PlainClips(path, spec.num_frames, one_decode=False, length=count + SKIPPED)
    dataset = PreparedDataset(Source("clip", [sample_of(path)]), processor.prepare)

    def baseline() -> float:
        return steady(
            iter(DataLoader(plain, batch_size=1, num_workers=1, multiprocessing_context="forkserver")), count
        )

    def ours() -> float:
        plan = itertools.repeat([0], FASTER * count + SKIPPED)
        with Loader(dataset, processor.collate, plan, num_workers=1) as loader:
            return steady(loader, FASTER * count) / FASTER

    times = interleaved({"baseline": baseline, "merv": ours}, repeats)
    return {name: timing.rate(count) for name, timing in times.items()}


def steady(batches: Iterator[object], count: int) -> float:
    """Seconds `count` batches take once the worker runs: it always has one in work, and the consumer waits."""
    for _ in range(SKIPPED):
        next(batches)
    return seconds(lambda: [next(batches) for _ in range(count)])


def measure(spec: ClipSpec, folder: Path, *, repeats: int, loader_samples: int) -> list[list[str]]:
    """Rows of the table for one clip."""
    processor = merv_processor()
    path = write_clip(folder / f"{spec.height}-{spec.gop}.mp4", spec)
    name = f"{spec.name}, {path.stat().st_size * 8 / spec.seconds / 1e6:.1f} Mbit/s"
    plain_bytes, merv_bytes, apart = check(spec, path, processor)
    rows = []
    for place, timings in (
        ("in process", in_process(spec, path, processor, repeats)),
        ("1 worker, delivered", through_loaders(spec, path, processor, max(1, repeats // 2), loader_samples)),
    ):
        for way, timing in timings.items():
            ratio = timings["merv"].median / timing.median
            size = merv_bytes if way == "merv" else plain_bytes
            faster = f"merv {ratio:.1f}x" if way != "merv" else f"pixels within {apart}"
            rows.append([name, place, way, timing.text(), f"{size / 1e6:.2f}", faster])
    return rows


def main(args: Sequence[str] | None = None) -> str:
    """Measure and give the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heights", type=int, nargs="+", default=[720, 360], help="heights of the 16:9 clips, pixels")
    parser.add_argument("--gops", type=int, nargs="+", default=[30], help="frames between key frames")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clips")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each way")
    parser.add_argument("--loader_samples", type=int, default=3, help="samples of one measurement through a loader")
    parser.add_argument("--quick", action="store_true", help="one small clip, once: shows that the program works")
    options = parser.parse_args(args)
    if options.quick:
        options.heights, options.gops, options.seconds, options.repeats, options.loader_samples = [96], [30], 1.5, 1, 1
    torch.set_num_threads(1)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for height in options.heights:
            for gop in options.gops:
                spec = ClipSpec(round(height * 16 / 18) * 2, height, gop, options.seconds)
                rows += measure(spec, Path(folder), repeats=options.repeats, loader_samples=options.loader_samples)
    return table(
        "Data path: one worker, one thread, four encoders of 16, 16, 32 and 16 frames at 224 px",
        ["clip (H.264, 30 frames/s)", "where", "way", "samples/s: median (range)", "MB a sample", "against"],
        rows,
        [f"{options.repeats} rounds, each measures every way in turn; ratios are of medians"],
    )


if __name__ == "__main__":
    print(main())
