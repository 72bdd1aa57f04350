import pickle

from merv.chat import Turn
from merv.data.sample import Sample
from merv.rl.prompting import PromptPreparer

from .prompted_models import prompted

TURNS = (Turn("user", "What is it?"), Turn("assistant", "a ring"), Turn("user", "Why?"), Turn("assistant", "round"))


class Keeps:
    def prepare(self, sample, *, answer):
        assert not answer
        return sample.turns


def test_the_last_answer_is_taken_off_and_earlier_ones_stay():
    assert PromptPreparer(Keeps())(Sample("a", TURNS)) == TURNS[:3]
    assert PromptPreparer(Keeps())(Sample("a", TURNS[:3])) == TURNS[:3]


def test_a_system_message_goes_before_the_turns_in_place_of_the_rows_own():
    own = (Turn("system", "theirs"), *TURNS[:2])

    found = PromptPreparer(Keeps(), "Think first.")(Sample("a", own))

    assert found == (Turn("system", "Think first."), TURNS[0])


def test_the_prompt_is_what_an_evaluation_asks_and_the_preparer_travels(tmp_path):
    tiny = prompted("merv", tmp_path)
    preparer = pickle.loads(pickle.dumps(PromptPreparer(tiny.model.processor, "Be brief.")))
    processor = tiny.model.processor

    text = processor.tokenizer.decode(preparer(tiny.samples[0]).input_ids)

    assert "Be brief." in text
    assert text.endswith("Which shape moves left?\nOut:")
    assert "ring" not in text
