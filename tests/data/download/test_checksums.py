import hashlib
import subprocess

import pytest

from merv.data.download.checksums import SUMS, file_sum, read_sums, verify, write_sums
from merv.errors import ConfigError

NAMES = ["plain.txt", "deep/a b.mp4", "back\\slash", "two\nlines", "ä.mp4"]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    write_sums(tmp_path, {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES})
    return tmp_path


def test_what_was_written_is_read(folder):
    assert read_sums(folder) == {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}
    assert file_sum(folder / "plain.txt") == read_sums(folder)["plain.txt"]


def test_sha256sum_reads_the_list(folder):
    done = subprocess.run(["sha256sum", "--quiet", "-c", SUMS], cwd=folder, capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stdout) == (0, "")


def test_missing_and_changed_files_are_found(folder):
    (folder / "plain.txt").unlink()
    (folder / "deep/a b.mp4").write_text("other")

    verdict = verify(folder)

    assert (verdict.num_files, verdict.missing, verdict.changed) == (5, ["plain.txt"], ["deep/a b.mp4"])


def test_a_folder_without_a_list_and_a_list_without_sense_are_told(tmp_path):
    with pytest.raises(ConfigError, match="SHA256SUMS is missing: nothing was downloaded there, or not to its end"):
        read_sums(tmp_path)

    (tmp_path / SUMS).write_text("0" * 64 + "  fine\nnonsense\n")
    with pytest.raises(ConfigError, match="SHA256SUMS:2 is no line of checksum and path: 'nonsense'"):
        read_sums(tmp_path)
