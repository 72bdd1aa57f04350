import numpy as np
import pytest
from PIL import Image

from merv.agent.chain import Chain
from merv.agent.record import Candidate, ChainReply
from merv.agent.timeline import CHOSEN, MOST_ROWS, OTHER, TRUE, bars, caption, draw_timeline

from .fakes import ScriptedRoles, both


def reply_of(num_candidates, *, verifier=True, text="(A)", **record):
    scores = [(0.01 * (n + 1), 0.5 if verifier else None) for n in range(num_candidates)]
    candidates = [Candidate(n, n + 2.0, grounder, score).plain() for n, (grounder, score) in enumerate(scores)]
    default = {"question": "What is red?", "options": [], "shown": [0.0, 120.0], "chosen": [3.0, 9.0]}
    return ChainReply(text, (), record={**default, "candidates": candidates, **record})


def has_colour(path, colour):
    pixels = np.asarray(Image.open(path).convert("RGB"))
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((pixels == wanted).all(-1).sum() > 50)


@pytest.mark.parametrize("num_candidates", [0, 1, 100])
def test_any_number_of_candidates_is_drawn(tmp_path, num_candidates):
    path = tmp_path / "new" / "a.png"

    draw_timeline(reply_of(num_candidates), path, windows=[(1.0, 4.0)])

    assert Image.open(path).size[0] == 11 * 120
    assert has_colour(path, CHOSEN)
    assert has_colour(path, TRUE)
    assert has_colour(path, OTHER) == (num_candidates > 0)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_a_chain_s_and_a_path_s_answers_can_be_drawn(tmp_path):
    for words in (("grounder",), ("grounder", "verifier", "answerer"), ("mupa",)):
        draw_timeline(Chain(ScriptedRoles(), words).answer(both()), tmp_path / "a.png")

        assert has_colour(tmp_path / "a.png", OTHER)


def test_texts_are_drawn_as_they_are_whatever_they_hold(tmp_path):
    question = "$x_1^2$ \\frac{ <|reg|> %s\n" + "long " * 400

    draw_timeline(reply_of(2, question=question, text="y" * 1000, chosen=[5.0, 5.0]), tmp_path / "a.png")

    assert Image.open(tmp_path / "a.png").size[1] < 1500


def test_the_best_ten_stand_below_truth_and_choice_and_the_rest_is_counted():
    rows, left_out = bars(reply_of(25), [(1, 2), (5, 6)])

    assert [row.label for row in rows[:4]] == ["true", "chosen", "1", "2"]
    assert rows[0].windows == ((1.0, 2.0), (5.0, 6.0))
    assert (len(rows), left_out) == (2 + MOST_ROWS, 15)
    assert rows[2].grounder == pytest.approx(0.25)  # the verifier finds all alike


def test_paths_share_the_rows():
    reply = Chain(ScriptedRoles(), ("mupa",)).answer(both())

    rows, left_out = bars(reply)

    assert [row.label for row in rows] == ["chosen", *(f"path {path}, {n}" for path in (1, 2, 3) for n in (1, 2, 3))]
    assert rows[1].windows == ((10.0, 16.0),)
    assert left_out == 0


def test_the_caption_wraps_and_ends():
    lines = caption(reply_of(1, question="word " * 400, options=["ring", "cross"])).splitlines()

    assert lines[0].startswith("Question: word word")
    assert lines[3].endswith("...")
    assert lines[4:] == ["Options: (A) ring   (B) cross", "Answer: (A)"]
    assert max(map(len, lines)) <= 105
