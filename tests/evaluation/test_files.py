import pytest

from merv.evaluation.files import find_video


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        ("a.mp4", "a", "a.mp4"),
        ("a.webm", "a.mp4", "a.webm"),
        ("a/0.jpg", "a", "a"),
        ("b.mp4", "a", "a.mp4"),
        ("b.mp4", "a.AVI", "a.AVI"),
    ],
)
def test_a_video_is_found_by_the_names_datasets_find_it_by(tmp_path, there, name, found):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()

    assert find_video(tmp_path, name) == tmp_path / found
