"""`merv filter WHAT`: choose images before training on them."""

from collections.abc import Callable, Sequence

from merv.runs.words import command_word

USAGE = """\
usage: merv filter WHAT DIR [options]

  train-classifier  learn good from bad of folders 0 and 1  merv filter train-classifier labelled --out quality
  classify          sort images by a trained classifier     merv filter classify images --model quality --out sorted
  clip-quality      keep what CLIP finds well taken         merv filter clip-quality images --threshold auto
  best-view         one image of each object                merv filter best-view accepted --group-regex '(.+)_(\\d+)'
  near-duplicates   one of images that look the same        merv filter near-duplicates images --out distinct

`merv filter WHAT --help` lists its options.  Several processes: torchrun --nproc-per-node 8 -m merv filter ...
"""


def filter_images(args: Sequence[str], write: Callable[[str], None]) -> int:
    """Filter as the first word says; gives the exit status.

    Raises:
        ConfigError: it says nothing we know.
    """
    return command_word(args, ACTIONS, USAGE, write, refusal="there is no filter `{word}`")


def _train_classifier(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.filter_train import main

    return main(args, write)


def _classify(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.filter_classify import main

    return main(args, write)


def _clip_quality(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.filter_clip import main

    return main(args, write)


def _best_view(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.filter_best_view import main

    return main(args, write)


def _near_duplicates(args: Sequence[str], write: Callable[[str], None]) -> int:
    from merv.runs.filter_duplicates import main

    return main(args, write)


ACTIONS: dict[str, Callable[[Sequence[str], Callable[[str], None]], int]] = {
    "train-classifier": _train_classifier,
    "classify": _classify,
    "clip-quality": _clip_quality,
    "best-view": _best_view,
    "near-duplicates": _near_duplicates,
}
