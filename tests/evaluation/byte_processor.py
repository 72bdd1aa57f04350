"""What loader workers do in the tests of this folder; a module of its own, so that they import it quickly."""

from collections.abc import Sequence

import torch
from torch import nn

from merv.data.sample import Batch, Example, Sample
from merv.errors import SampleError
from merv.models.base import Processor


class ByteProcessor(Processor):
    """Token ids are the bytes of the prompt; a video is a file that must exist."""

    def prepare(self, sample: Sample, *, answer: bool = True) -> Example:
        assert not answer
        for ref in sample.media:
            if not ref.path.exists():
                raise SampleError(f"video `{ref.path}` does not exist")
        ids = torch.tensor(list(sample.turns[-1].text.encode()))
        frames = {"view": torch.zeros(1, 3, 2, 2, dtype=torch.uint8)} if sample.media else {}
        return Example(ids, ids, frames, sample.id)

    def collate(self, examples: Sequence[Example], *, indices: Sequence[int] = (), pad: str = "right") -> Batch:
        assert pad == "left"
        width = max(len(example.input_ids) for example in examples)
        rows = [nn.functional.pad(e.input_ids, (width - len(e.input_ids), 0)) for e in examples]
        ids = torch.stack(rows)
        visual = [row for row, example in enumerate(examples) if example.has_visual]
        return Batch(ids, ids, ids != 0, torch.tensor(visual, dtype=torch.int64), indices=tuple(indices))
