import pytest

from .role_rows import draw_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """References by name: wide, tall, short, long, still."""
    return draw_clips(tmp_path_factory.mktemp("clips"))
