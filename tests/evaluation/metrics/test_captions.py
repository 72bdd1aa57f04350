import numpy as np
import pytest

from merv.errors import ConfigError
from merv.evaluation.metrics.captions import (
    clip_score,
    frechet_distance,
    lexical_similarity,
    retrieval_recall,
    vasevqa,
)

TEXTS = ["a red vase", "a blue bowl", "a broken jar", "an old cup"]


def embed(texts):
    """Letters counted: an embedding without a model."""
    return np.array([[text.count(letter) for letter in "abdelnorsuvw"] for text in texts], np.float32)


def test_clip_score_is_the_cosine_of_pairs_whatever_the_lengths():
    made, true = np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([[5.0, 0.0], [0.0, 3.0]])

    assert clip_score(made, true) == pytest.approx((1 + np.sqrt(0.5)) / 2)


def test_a_row_of_zeros_has_no_likeness():
    assert clip_score(np.zeros((1, 2)), np.ones((1, 2))) == 0.0


def test_recall_asks_whether_the_own_reference_is_among_the_k_nearest():
    references = np.eye(3)
    made = np.array([[0.9, 0.1, 0.0], [0.9, 0.5, 0.0], [0.6, 0.5, 0.4]])

    assert [retrieval_recall(made, references, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_of_equal_references_the_later_comes_first():
    assert retrieval_recall(np.ones((2, 2)), np.ones((2, 2)), 1) == 0.5


def test_frechet_distance_of_one_dimension_is_the_closed_form():
    made, true = np.array([[0.0], [2.0], [4.0]]), np.array([[10.0], [11.0], [12.0]])

    value = frechet_distance(made, true, eps=0.0)

    assert value == pytest.approx((2 - 11) ** 2 + (2 - 1) ** 2)


def test_frechet_distance_equals_the_root_of_the_product_itself():
    generator = np.random.default_rng(0)
    made, true = generator.normal(size=(40, 5)), generator.normal(size=(30, 5)) @ generator.normal(size=(5, 5))

    value = frechet_distance(made, true)

    # The definition as written: a root of the product, here from its own eigenvectors.
    spreads = [np.cov(rows, rowvar=False) + 1e-6 * np.eye(5) for rows in (made, true)]
    values, vectors = np.linalg.eig(spreads[0] @ spreads[1])
    root = (vectors * np.sqrt(values)) @ np.linalg.inv(vectors)
    np.testing.assert_allclose(root @ root, spreads[0] @ spreads[1], atol=1e-9)
    difference = made.mean(0) - true.mean(0)
    assert value == pytest.approx(difference @ difference + np.trace(spreads[0] + spreads[1] - 2 * root.real))


def test_frechet_distance_of_the_same_captions_is_zero_with_singular_covariances():
    rows = np.random.default_rng(0).normal(size=(4, 32))

    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("made", "true", "expected"),
    [
        ("A red vase", "a RED vase", 1.0),
        ("a red vase", "a blue vase", 0.5),
        ("a vase.", "a vase", 1 / 3),
        ("a a a", "a", 1.0),
        ("", "a vase", 0.0),
        (" ", "", 0.0),
    ],
)
def test_lexical_similarity_is_the_jaccard_index_of_words(made, true, expected):
    assert lexical_similarity([made], [true]) == pytest.approx(expected)


def test_captions_equal_to_their_references_score_best():
    rows = vasevqa(TEXTS, TEXTS, clip_embed=embed, sentence_embed=embed)

    assert rows.pop("fid_score") == pytest.approx(0, abs=1e-5)
    assert rows == pytest.approx(dict.fromkeys(rows, 1.0))
    assert list(rows)[-1] == "overall_score"


def test_overall_weighs_the_rows_as_the_official_script():
    rows = vasevqa(TEXTS, TEXTS[::-1], clip_embed=embed, sentence_embed=embed)

    recalls = 0.2 * rows["r_at_10"] + 0.1 * rows["r_at_5"] + 0.05 * rows["r_at_1"]
    expected = 0.5 * rows["clip_score"] + recalls + 0.15 * rows["lexical_similarity"]
    assert rows["overall_score"] == pytest.approx(expected)
    assert rows["r_at_10"] == 1.0
    assert rows["r_at_1"] < 1.0


def test_a_single_caption_has_no_distance():
    rows = vasevqa(TEXTS[:1], TEXTS[:1], clip_embed=embed, sentence_embed=embed)

    assert "fid_score" not in rows
    assert rows["overall_score"] == pytest.approx(1.0)


@pytest.mark.parametrize(("made", "true"), [([], []), (TEXTS, TEXTS[:2])])
def test_captions_without_references_are_refused(made, true):
    with pytest.raises(ConfigError, match=f"{len(made)} captions and {len(true)} references"):
        vasevqa(made, true, clip_embed=embed, sentence_embed=embed)
