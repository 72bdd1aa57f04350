import os
import pickle
from collections import OrderedDict, defaultdict

import pytest

from merv.data.formats.plain_pickle import read_plain_pickle
from merv.errors import ConfigError


def pickled(tmp_path, value, protocol=3):
    path = tmp_path / "a.pkl"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return path


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_from_every_protocol(tmp_path, protocol):
    value = defaultdict(list, {"a": [[1, 2.5], ["x"]], "b": [None, True]})

    assert read_plain_pickle(pickled(tmp_path, value, protocol)) == value


def test_a_pickle_that_would_run_something_is_refused_without_running_it(tmp_path):
    path = pickled(tmp_path, {"a": Runs(tmp_path / "made")})

    with pytest.raises(ConfigError, match=r"a\.pkl names posix.mkdir; a list of annotations needs no such thing"):
        read_plain_pickle(path)

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(OrderedDict(a=1)), "names collections.OrderedDict"),
        (b"\x80\x03cbuiltins\neval\n.", "names builtins.eval"),
        (b"Pouter\n.", "names an object outside itself"),
        (b"not a pickle", "is no pickle: .*; download it again"),
        (b"", "is no pickle"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_plain_pickle(pickled(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_missing_pickle_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none.pkl is missing; download it"):
        read_plain_pickle(tmp_path / "none.pkl")
