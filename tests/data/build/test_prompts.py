from merv.data.build.moments import Moment
from merv.data.build.prompts import blind_prompt, writing_prompt

MOMENT = Moment("1", "abc", 'A man says "hi" {to} all', ((1.0, 4.5), (8.0, 9.0)), 30.0)


def test_the_writer_is_told_what_happens_when_and_how_many_wrong_answers_to_give():
    text = writing_prompt(MOMENT, 5).user

    assert '"A man says \\"hi\\" {to} all"' in text
    assert "from 1 s to 4.5 s and from 8 s to 9 s of a video of 30 s" in text
    assert "4 wrong answers" in text
    assert '{"question": "...", "answer": "...", "distractors": ["...", "...", "...", "..."]}' in text


def test_another_attempt_says_why():
    assert "could not be used: two right answers." in writing_prompt(MOMENT, 4, "two right answers").user
    assert "could not be used" not in writing_prompt(MOMENT, 4).user


def test_the_blind_model_gets_question_and_options_and_nothing_of_the_moment():
    prompt = blind_prompt("Who waves?", ["a man", "a dog"])

    assert prompt.user == "Who waves? Options: (A) a man (B) a dog"
