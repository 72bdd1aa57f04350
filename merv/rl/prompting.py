"""Training rows as prompts: their last answer is taken off, to be compared with what the model says instead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from merv.chat import Turn
from merv.data.sample import Example, Sample
from merv.models.base import Processor


@dataclass
class PromptPreparer:
    """Prepares a sample as far as the model is to speak; picklable, as the processor is."""

    processor: Processor
    system: str = ""
    """System message of every prompt; empty leaves the rows' own."""

    def __call__(self, sample: Sample) -> Example:
        """Decode and tokenise the prompt.

        Raises:
            SampleError: the row or its media cannot be used; the message says why.
        """
        turns: Sequence[Turn] = sample.turns
        if turns and turns[-1].role == "assistant":
            turns = turns[:-1]
        if self.system:
            turns = (Turn("system", self.system), *(turn for turn in turns if turn.role != "system"))
        return self.processor.prepare(replace(sample, turns=tuple(turns)), answer=False)
