"""Which tokens learn, for the templates and placeholders of four models, and of processors nobody has seen."""

import re

import pytest

from merv.chat import IGNORE_INDEX
from merv.errors import SampleError
from merv.models.hf_vlm.labels import find_answers, place_answers, render

from .samples import ANSWERS, CONVERSATIONS, NAMES, learned, processor_of, published

ENDS = {"qwen2-vl": "<|im_end|>", "qwen2.5-vl": "<|im_end|>", "aria": "<|im_end|>", "llava": "</s>"}


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_answers_learn_with_their_end_and_nothing_else(vlm_folder, media, name, conversation):
    processor = processor_of(vlm_folder(name))

    example = processor.prepare(CONVERSATIONS[conversation](media))

    space = " " if name == "llava" else ""
    assert learned(processor, example) == [f"{space}{answer}{ENDS[name]}" for answer in ANSWERS[conversation]]
    taught = example.labels != IGNORE_INDEX
    assert (example.labels[taught] == example.input_ids[taught]).all()


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_labels_are_those_of_brute_force(vlm_folder, media, name, conversation):
    # What comes before an answer, decoded whole, ends with the words that call for one; so does nothing else.
    processor = processor_of(vlm_folder(name))
    example = processor.prepare(CONVERSATIONS[conversation](media))
    call = "ASSISTANT:" if name == "llava" else "<|im_start|>assistant\n"

    decode, expected = processor.tokenizer.decode, [IGNORE_INDEX] * len(example.input_ids)
    ids, inside = example.input_ids.tolist(), False
    end = processor.tokenizer.convert_tokens_to_ids(ENDS[name])
    for place, token in enumerate(ids):
        inside = inside or decode(ids[:place]).endswith(call)
        if inside:
            expected[place] = token
        inside = inside and token != end

    assert example.labels.tolist() == expected


def test_the_line_break_behind_an_answer_learns_where_it_is_wanted(vlm_folder, media):
    processor = processor_of(vlm_folder("aria"), learn_newline=True)

    example = processor.prepare(CONVERSATIONS["several turns"](media))

    assert learned(processor, example) == [f"{answer}<|im_end|>\n" for answer in ("a ball", "red", "yes")]


class Template:
    """Renders as a function says."""

    def __init__(self, write):
        self.write = write

    def apply_chat_template(self, messages, *, tokenize, add_generation_prompt):
        return self.write(messages, add_generation_prompt)


def messages(*words):
    return [
        {"role": ("user", "assistant")[number % 2], "content": [{"type": "text", "text": word}]}
        for number, word in enumerate(words)
    ]


def said(message):
    return message["content"][0]["text"]


def test_an_earlier_answer_that_the_template_shortens_later_does_not_learn():
    def write(given, answering):
        last = len(given) - 1
        words = [said(m) if n == last else re.sub("<think>.*</think>", "", said(m)) for n, m in enumerate(given)]
        return "".join(f"[{word}]" for word in words) + ("[" if answering else "")

    found = find_answers(Template(write), messages("a", "<think>x</think>b", "c", "d"))

    assert [found.text[slice(*answer)] for answer in found.answers] == ["d]"]


def test_a_last_answer_the_template_writes_elsewhere_is_refused():
    def write(given, answering):
        return "".join(f"[{said(message)}]" for message in given) + ("[think:" if answering else "")

    with pytest.raises(SampleError, match="does not write the last answer behind its own call for an answer"):
        find_answers(Template(write), messages("a", "b"))


def test_a_row_that_begins_with_an_answer_learns_the_others():
    def write(given, answering):
        return "".join(f"[{said(message)}]" for message in given) + ("[" if answering else "")

    found = find_answers(Template(write), [messages("", "hello")[1], *messages("a", "b")])

    assert [found.text[slice(*answer)] for answer in found.answers] == ["b]"]


def test_what_a_template_says_against_a_row_is_told_in_one_line(vlm_folder):
    import copy

    strict = copy.deepcopy(published(vlm_folder("llava")))
    strict.chat_template = "{{ raise_exception('roles must\n take turns') }}"

    with pytest.raises(SampleError, match=r"^the model's chat template refuses the row: roles must take turns$"):
        render(strict, messages("a", "b"))


# 9 stands for a medium; 100 and more are what a processor puts there; 50 calls for an answer, 60 ends it.
@pytest.mark.parametrize(
    ("plain", "ids", "answers", "expected"),
    [
        pytest.param([1, 9, 2, 50, 3, 60], [1, 100, 100, 2, 50, 3, 60], [(4, 6)], [(5, 7)], id="repeated"),
        pytest.param(
            [1, 9, 2, 50, 3, 60], [1, 9, 9, 9, 2, 50, 3, 60], [(4, 6)], [(6, 8)], id="the placeholder itself"
        ),
        pytest.param([1, 9, 2, 50, 3, 60], [1, 2, 50, 100, 2, 50, 3, 60], [(4, 6)], [(6, 8)], id="looks like words"),
        pytest.param([9, 9, 50, 3, 60], [100, 101, 50, 3, 60], [(3, 5)], [(3, 5)], id="nothing between media"),
        pytest.param(
            [50, 3, 60, 1, 9, 50, 3, 60],
            [50, 3, 60, 1, 100, 101, 100, 50, 3, 60],
            [(1, 3), (6, 8)],
            [(1, 3), (8, 10)],
            id="equal answers around a medium",
        ),
        pytest.param(
            [9, 50, 3, 60, 9, 50, 3, 60],
            [100, 50, 3, 60, 100, 100, 50, 3, 60],
            [(2, 4), (6, 8)],
            [(2, 4), (7, 9)],
            id="the same twice",
        ),
        pytest.param(
            [9, 2, 50, 3, 60, 2, 50, 3, 60, 9, 2, 50, 3, 60],
            [100, 100, 2, 50, 3, 60, 2, 50, 3, 60, 100, 2, 50, 3, 60],
            [(3, 5), (7, 9), (12, 14)],
            [(4, 6), (8, 10), (13, 15)],
            id="several answers behind one medium",
        ),
        pytest.param([9, 2, 7, 50, 3, 60], [100, 100, 77, 50, 3, 60], [(4, 6)], [(4, 6)], id="an edge that joined"),
    ],
)
def test_answers_are_found_whatever_stands_for_a_medium(plain, ids, answers, expected):
    assert place_answers(plain, ids, answers, {9}) == expected


def test_an_answer_that_is_not_there_is_refused():
    with pytest.raises(SampleError, match="not among those the model's processor made"):
        place_answers([9, 2, 50, 3, 60], [100, 2, 50, 4, 60], [(3, 5)], {9})
