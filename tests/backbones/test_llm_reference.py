import pickle

import pytest

from merv.backbones.llm.published import HubLLMConfig
from merv.backbones.llm.reference import REFERENCE_TEMPLATES
from merv.chat import IGNORE_INDEX, Turn
from merv.errors import SampleError

from .recorded_prompts import BUILDERS, CAPTION, CASES, tokenizer_of, turns_of


@pytest.mark.parametrize(("builder", "case"), CASES)
def test_training_rows_are_those_of_the_original(builder, case):
    expected = BUILDERS[builder]["cases"][case]

    encoded = REFERENCE_TEMPLATES[builder].encode(turns_of(builder, case), tokenizer_of(builder))

    assert encoded.ids == expected["training_ids"]
    assert encoded.labels == expected["training_labels"]


@pytest.mark.parametrize(("builder", "case"), CASES)
def test_prompts_are_those_of_the_original(builder, case):
    expected = BUILDERS[builder]["cases"][case]
    template, turns = REFERENCE_TEMPLATES[builder], turns_of(builder, case)

    first = template.encode(turns[:1], tokenizer_of(builder), answer=False)

    assert first.ids == expected["prompt_ids"]
    assert first.labels == [IGNORE_INDEX] * len(first.ids)
    assert [template.prompt(turns[: 2 * n + 1]) for n in range(len(turns) // 2)] == expected["prompts"]
    assert template.encode(turns[:2], tokenizer_of(builder), answer=False) == first


@pytest.mark.parametrize("builder", BUILDERS)
def test_captions_are_those_of_the_original(builder):
    encoded = REFERENCE_TEMPLATES[builder].encode_caption(CAPTION, tokenizer_of(builder))

    assert [encoded.ids, encoded.labels] == [BUILDERS[builder]["align"][key] for key in ("input_ids", "labels")]


@pytest.mark.parametrize("builder", [name for name in BUILDERS if "system_prompt_custom" in BUILDERS[name]])
def test_a_system_message_is_treated_as_the_original_does(builder):
    turns = [Turn("system", "Be brief."), Turn("user", "Hi")]

    assert REFERENCE_TEMPLATES[builder].prompt(turns) == BUILDERS[builder]["system_prompt_custom"]


@pytest.mark.parametrize("builder", [name for name in BUILDERS if "system_prompt_custom" not in BUILDERS[name]])
@pytest.mark.parametrize("answer", [True, False])
def test_a_system_message_the_original_cannot_take_is_refused(builder, answer):
    turns = [Turn("system", "Be brief."), Turn("user", "Hi"), Turn("assistant", "Ho")]

    with pytest.raises(SampleError, match="no place for a system message; use protocol merv"):
        REFERENCE_TEMPLATES[builder].encode(turns, tokenizer_of(builder), answer=answer)


def test_llama_3_chat_ends_captions_with_the_base_model_s_eos():
    tokenizer = tokenizer_of("llama3.1")

    encoded = REFERENCE_TEMPLATES["llama3-chat"].encode_caption(CAPTION, tokenizer)

    assert tokenizer.decode(encoded.ids) == "<|begin_of_text|>A dog runs.<|end_of_text|>"


def test_every_published_model_names_prompts_of_the_original():
    named = {config.reference for config in HubLLMConfig.get_known_choices().values() if hasattr(config, "reference")}

    assert named - {None} == set(REFERENCE_TEMPLATES)


@pytest.mark.parametrize("name", REFERENCE_TEMPLATES)
def test_templates_travel_to_worker_processes(name):
    template = REFERENCE_TEMPLATES[name]

    assert pickle.loads(pickle.dumps(template)) == template


def test_turns_out_of_order_are_refused():
    with pytest.raises(SampleError, match="expected user, assistant"):
        REFERENCE_TEMPLATES["pure"].encode([Turn("assistant", "a")], tokenizer_of("pure"))


def test_a_row_that_ends_with_a_question_has_no_caption():
    with pytest.raises(SampleError, match="a caption is needed"):
        REFERENCE_TEMPLATES["pure"].encode_caption([Turn("user", "a")], tokenizer_of("pure"))
