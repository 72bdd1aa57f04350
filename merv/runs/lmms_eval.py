"""merv's models in lmms-eval: `lmms_eval --model merv --model_args pretrained=runs/x --tasks videomme`.

lmms-eval (https://github.com/EvolvingLMMs-Lab/lmms-eval, 0.7) finds the model through its entry-point group
`lmms_eval.models`, which names `manifest`; the interface is that of its lmms_eval/api/model.py.  Nothing of lmms-eval
is imported before it asks.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from merv import runtime
from merv.errors import ConfigError
from merv.evaluation.lmms_eval import FAILED, Asked, answer, batches
from merv.models.answering import device_of
from merv.models.base import VideoLM
from merv.runs.load import load


def manifest() -> Any:
    """What lmms-eval's registry is told: the model's name and where its class is."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="merv", simple_class_path=f"{__name__}.Merv")


def __getattr__(name: str) -> Any:
    """`Merv`, the class lmms-eval asks for, which needs lmms-eval's own to derive from."""
    if name != "Merv":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from lmms_eval.api.model import lmms

    return _derived(lmms)


@functools.cache
def _derived(base: type) -> type:
    return type(base)("Merv", (Adapter, base), {"__module__": __name__, "__doc__": Adapter.__doc__})


class Adapter:
    """A merv model as lmms-eval sees one; stands before `lmms_eval.api.model.lmms` among the bases of `Merv`."""

    is_simple = True
    task_dict: Mapping[str, Any]
    """Task -> split -> documents; lmms-eval fills it."""
    cache_hook: Any
    """lmms-eval's, where it keeps answers."""

    def __init__(
        self,
        pretrained: str,
        batch_size: int | str = 1,
        device: str | None = None,
        dtype: str | None = None,
        max_batch_size: int | str | None = None,
        **options: Any,
    ) -> None:
        """Load the model.

        Args:
            pretrained: a run's folder or the name of a published model.
            batch_size: prompts answered at a time.
            device: where the model runs; None means the accelerator of this process.
            dtype: type of the weights, such as `bfloat16`; None means bfloat16 on an accelerator, float32 on a CPU.
            max_batch_size: lmms-eval passes it to every model; a batch is never larger than `batch_size`.
            options: fields of the model's config in place of what the run says, see `merv.load`.

        Raises:
            MervError: there is no such model, or an option makes no sense.
        """
        self.pretrained = str(pretrained)  # before super().__init__, which names its cache after it
        super().__init__()
        self.batch_size = _batch_size(batch_size)
        self.model: VideoLM = load(self.pretrained, device=device, dtype=_dtype(dtype), **options).eval()
        self.device = device_of(self.model)
        self._rank, self._world_size = runtime.rank(), runtime.world_size()

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answers in the order of the requests; where a video cannot be used, `FAILED` with a warning."""
        from tqdm import tqdm

        answers = [FAILED] * len(requests)
        asked = [Asked(*request.args) for request in requests]
        with tqdm(total=len(requests), desc="merv", disable=not runtime.is_main()) as progress:
            for indices in batches(asked, self.batch_size):
                texts = answer(self.model, [asked[index] for index in indices], self.task_dict)
                for index, text in zip(indices, texts, strict=True):
                    answers[index] = text
                    self.cache_hook.add_partial("generate_until", (asked[index].context, asked[index].options), text)
                progress.update(len(indices))
        return answers

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not offered: the evaluator of lmms-eval 0.7 turns the rounds' answers into one text that its tasks misread.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"task `{_task(requests)}` asks in several rounds; choose one that asks once")

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not offered: merv's models answer in words.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"task `{_task(requests)}` compares likelihoods; choose one that generates its answers")


def _batch_size(value: int | str) -> int:
    if not str(value).isdecimal() or int(value) < 1:
        raise ConfigError(f"batch_size is {value}; it must be a whole number of at least 1")
    return int(value)


def _dtype(name: str | None) -> torch.dtype | None:
    dtype = None if name is None else getattr(torch, str(name), None)
    if name is not None and not isinstance(dtype, torch.dtype):
        raise ConfigError(f"dtype is {name}; expected one of float32, bfloat16, float16")
    return dtype


def _task(requests: Sequence[Any]) -> str:
    return str(requests[0].args[-2]) if requests else "?"
