import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merv.backbones.llm.prompts import PromptTemplate
from merv.backbones.llm.tiny import WORDS, byte_level_tokenizer
from merv.chat import IGNORE_INDEX, Turn
from merv.errors import SampleError

TOKENIZER = byte_level_tokenizer(WORDS.split())
TEMPLATES = {
    "base": PromptTemplate(),
    "spaced": PromptTemplate(before_answer=" "),
    "with system": PromptTemplate(system="A chat.\n", before_user="USER: ", after_user=" ASSISTANT:", between=" "),
}
BOS, EOS = TOKENIZER.bos_token_id, TOKENIZER.eos_token_id
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: "<" not in text)

IDS = [261, 267, 14, 268, 78, 78, 91, 261]
VOCAB_SHA256 = "b1db091154a1ffd1a4bd164841feae4a3b131e10a3de808ff2d1ee3d04e966ac"


def talk(*texts, system=None):
    roles = ["user", "assistant"] * len(texts)
    start = () if system is None else (Turn("system", system),)
    return start + tuple(Turn(role, text) for role, text in zip(roles, texts, strict=False))


def text_of(ids):
    return TOKENIZER.decode(ids)


@settings(max_examples=60, deadline=None)
@given(
    exchanges=st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=3),
    template=st.sampled_from(sorted(TEMPLATES)),
    system=st.none() | PLAIN,
)
def test_ids_of_a_prompt_begin_the_ids_of_its_training_row(exchanges, template, system):
    turns = talk(*(text for exchange in exchanges for text in exchange), system=system)

    training = TEMPLATES[template].encode(turns, TOKENIZER)
    with_answer = TEMPLATES[template].encode(turns, TOKENIZER, answer=False)
    question_only = TEMPLATES[template].encode(turns[:-1], TOKENIZER, answer=False)

    assert with_answer == question_only
    assert training.ids[: len(with_answer.ids)] == with_answer.ids
    assert training.labels[: len(with_answer.labels)] == with_answer.labels
    answer = training.ids[len(with_answer.ids) :]
    assert answer[-1] == EOS
    assert training.labels[len(with_answer.labels) :] == answer


def test_labels_are_the_answers_and_their_end_and_nothing_else():
    encoded = TEMPLATES["spaced"].encode(talk("What moves?", "the red circle", "Where?", "left"), TOKENIZER)

    pieces, current = [], []
    for label in [*encoded.labels, IGNORE_INDEX]:
        if label != IGNORE_INDEX:
            current.append(label)
        elif current:
            pieces.append(text_of(current))
            current = []
    assert pieces == [" the red circle</s>", " left</s>"]
    assert [i for i, label in zip(encoded.ids, encoded.labels, strict=True) if label not in (i, IGNORE_INDEX)] == []


def test_turns_are_joined_as_the_template_says():
    encoded = TEMPLATES["spaced"].encode(talk("What moves?", "the red circle", "Where?", "left"), TOKENIZER)

    assert text_of(encoded.ids) == ("<s>In: What moves?\nOut: the red circle</s>\nIn: Where?\nOut: left</s>")


def test_the_template_s_own_system_text_stands_before_the_first_question_only():
    encoded = TEMPLATES["with system"].encode(talk("a", "b", "c", "d"), TOKENIZER)

    assert text_of(encoded.ids) == "<s>A chat.\nUSER: a ASSISTANT:b</s> USER: c ASSISTANT:d</s>"


def test_a_system_turn_is_folded_into_the_first_question():
    encoded = TEMPLATES["base"].encode(talk("What moves?", "it", system=" Answer with one word. "), TOKENIZER)

    assert text_of(encoded.ids) == "<s>In: Answer with one word.\nWhat moves?\nOut:it</s>"


def test_space_around_messages_is_dropped():
    tidy = TEMPLATES["base"].encode(talk("What moves?", "it"), TOKENIZER)

    assert TEMPLATES["base"].encode(talk("  What moves? \n", "\tit "), TOKENIZER) == tidy


def test_a_tokenizer_without_bos_begins_with_the_question():
    tokenizer = byte_level_tokenizer(WORDS.split())
    tokenizer.bos_token = None

    encoded = TEMPLATES["base"].encode(talk("What moves?", "it"), tokenizer)

    assert encoded.ids == TEMPLATES["base"].encode(talk("What moves?", "it"), TOKENIZER).ids[1:]
    assert len(encoded.labels) == len(encoded.ids)


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ([], "turns are empty"),
        (["assistant"], r"turns are \['assistant'\]; expected user, assistant, user"),
        (["user", "user"], r"\['user', 'user'\]"),
        (["user", "assistant", "assistant"], r"\['user', 'assistant', 'assistant'\]"),
        (["user", "system", "assistant"], r"\['user', 'system', 'assistant'\]"),
        (["system"], r"\['system'\]"),
        (["system", "assistant", "user"], "expected user, assistant"),
    ],
)
def test_turns_out_of_order_are_refused(roles, message, answer):
    with pytest.raises(SampleError, match=message):
        TEMPLATES["base"].encode([Turn(role, "text") for role in roles], TOKENIZER, answer=answer)


def test_a_training_row_without_an_answer_is_refused():
    with pytest.raises(SampleError, match="ends with a question; a training row needs its answer"):
        TEMPLATES["base"].encode(talk("What?", "it", "Where?"), TOKENIZER)


def test_a_prompt_may_end_with_its_question():
    encoded = TEMPLATES["base"].encode(talk("What?", "it", "Where?"), TOKENIZER, answer=False)

    assert text_of(encoded.ids).endswith("In: Where?\nOut:")


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_the_tokenizer_loses_nothing_of_any_text(text):
    ids = TOKENIZER(text, add_special_tokens=False).input_ids

    assert TOKENIZER.decode(ids) == text


def test_each_word_behind_a_space_is_one_token():
    words = [word for word in WORDS.split() if word.isalpha()]

    assert len(words) > 50
    assert {word: TOKENIZER.tokenize(f" {word}") for word in words} == {word: [f"Ġ{word}"] for word in words}


def test_every_process_makes_the_same_tokenizer():
    tokenizer = byte_level_tokenizer(["red", "circle", "read"])
    vocab = sorted(tokenizer.get_vocab().items())

    # Written down, because hash seeds differ between processes: an order taken from a set would show.
    assert tokenizer(" red circle, really red", add_special_tokens=False).input_ids == IDS
    assert hashlib.sha256(repr(vocab).encode()).hexdigest() == VOCAB_SHA256
