import pickle
from dataclasses import replace

import pytest
from jinja2 import TemplateError

from merv.backbones.llm.chat_template import follow_chat_template
from merv.backbones.llm.templates import MERV_SYSTEM, TEMPLATES, special_tokens, template_for
from merv.backbones.llm.tiny import WORDS, byte_level_tokenizer
from merv.chat import IGNORE_INDEX, Turn
from merv.errors import ConfigError, SampleError

from .recorded_prompts import BUILDERS, CAPTION, CASES, tokenizer_of, turns_of

NAMES = {"llama3.1": "llama3-chat"}
"""Builders of the original that are called otherwise here."""
TAG = "the original leaves the tag of the system message open: <<SYS>"
ROW = "the original's row has two BOS, and the open tag"
EMPTY = "the original learns a space for an empty answer, we the end alone"
HEADERS = "the original's row has no system message and no line break after headers, its prompt has both"
DIFFERENCES = {
    **{("llama2-chat", case, "prompt"): TAG for case in ("1turn", "3turn", "placeholder_end", "empty_answer")},
    **{("llama2-chat", case, "row"): ROW for case in ("1turn", "3turn", "placeholder_end", "empty_answer")},
    **{(builder, "empty_answer", "row"): EMPTY for builder in ("vicuna", "pure")},
    **{(builder, case, "row"): HEADERS for builder, case in CASES if builder in ("llama3.1", "qwen2")},
}
"""Where ours is not the original's, given the same text; everywhere else ids and labels are equal."""

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHATML_WITH_DEFAULT = (
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nYou are kind.<|im_end|>\n' }}{% endif %}" + CHATML
)
HEADED = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
    "{{ m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
