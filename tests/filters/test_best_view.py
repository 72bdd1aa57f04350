from pathlib import Path

import pytest

from merv.errors import ConfigError
from merv.filters.best_view import VASES, View, choose, grouped, name_pattern, statistics, totals, views_of

ROOT = Path("images")


def views(*names, pattern=VASES):
    return views_of([ROOT / name for name in names], name_pattern(pattern), ROOT)


def said(found):
    return [(view.object, view.number) for view in found]


def test_names_of_the_vases_say_object_and_view_with_any_ending_and_case():
    found, others = views(
        "0A1B-22_3_ac001001.jpg", "0a1b-22_04_AC001001.JPEG", "FF_0_ac001001.webp", "FF_1_ac001002.jpg", "xyz.png"
    )

    assert said(found) == [("0A1B-22", 3), ("0a1b-22", 4), ("FF", 0)]
    assert [path.name for path in others] == ["FF_1_ac001002.jpg", "xyz.png"]


def test_named_groups_count_wherever_they_stand():
    found, _ = views("3-cup.png", pattern=r"(?P<view>\d+)-(?P<object>\w+)")

    assert said(found) == [("cup", 3)]


def test_without_a_view_images_are_numbered_by_path():
    found, _ = views("cup a.png", "cup b.png", "jug.png", pattern=r"(\w+)")

    assert said(found) == [("cup", 1), ("cup", 2), ("jug", 1)]


def test_where_a_name_does_not_fit_the_path_below_the_folder_may():
    found, others = views("krater_17/03.jpg", "krater_17/04.jpg", "cup.jpg", pattern=r"(?P<object>\w+)/(?P<view>\d+)")

    assert said(found) == [("krater_17", 3), ("krater_17", 4)]
    assert others == [ROOT / "cup.jpg"]


def test_a_name_that_fits_is_not_asked_for_its_path():
    found, _ = views("set/A1_2.jpg", pattern=r"(\w+?)(?:_|/\w+_)(\d+)")

    assert said(found) == [("A1", 2)]


def test_a_view_may_be_a_word():
    found, _ = views("cup-front.png", "cup-7.png", pattern=r"(\w+)-(\w+)")

    assert said(grouped(found)["cup"]) == [("cup", 7), ("cup", "front")]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (r"(\w+", "is no regular expression: missing ), unterminated subpattern"),
        (r"\w+", "has no group; put what names the object in brackets"),
        (r"(?P<vase>\w+)", "names a group `vase`; groups are called object and view"),
        (r"(?P<view>\w+)", "names a view and no object"),
    ],
)
def test_a_pattern_that_cannot_group_is_refused(pattern, line):
    with pytest.raises(ConfigError) as refused:
        name_pattern(pattern)

    assert line in str(refused.value)


def test_views_are_in_the_order_of_their_numbers():
    found, _ = views("B_10_ac001001.jpg", "B_9_ac001001.jpg", "A_1_ac001001.jpg")

    assert [(name, said(group)) for name, group in grouped(found).items()] == [
        ("A", [("A", 1)]),
        ("B", [("B", 9), ("B", 10)]),
    ]


def test_the_best_score_is_chosen_and_of_equal_ones_the_first_view():
    group = [View(ROOT / f"A_{number}.jpg", "A", number) for number in (1, 2, 3)]

    best, row = choose(group, dict(zip([view.path for view in group], (0.1, 0.3, 0.3), strict=True)), ROOT)

    assert best.number == 2
    assert list(row) == [
        *("vase_id", "selected_view", "selected_filename", "clip_score", "total_views", "reason", "all_view_scores")
    ]
    assert (row["selected_filename"], row["reason"], row["total_views"]) == ("A_2.jpg", "best_clip_score", 3)
    assert row["all_view_scores"][0] == {"view_number": 1, "filename": "A_1.jpg", "clip_score": 0.1}


def test_an_only_view_says_so_and_has_no_list_of_scores():
    view = View(ROOT / "A_1.jpg", "A", 1)

    _, row = choose([view], {view.path: 0.2}, ROOT)

    assert row["reason"] == "only_one_view"
    assert "all_view_scores" not in row


def test_numbers_and_their_text_are_those_published():
    rows = [{"total_views": 3, "clip_score": 0.3}, {"total_views": 1, "clip_score": 0.2}]

    assert totals(rows) == {
        "total_vases": 2,
        "total_original_images": 4,
        "total_selected_images": 2,
        "reduction_rate": 0.5,
        "average_clip_score": 0.25,
    }
    assert statistics(rows, seconds=90) == {
        "summary": {
            "total_vases": 2,
            "original_images": 4,
            "selected_images": 2,
            "reduction_rate": "50.0%",
            "average_clip_score": "0.2500",
            "processing_time_minutes": "1.5",
        },
        "view_distribution": {"1": 1, "3": 1},
        "clip_score_stats": {"min": 0.2, "max": 0.3, "mean": 0.25, "std": 0.05},
    }
