"""Calling a processor of transformers for one row, and the names it has for places of media."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from merv.errors import SampleError
from merv.models.hf_vlm.frames import Shown
from merv.models.hf_vlm.labels import Stretch

KINDS = ("image", "video")


@dataclass(frozen=True)
class Call:
    """A processor with the options it is called with."""

    processor: Any
    images: Mapping[str, Any]
    """Options of the image processor."""
    sized: bool
    """Whether videos come in their final size."""

    def __call__(
        self, text: str, shown: Sequence[Shown], images: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """What the model takes for a row.

        Args:
            text: the conversation as rendered, one placeholder a medium.
            shown: its media, in order.
            images: options of the image processor in place of the usual ones.

        Returns:
            The model's inputs but for the mask: `input_ids` (L,), other tensors with a value for each token (L,), and
            those of the media.

        Raises:
            SampleError: the processor refuses the row.
        """
        pictures = [frame for medium in shown if medium.clock is None for frame in medium.frames]
        videos = [medium for medium in shown if medium.clock is not None]
        options: dict[str, Any] = {}
        if pictures:
            options |= {"images": [pictures], "images_kwargs": dict(self.images if images is None else images)}
        if videos:
            options |= {"videos": [[video.frames[0] for video in videos]], "videos_kwargs": self._of_videos(videos)}
        try:
            made = self.processor(text=[text], return_tensors="pt", **special_tokens(self.processor, text), **options)
        except (ValueError, IndexError, KeyError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise SampleError(f"{type(self.processor).__name__} refuses this: {said}") from error
        return _of_one_row({name: value for name, value in made.items() if isinstance(value, Tensor)})

    def _of_videos(self, videos: Sequence[Shown]) -> dict[str, Any]:
        clocks = [dict(video.clock) for video in videos if video.clock is not None]
        options: dict[str, Any] = {"do_sample_frames": False, "video_metadata": clocks}
        if self.sized:
            options["do_resize"] = False
        if "cap_pixels_per_frame" in self.processor.video_processor.valid_kwargs.__annotations__:
            options["cap_pixels_per_frame"] = False  # left open, its meaning changes with the version
        return options


def special_tokens(processor: Any, text: str) -> dict[str, bool]:
    """Whether to add a beginning: a template may have written it, and then the processor is told so."""
    bos = processor.tokenizer.bos_token
    return {"add_special_tokens": False} if bos is not None and text.startswith(bos) else {}


def offsets_of(processor: Any, text: str) -> tuple[list[int], list[Stretch]]:
    """Token ids of a text, and the characters each stands for."""
    made = processor.tokenizer(text, return_offsets_mapping=True, **special_tokens(processor, text))
    return list(made["input_ids"]), list(made["offset_mapping"])


def placeholder_words(processor: Any) -> list[str]:
    """What stands in a rendered conversation where media are shown."""
    words = [getattr(processor, f"{kind}_token", None) for kind in KINDS]
    return [word for word in words if isinstance(word, str) and word]


def visual_ids(processor: Any) -> frozenset[int]:
    """Ids of the tokens that become visual ones."""
    named: list[Any] = []
    for kind in KINDS:
        named += getattr(processor, f"{kind}_token_ids", None) or [getattr(processor, f"{kind}_token_id", None)]
    return frozenset(token for token in named if isinstance(token, int))


def placeholder_ids(processor: Any) -> frozenset[int]:
    """Ids of the tokens that stand for media before and after there is room for them."""
    words = (processor.tokenizer.convert_tokens_to_ids(word) for word in placeholder_words(processor))
    return visual_ids(processor) | {token for token in words if isinstance(token, int)}


def _of_one_row(made: dict[str, Tensor]) -> dict[str, Tensor]:
    made.pop("attention_mask", None)
    shape = made["input_ids"].shape
    return {
        name: value[0] if value.shape == shape and not value.is_floating_point() else value
        for name, value in made.items()
    }


def count_visual(ids: Tensor, visual: Collection[int]) -> int:
    """Places of visual tokens among the ids, of any shape."""
    return sum(int((ids == token).sum()) for token in visual)
