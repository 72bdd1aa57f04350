"""What loader workers do in the tests; a module of its own, so that workers can import it quickly."""

import os
import signal
import time
from collections.abc import Sequence

import torch

from merv.data.dataset import PreparedDataset, Source
from merv.data.sample import Batch, Example, Sample, Turn
from merv.errors import SampleError


def make_dataset(size: int, prepare=None, **special: Sequence[int]) -> PreparedDataset:
    """Rows 0..size-1; `special` says what befalls which rows, such as hang=[3]."""
    fates = {row: fate for fate, rows in special.items() for row in rows}
    samples = [Sample(id=f"s{i}", turns=(Turn("user", fates.get(i, "good")),)) for i in range(size)]
    return PreparedDataset(Source("toy", samples), prepare or prepare_by_fate)


def prepare_by_fate(sample: Sample) -> Example:
    number = int(sample.id[1:])
    fate = sample.turns[0].text
    if fate == "hang":
        time.sleep(60)
    elif fate == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fate == "bad":
        raise SampleError(f"cannot decode {sample.id}")
    elif fate == "memory":
        raise MemoryError
    elif fate == "fault":
        raise KeyError("a fault of ours")
    elif fate == "slow":
        time.sleep(0.2)
    frames = {"view": torch.full((2, 3, 4, 4), number, dtype=torch.uint8), "none": torch.empty(0, 3)}
    return Example(torch.arange(3) + number, torch.tensor([number] * 3), frames, sample.id)


def report_pid(sample: Sample) -> Example:
    return Example(torch.tensor([os.getpid()]), torch.tensor([torch.get_num_threads()]))


def collate(examples: Sequence[Example], *, indices: Sequence[int]) -> Batch:
    return Batch(
        input_ids=torch.stack([e.input_ids for e in examples]),
        labels=torch.stack([e.labels for e in examples]),
        attention_mask=torch.ones(len(examples), examples[0].input_ids.shape[0], dtype=torch.bool),
        visual_rows=torch.arange(len(examples)),
        num_frames=(2,) * len(examples),
        frames={k: torch.cat([e.frames[k] for e in examples]) for k in examples[0].frames},
        sample_ids=tuple(e.sample_id for e in examples),
        indices=tuple(indices),
    )