HEADED_WITHOUT_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + HEADED
BRACKETS = (
    "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' }}"
    "{% if loop.first and messages[0].role == 'system' %}{{ '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' }}"
    "{% endif %}{{ m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
OWN = {
    "chatml": ("qwen2", CHATML),
    "chatml with a default": ("qwen2", CHATML_WITH_DEFAULT),
    "headers": ("llama3.1", HEADED),
    "headers without a system": ("llama3.1", HEADED_WITHOUT_SYSTEM),
    "brackets": ("llama2-chat", BRACKETS),
}
EXCHANGES = [Turn("user", "What is it?"), Turn("assistant", "A dog."), Turn("user", "Is it True?")]
TALK = [*EXCHANGES, Turn("assistant", "Yes")]
TALK_WITH_SYSTEM = [Turn("system", "Be brief."), *TALK]


def template_of(builder, tokenizer):
    return template_for(NAMES.get(builder, builder), tokenizer)


def same_text(builder, case):
    """The recorded turns; where the original takes `<image>` out of the text itself, the reader does that here."""
    turns = turns_of(builder, case)
    if builder in ("llama3.1", "qwen2"):
        return turns
    return [Turn(turn.role, turn.text.replace("<image>", "")) for turn in turns]


def own(name):
    builder, text = OWN[name]
    tokenizer = tokenizer_of(builder)
    tokenizer.chat_template = text
    return tokenizer


@pytest.mark.parametrize(("builder", "case"), CASES)
def test_prompts_are_the_original_s_but_for_the_listed_differences(builder, case):
    tokenizer = tokenizer_of(builder)

    encoded = template_of(builder, tokenizer).encode(same_text(builder, case)[:1], tokenizer, answer=False)

    equal = encoded.ids == BUILDERS[builder]["cases"][case]["prompt_ids"]
    assert equal == ((builder, case, "prompt") not in DIFFERENCES)


@pytest.mark.parametrize(("builder", "case"), CASES)
def test_rows_are_the_original_s_but_for_the_listed_differences(builder, case):
    tokenizer, expected = tokenizer_of(builder), BUILDERS[builder]["cases"][case]

    encoded = template_of(builder, tokenizer).encode(same_text(builder, case), tokenizer)

    equal = (encoded.ids, encoded.labels) == (expected["training_ids"], expected["training_labels"])
    assert equal == ((builder, case, "row") not in DIFFERENCES)


@pytest.mark.parametrize("case", ["1turn", "3turn", "placeholder_end"])
def test_llama_2_differs_by_the_tag_and_the_second_bos_alone(case):
    tokenizer, expected = tokenizer_of("llama2-chat"), BUILDERS["llama2-chat"]["cases"][case]
    with_typo = replace(TEMPLATES["llama2-chat"], before_system="<<SYS>\n")
    turns = same_text("llama2-chat", case)

    assert with_typo.encode(turns[:1], tokenizer, answer=False).ids == expected["prompt_ids"]
    assert with_typo.encode(turns, tokenizer).ids == expected["training_ids"][1:]
    assert with_typo.encode(turns, tokenizer).labels == expected["training_labels"][1:]


@pytest.mark.parametrize("builder", ["llama3.1", "qwen2"])
@pytest.mark.parametrize("case", ["1turn", "placeholder_end", "empty_answer"])
def test_header_templates_learn_what_the_original_learns(builder, case):
    tokenizer = tokenizer_of(builder)

    encoded = template_of(builder, tokenizer).encode(same_text(builder, case), tokenizer)

    learned = [label for label in BUILDERS[builder]["cases"][case]["training_labels"] if label != IGNORE_INDEX]
    assert [label for label in encoded.labels if label != IGNORE_INDEX] == learned


@pytest.mark.parametrize("builder", BUILDERS)
def test_captions_are_the_original_s(builder):
    tokenizer = tokenizer_of(builder)

    encoded = template_of(builder, tokenizer).encode_caption(CAPTION, tokenizer)

    assert [encoded.ids, encoded.labels] == [BUILDERS[builder]["align"][key] for key in ("input_ids", "labels")]


@pytest.mark.parametrize(("builder", "case"), CASES)
def test_a_prompt_is_the_beginning_of_its_row(builder, case):
    tokenizer = tokenizer_of(builder)
    template, turns = template_of(builder, tokenizer), turns_of(builder, case, placeholders=False)

    row = template.encode(turns, tokenizer).ids

    for end in range(1, len(turns), 2):
        prompt = template.encode(turns[:end], tokenizer, answer=False).ids
        assert row[: len(prompt)] == prompt
        assert len(row) > len(prompt)


@pytest.mark.parametrize(
    ("name", "builder", "text"),
    [
        ("pure", "pure", "<s> In: What is it?\nOut: A dog.</s> In: Is it True?\nOut: Yes</s>"),
        (
            "llama2-chat",
            "llama2-chat",
            "<s> [INST] <<SYS>>\n{system}\n<</SYS>>\n\nWhat is it? [/INST] A dog.</s><s> [INST] Is it True? [/INST] "
            "Yes</s>",
        ),
        (
            "llama3-chat",
            "llama3.1",
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|><|start_header_id|>user"
            "<|end_header_id|>\n\nWhat is it?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA dog."
            "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nIs it True?<|eot_id|><|start_header_id|>assistant"
            "<|end_header_id|>\n\nYes<|eot_id|>",
        ),
        (
            "qwen2",
            "qwen2",
            "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|>assistant\n"
            "A dog.<|im_end|>\n<|im_start|>user\nIs it True?<|im_end|>\n<|im_start|>assistant\nYes<|im_end|>",
        ),
        (
            "pure",
            "llama3.1",
            "<|begin_of_text|>In: What is it?\nOut: A dog.<|eot_id|>In: Is it True?\nOut: Yes<|eot_id|>",
        ),
    ],
)
def test_a_conversation_reads_as_its_model_knows_it(name, builder, text):
    tokenizer = tokenizer_of(builder)

    encoded = template_for(name, tokenizer).encode(TALK, tokenizer)

    assert tokenizer.decode(encoded.ids) == text.format(system=MERV_SYSTEM)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_system_message_takes_the_place_of_the_default(name):
    tokenizer = byte_level_tokenizer(WORDS.split())
    tokenizer.add_tokens(special_tokens(TEMPLATES[name]), special_tokens=True)
    template = template_for(name, tokenizer)
    default = tokenizer.decode(template.encode(TALK, tokenizer).ids)

    text = tokenizer.decode(template.encode(TALK_WITH_SYSTEM, tokenizer).ids)

    if name == "pure":  # it has no place for one
        assert text == default.replace("What is it?", "Be brief.\nWhat is it?")
    else:
        assert text == default.replace(template.system, "Be brief.")


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_travel_to_worker_processes(name):
    assert pickle.loads(pickle.dumps(TEMPLATES[name])) == TEMPLATES[name]


def test_a_template_for_another_tokenizer_is_refused():
    with pytest.raises(ConfigError, match=r"template qwen2 ends answers with <\|im_end\|>, which the tokenizer lacks"):
        template_for("qwen2", tokenizer_of("pure"))


def test_a_tokenizer_without_a_chat_template_gets_the_plain_one():
    assert template_for("own", tokenizer_of("pure")) == TEMPLATES["pure"]
    assert template_for("own", tokenizer_of("qwen2")) == replace(TEMPLATES["pure"], before_answer=" ")


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("turns", [TALK[:2], TALK, TALK_WITH_SYSTEM], ids=["one question", "two", "with system"])
def test_a_chat_template_is_followed_to_the_token(name, turns):
    tokenizer = own(name)
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    try:
        expected = tokenizer.apply_chat_template(messages, tokenize=False)
    except TemplateError:  # it takes no system message: ours stands before the question
        messages[1]["content"] = "Be brief.\nWhat is it?"
        expected = tokenizer.apply_chat_template(messages[1:], tokenize=False)

    encoded = template_for("own", tokenizer).encode(turns, tokenizer)

    assert encoded.ids == tokenizer(expected.rstrip("\n"), add_special_tokens=False).input_ids
    if tokenizer.bos_token_id is not None:
        assert encoded.ids[0] == tokenizer.bos_token_id != encoded.ids[1]


@pytest.mark.parametrize("name", OWN)
def test_a_chat_template_s_prompt_is_the_beginning_of_its_row(name):
    tokenizer = own(name)
    template = template_for("own", tokenizer)
    row = template.encode(TALK_WITH_SYSTEM, tokenizer)

    prompt = template.encode(TALK_WITH_SYSTEM[:-1], tokenizer, answer=False)

    assert row.ids[: len(prompt.ids)] == prompt.ids
    assert row.ids[-1] == tokenizer.convert_tokens_to_ids(template.end)
    assert row.labels[len(prompt.ids) :] == row.ids[len(prompt.ids) :]


def test_a_chat_template_that_rewrites_history_still_gives_prompts_that_begin_rows():
    tokenizer = own("chatml")
    last = "{{ '<think></think>' if loop.last and m.role == 'assistant' else '' }}"
    tokenizer.chat_template = CHATML.replace("+ m.content", "}}" + last + "{{ m.content")
    template = template_for("own", tokenizer)

    row, prompt = (template.encode(TALK, tokenizer, answer=answer).ids for answer in (True, False))

    assert row[: len(prompt)] == prompt


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ raise_exception('never') }}", "refuses a plain question; set template, such as pure"),
        ("nothing of it", "refuses a plain question"),
        ("{{ messages[-1].content }}{{ messages[0].content }}", "loses or reorders messages; set template"),
    ],
)
def test_a_chat_template_that_cannot_be_followed_is_refused(text, message):
    tokenizer = own("chatml")
    tokenizer.chat_template = text

    with pytest.raises(ConfigError, match=message):
        follow_chat_template(tokenizer)


def test_a_row_that_ends_with_a_question_has_no_caption():
    with pytest.raises(SampleError, match="a caption is needed"):
        TEMPLATES["pure"].encode_caption(EXCHANGES, tokenizer_of("pure"))
