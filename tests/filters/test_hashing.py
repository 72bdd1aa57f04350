import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from merv.filters.hashing import bits_apart, look_at_hashes, near_pairs, perceptual_hash, small_grey
from merv.filters.images import Unreadable
from merv.filters.near_duplicates import groups_of

from .pictures import shapes


def hash_of(image):
    return perceptual_hash(small_grey(image.convert("RGB")))[0]


def random_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def test_the_hash_is_the_one_other_programs_compute():
    """imagehash 4.3.2's phash of the same picture, a gradient with a disc."""
    y, x = np.mgrid[0:64, 0:64]
    picture = (x * 2 + y + 60 * ((x - 20) ** 2 + (y - 40) ** 2 < 150)).clip(0, 255).astype(np.uint8)

    assert f"{hash_of(Image.fromarray(picture)):016x}" == "82393bc43b37f838"


def test_a_smaller_brighter_or_compressed_copy_has_nearly_the_same_hash(tmp_path):
    image = shapes(3, size=192)
    image.save(tmp_path / "poor.jpg", quality=30)
    copies = [
        image.resize((96, 96)),
        image.point(lambda level: min(255, level + 20)),
        Image.open(tmp_path / "poor.jpg"),
    ]

    assert [int(bits_apart(hash_of(image), hash_of(copy))) <= 4 for copy in copies] == [True] * 3
    assert bits_apart(hash_of(image), hash_of(shapes(4, size=192))) > 16


def test_pictures_of_one_colour_have_no_random_bits():
    hashes = {int(hash_of(Image.new("RGB", (50, 40), colour))) for colour in ("red", "gray", "#123456")}

    assert hashes == {1 << 63}  # brightness alone


def test_many_are_hashed_as_each_alone():
    pictures = [small_grey(shapes(number)) for number in range(5)]

    together = perceptual_hash(torch.cat(pictures))

    assert together.tolist() == [perceptual_hash(picture)[0] for picture in pictures]


@pytest.mark.parametrize("distance", [0, 1, 3, 6, 16])
def test_the_search_connects_what_comparing_all_with_all_connects(distance):
    hashes = random_hashes(120)
    flips = np.random.default_rng(1)
    for number in range(60):  # copies with 0 to 19 bits changed, some of copies
        bits = flips.choice(64, number % 20, replace=False).astype(np.uint64)
        hashes[119 - number] = hashes[number] ^ np.bitwise_or.reduce(np.uint64(1) << bits, initial=np.uint64(0))
    pairs = itertools.combinations(range(120), 2)
    all_near = [(one, other) for one, other in pairs if bits_apart(hashes[one], hashes[other]) <= distance]

    found = list(near_pairs(hashes, distance))

    assert set(found) <= set(all_near)
    assert groups_of(found, 120, lambda place: (place,)) == groups_of(all_near, 120, lambda place: (place,))
    assert all_near


def test_many_equal_hashes_are_a_chain_and_not_all_their_pairs():
    hashes = np.full(5000, 7, dtype=np.uint64)

    assert list(near_pairs(hashes, 6)) == [(0, place) for place in range(1, 5000)]


def test_hashes_of_a_folder_tell_what_could_not_be_read(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.jpg", "c.png")]
    shapes(1).save(paths[0])
    paths[1].write_bytes(b"no picture")
    shapes(1).save(paths[2])

    one, broken, same = look_at_hashes(paths, batch_size=2, num_workers=2)

    assert one == same == hash_of(shapes(1))
    assert isinstance(broken, Unreadable)
    assert look_at_hashes(paths[1:2], 2, 0) == [broken]
