import pytest

from merv.filters.classifier_metrics import measure


def test_numbers_are_weighted_by_the_images_of_a_class():
    said = [0, 0, 0, 1, 1, 0]
    labels = [0, 0, 0, 0, 1, 1]

    found = measure([[1.0, 0.0] if best == 0 else [0.0, 1.0] for best in said], labels)

    assert found.confusion == [[3, 1], [1, 1]]
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.precision == pytest.approx(4 / 6 * 3 / 4 + 2 / 6 * 1 / 2)
    assert found.recall == pytest.approx(4 / 6 * 3 / 4 + 2 / 6 * 1 / 2)
    assert found.f1 == pytest.approx(4 / 6 * 6 / 8 + 2 / 6 * 2 / 4)


def test_a_class_that_is_never_named_has_no_precision():
    found = measure([[1.0, 0.0]] * 4, [0, 0, 0, 1])

    assert found.precision == pytest.approx(3 / 4 * 3 / 4)
    assert found.f1 == pytest.approx(3 / 4 * 6 / 7)


def test_the_loss_is_a_mean_over_images():
    assert measure([[0.0, 0.0], [0.0, 0.0]], [0, 1]).loss == pytest.approx(0.693147, abs=1e-5)
