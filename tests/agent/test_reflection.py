import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.agent.record import Candidate
from merv.agent.reflection import cluster, products, vote

seconds = st.floats(0, 100)
moments = st.lists(st.tuples(seconds, seconds, st.floats(0, 1)), min_size=1, max_size=20)


def test_both_experts_count():
    found = products([Candidate(0, 1, 0.9, 0.2), Candidate(1, 2, 0.5, 0.8), Candidate(2, 3, 0.3, None)])

    assert found == [(1, 2, pytest.approx(0.4)), (0, 1, pytest.approx(0.18)), (2, 3, 0.0)]


def test_guesses_are_told_apart_by_the_verifier_and_five_are_kept():
    found = products([Candidate(i, i + 1, 0.0, score) for i, score in enumerate((0.1, 0.7, 0.3, 0.7, 0.2, 0.4))])

    assert [moment[0] for moment in found] == [1, 3, 5, 2, 4]
    assert {moment[2] for moment in found} == {0.0}


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        ([(0, 0.1), (1, 0.9), (1, 0.0)], 1),
        ([(2, 0.1), (1, 0.9), (2, 0.1)], 0),
        ([(0, 0.2), (1, 0.5), (2, 0.4)], 1),
        ([(0, 0.5), (1, 0.5), (2, 0.5)], 0),
        ([(0, 0.3), (1, 0.2), (0, 0.0), (1, 0.2)], 1),
        ([(None, 0.9), (None, 0.9), (2, 0.1)], 2),
        ([(None, 0.1), (None, 0.9)], 0),
        ([("a kite", 0.1), ("a bird", 0.2)], 1),
        ([(3, 0.0)], 0),
    ],
)
def test_most_votes_win_then_the_surer_then_the_earlier(answers, winner):
    assert vote(answers) == winner


def test_a_single_path_s_moments_stay_as_they_are():
    found = [(0.0, 4.0, 0.5), (10.0, 12.0, 0.3), (20.0, 21.0, 0.1)]

    assert cluster(found) == found


def test_near_moments_become_their_mean_weighted_by_their_scores():
    found = cluster([(0.0, 4.0, 0.6), (2.0, 6.0, 0.2), (50.0, 60.0, 0.5)], num_clusters=2)

    # centres begin at (0, 4) and (50, 60); (2, 6) joins the first: 0.2 / 0.8 of the way
    assert found == [(50.0, 60.0, 0.5), (pytest.approx(0.5), pytest.approx(4.5), pytest.approx(0.4))]


def test_centres_move_until_members_stay():
    # centres 0 and 10; 4 goes to 0 and moves it to 2; 5 then as before to 10 and moves it to 7.5; 4.9 follows it
    points = [(0.0, 0.0, 0.9), (10.0, 10.0, 0.9), (4.0, 4.0, 0.9), (5.1, 5.1, 0.9)]

    found = cluster(points, num_clusters=2)

    assert sorted(moment[0] for moment in found) == [pytest.approx(2.0), pytest.approx(7.55)]
    assert cluster(points, num_clusters=2, iterations=1) == found


def test_moments_that_are_the_same_become_one():
    assert cluster([(1.0, 2.0, 0.5)] * 3) == [(1.0, 2.0, 0.5)]


def test_moments_nobody_believes_in_count_alike():
    assert cluster([(0.0, 2.0, 0.0), (2.0, 4.0, 0.0)], num_clusters=1) == [(1.0, 3.0, 0.0)]


def test_one_of_three_paths_decides_with_the_most_confident_five_first():
    found = cluster([(10.0 * i, 10.0 * i + 1, 0.1 * i) for i in range(1, 8)])

    assert len(found) == 5
    assert found[0] == (70.0, 71.0, pytest.approx(0.7))
    # centres begin at 30, 40, ... 70; the two left over are nearest to 30
    assert found[-1][0] == pytest.approx((10 * 0.1 + 20 * 0.2 + 30 * 0.3) / 0.6)
    assert found[-1][2] == pytest.approx(0.2)


@given(moments)
def test_there_are_at_most_five_best_first_within_what_was_found(found):
    clusters = cluster(found)

    assert 1 <= len(clusters) <= min(5, len(found))
    assert [moment[2] for moment in clusters] == sorted((moment[2] for moment in clusters), reverse=True)
    slack = 1e-6
    assert all(
        min(m[0] for m in found) - slack <= start <= max(m[0] for m in found) + slack for start, _, _ in clusters
    )
    assert clusters == cluster(found)
