"""How publications read a multiple-choice answer, so that their numbers can be met; ours is `parse_option`.

Each function takes the model's text and the options without letters and gives the option's index, or None where the
publication reads none.  Where the original draws an option at random, None stands instead, which counts as wrong:
its numbers lie about a guess's share of the unread answers above ours.  Surprises of the originals are kept.
"""

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OPENINGS = ("The best answer is", "The correct answer is", "The answer is", "The answer")
_GLUED = ("The best option isThe correct option is", "Best answer:Best option:")
"""Two openings each that the originals run together by a missing comma, and so never meet."""


def reference_option(text: str, options: Sequence[str]) -> int | None:
    """The first character, in either case, as in MERV (princetonvisualai/merv, scripts/eval_mcq.py)."""
    return _index(text[:1].upper(), options)


def videomind_option(text: str, options: Sequence[str]) -> int | None:
    """The first character of the first word without brackets and dots, in either case: `Answer: C` is A.

    VideoMind (yeliudev/VideoMind, videomind/eval/eval_auto.py); what names no option there counts as failed.
    """
    word = re.sub(r"[().]", "", text.split(" ")[0])
    return _index(word[:1].upper(), options)


def mvbench_option(text: str, options: Sequence[str]) -> int | None:
    """The option whose `(a)` holds the answer's first word, or is held by it.

    MVBench (OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb), whose prompt ends in an open bracket.  It compares
    with the right option alone, so that an empty answer is always right; what fits several options is None here.
    """
    word = ("(" + text.strip().split("\n")[0]).lower().split(" ")[0]
    marks = [f"({LETTERS[i].lower()})" for i in range(len(options))]
    found = [i for i, mark in enumerate(marks) if word.replace(".", "") in mark or mark in word]
    return found[0] if len(found) == 1 else None


def mlvu_option(text: str, options: Sequence[str]) -> int | None:
    """The text before the first `)`, if it is a capital letter and nothing else: `A` and `A) x`, not `(A)` or `A.`.

    MLVU (JUNJIE99/MLVU, videochat2/choice_bench.py), whose prompt ends in an open bracket.
    """
    return _index(text.split(")")[0], options)


def videomme_option(text: str, options: Sequence[str]) -> int | None:
    """The first A, B, C or D anywhere, once some openings are cut off: `A person runs` is A, `Best answer: C` is B.

    Video-MME, as kept in open-compass/VLMEvalKit, vlmeval/dataset/utils/videomme.py.  Two commas are missing in its
    list of openings, so that `Best answer:` and those with `option is` are never cut off.
    """
    return _first(text, (*_OPENINGS, *_GLUED, "Answer:", "Option:"), "ABCD", options)


def lmms_letter_option(text: str, options: Sequence[str]) -> int | None:
    """As `videomme_option`, but `Answer:` and `Option:` are no openings either: `Answer: C` is A.

    lmms-eval (EvolvingLMMs-Lab/lmms-eval, lmms_eval/tasks/videomme/utils.py and tasks/mlvu/utils.py).
    """
    return _first(text, (*_OPENINGS, *_GLUED), "ABCD", options)


def longvideobench_option(text: str, options: Sequence[str]) -> int | None:
    """The first A to E anywhere, once some openings are cut off; the original draws for an answer without one.

    LongVideoBench, as kept in lmms-eval (lmms_eval/tasks/longvideobench/utils.py).
    """
    more = ("The best option is", "The correct option is", "Best answer:", "Best option:")
    return _first(text, (*_OPENINGS, *more), "ABCDE", options)


def lvbench_option(text: str, options: Sequence[str]) -> int | None:
    """The first character of what stands before the first `)` and after a `(`; capitals only.

    LVBench (THUDM/LVBench, lvbench/utils/answer_util.py): `The answer is (C)` is C, `C. x` is C, `Answer: C` is A.
    """
    head = text.split(")")[0]
    inside = head.split("(")[1] if "(" in head else head
    return _index(inside.strip()[:1], options)


def mmmu_option(text: str, options: Sequence[str]) -> int | None:
    """The last `(A)`; else the last `A `; else `A.`; else, beyond five words, the last option told in full.

    MMMU's rule, as Aria (rhymes-ai/Aria, examples/nextqa/evaluation.py) and lmms-eval (tasks/nextqa/utils.py) use it
    for NExT-QA; both draw when it finds nothing.  `VISA card` names A.
    """
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    for form, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [i for i in range(len(options)) if form.format(LETTERS[i]) in text]
        if found:
            return max(found, key=lambda i: text.rfind(place.format(LETTERS[i])))
    said = text.lower()
    found = [i for i, option in enumerate(options) if option.lower() in said] if len(said.split()) > 5 else []
    return max(found, key=lambda i: said.rfind(options[i].lower()), default=None)


def lmms_mvbench_option(text: str, options: Sequence[str]) -> int | None:
    """A leading `A.`, else the first A to E that stands alone, in either case, an article too: `It is a dog` is A.

    lmms-eval for MVBench (lmms_eval/tasks/mvbench/utils.py).
    """
    leading = re.match(r"^([A-E])\.\s*(.+)$", text.strip(), re.IGNORECASE)
    if leading:
        return _index(leading[1].upper(), options)
    text = re.sub(r"[\n\t]", " ", text).strip()
    commas = re.search(r"\d,\d", text) is not None
    plain = text
    for mark in ';/[]"{}()=+\\_-><@`,?!':
        gone = commas or f"{mark} " in text or f" {mark}" in text
        plain = plain.replace(mark, "" if gone else " ")
    alone = re.search(r"\b([A-E])\b", re.sub(r"\.(?!\d)", "", plain, count=32), re.IGNORECASE)
    return _index(alone[1].upper(), options) if alone else None


def exact_letter(text: str, options: Sequence[str]) -> int | None:
    """The text, if it is a capital letter and nothing else: lmms-eval for Perception Test, whose options are three.

    lmms_eval/tasks/perceptiontest/val/utils.py.
    """
    return _index(text, options)


def lmms_egoschema_option(text: str, options: Sequence[str]) -> int | None:
    """The text, if it is `A. option.`, the option's first sentence as it stands there, or the letter; nothing else.

    lmms-eval for EgoSchema (lmms_eval/tasks/egoschema/utils.py, egoschema_process_results_generation).
    """
    whole = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options)]
    whole = [line if line.endswith(".") else f"{line}." for line in whole]
    for forms in (whole, [line.split(". ")[1] for line in whole]):
        if text in forms:
            return forms.index(text)
    return _index(text, options)


def _index(letter: str, options: Sequence[str]) -> int | None:
    """Number of a capital letter among the options."""
    index = LETTERS.find(letter) if len(letter) == 1 else -1
    return index if 0 <= index < len(options) else None


def _first(text: str, openings: Sequence[str], letters: str, options: Sequence[str]) -> int | None:
    """The first of some letters after the openings are cut out wherever they stand."""
    for opening in openings:
        text = text.replace(opening, "")
    found = re.search(f"[{letters}]", text)
    return _index(found[0], options) if found else None
