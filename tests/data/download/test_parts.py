import io

import pytest

from merv.data.download.parts import Joined, grouped
from merv.errors import ConfigError


@pytest.fixture
def parts(tmp_path):
    bodies = [b"abc", b"", b"defgh", b"i"]
    paths = [tmp_path / f"x.{number:02}" for number in range(4)]
    for path, body in zip(paths, bodies, strict=True):
        path.write_bytes(body)
    return paths


def test_parts_read_as_one_file(parts):
    counted = []
    joined = Joined(parts, counted.append)

    with io.BufferedReader(joined, 4) as file:
        assert file.read() == b"abcdefghi"

    assert sum(counted) == joined.size == 9


def test_any_byte_can_be_sought(parts):
    with Joined(parts) as file:
        found = [(file.seek(at), file.read(1))[1] for at in (8, 0, 3, 2, 7, 9)]
        ends = file.seek(-2, io.SEEK_END), file.read(1), file.tell()

    assert found == [b"i", b"a", b"d", b"c", b"h", b""]
    assert ends == (7, b"h", 8)


def test_parts_are_grouped_in_the_order_of_their_numbers():
    names = ["v.tar.gz.01", "v.tar.gz.00", "w.zip.002", "w.zip.001", "w.zip.010"] + [
        f"w.zip.00{n}" for n in range(3, 10)
    ]

    found = grouped([*names, "plain.tar.gz"])

    assert found["v.tar.gz"] == ["v.tar.gz.00", "v.tar.gz.01"]
    assert found["w.zip"][0] == "w.zip.001"
    assert found["w.zip"][-1] == "w.zip.010"
    assert found["plain.tar.gz"] == ["plain.tar.gz"]


@pytest.mark.parametrize(("numbers", "lacking"), [(["00", "02"], 1), (["01", "03"], 2), (["02", "03"], 1)])
def test_a_part_that_is_missing_is_told(numbers, lacking):
    with pytest.raises(ConfigError, match=rf"v\.tar\.gz comes in parts .*; part {lacking} is missing"):
        grouped([f"v.tar.gz.{number}" for number in numbers])
