"""What a model of transformers eats: token ids, and whatever tensors its processor makes beside them."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from merv.data.sample import Batch


@dataclass
class HfBatch(Batch):
    """B rows of L tokens; visual tokens have their places in `input_ids`.

    `frames` holds the processor's other tensors under the names the model's forward takes: pixels and grids of all
    rows one after another, and tensors with a value for each token, (B, L).
    """

    visual_tokens: tuple[int, ...] = ()
    """Places of visual tokens in each row."""
    stand_in: tuple[int, int] | None = None
    """Row and place of the last token of media that only stand in for kinds this batch lacks; see `stand_ins`."""
    stand_in_tokens: int = 0
    """How many tokens they are, that one included."""
    beside: "HfBatch | None" = None
    """Media that stand in for kinds these prompts lack; rows padded on the left have no place for them."""
    rows_learn: bool = False
    """Whether something beside the words is a mean over rows, as losses of experts are."""

    def num_visual_tokens(self, each: int = 0) -> int:
        """Visual tokens of the rows; their numbers differ."""
        return sum(self.visual_tokens)

    def num_text_tokens(self) -> int:
        """Tokens that are no padding and no visual ones."""
        return super().num_text_tokens() - self.num_visual_tokens()

    def num_target_rows(self) -> int:
        """Rows that the losses of experts are a mean over."""
        return self.size if self.rows_learn else 0

    def own_tokens(self) -> Tensor:
        """Tokens that are neither padding nor of a stand-in.  -> (B, L) bool."""
        if self.stand_in is None:
            return self.attention_mask
        row, last = self.stand_in
        own = self.attention_mask.clone()
        own[row, last + 1 - self.stand_in_tokens : last + 1] = False
        return own

    def _map(self, fn: Any) -> "HfBatch":
        changed = super()._map(fn)
        assert isinstance(changed, HfBatch)
        changed.beside = None if self.beside is None else self.beside._map(fn)
        return changed

    def inputs(self) -> dict[str, Tensor]:
        """What the model's forward takes, without the mask."""
        return {"input_ids": self.input_ids, **self.frames}
