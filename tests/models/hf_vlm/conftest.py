import pytest
from tiny_vlms import KINDS, tiny_vlm

from .samples import draw_media


@pytest.fixture(scope="session")
def vlm_folder(tmp_path_factory):
    """Gives the folder of a tiny model by its name; each is written once."""
    root, made = tmp_path_factory.mktemp("vlms"), {}

    def folder_of(name):
        if name not in made:
            made[name] = tiny_vlm(name, root / name)
        return made[name]

    return folder_of


@pytest.fixture
def tiny_model():
    """Gives a fresh tiny model of transformers by its name, without its processor."""
    return lambda name: KINDS[name](7)[0]


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    """References by name: wide, tall, square, clip."""
    return draw_media(tmp_path_factory.mktemp("media"))
