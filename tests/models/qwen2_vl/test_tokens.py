from types import SimpleNamespace

import pytest

from merv.errors import ConfigError
from merv.models.qwen2_vl.tiny import tiny_tokenizer
from merv.models.qwen2_vl.tokens import NEW_TOKENS, REG, VIDEO, TokenIds, add_tokens


def test_new_tokens_are_added_once_in_their_order():
    tokenizer = tiny_tokenizer()
    known = len(tokenizer)

    assert add_tokens(tokenizer) == 3
    assert add_tokens(tokenizer) == 0
    assert tokenizer.convert_tokens_to_ids(list(NEW_TOKENS)) == [known, known + 1, known + 2]


def test_only_what_is_missing_is_added():
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([REG], special_tokens=True)

    assert add_tokens(tokenizer) == 2


def test_new_tokens_are_whole_wherever_they_stand():
    tokenizer = tiny_tokenizer()
    add_tokens(tokenizer)
    ids = TokenIds.of(tokenizer)

    found = tokenizer(f"in{REG}.", add_special_tokens=False).input_ids

    assert found.count(ids.reg) == 1
    assert tokenizer.decode(found) == f"in{REG}."


def test_ids_are_those_of_the_vocabulary():
    tokenizer = tiny_tokenizer()
    add_tokens(tokenizer)

    ids = TokenIds.of(tokenizer)

    numbers = [ids.video, ids.reg, ids.segment_start, ids.segment_end]
    assert tokenizer.convert_ids_to_tokens(numbers) == [VIDEO, *NEW_TOKENS]
    assert tokenizer.decode([ids.yes]).startswith("Y")
    assert tokenizer.decode([ids.no]).startswith("N")


def test_a_verdict_begins_as_an_answer_does():
    tokenizer = tiny_tokenizer()
    add_tokens(tokenizer)

    spaced, plain = TokenIds.of(tokenizer, " "), TokenIds.of(tokenizer)

    assert (tokenizer.decode([spaced.yes]), tokenizer.decode([spaced.no])) == (" Yes", " No")
    assert not {spaced.yes, spaced.no} & {plain.yes, plain.no}


def test_a_tokenizer_without_the_tokens_is_refused_in_one_line():
    with pytest.raises(ConfigError, match=r"^the tokenizer lacks <\|reg\|>, .*the base is no Qwen2-VL") as caught:
        TokenIds.of(tiny_tokenizer())

    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_begins_yes_and_no_alike_is_refused():
    tokenizer = tiny_tokenizer()
    add_tokens(tokenizer)

    class Alike:
        get_vocab = staticmethod(tokenizer.get_vocab)

        def __call__(self, text, **options):
            return SimpleNamespace(input_ids=[5, *tokenizer(text, **options).input_ids])

    with pytest.raises(ConfigError, match="begins `Yes` and `No` alike"):
        TokenIds.of(Alike())
