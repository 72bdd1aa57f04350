import bz2
import gzip
import hashlib
import io
import lzma
import stat
import tarfile
import zipfile

import pytest

from merv.data.download.unpack import place, unpack
from merv.errors import ConfigError

from .archives import member, noise, tar_of, zip_of

FILES = {"videos/a.mp4": b"first", "videos/deep/b.mp4": b"second" * 100, "list.json": b"[]"}
LIMIT = 10_000_000


def unpacked(tmp_path, name, body, *, cut=1, limit=LIMIT):
    """Unpack an archive that comes in `cut` parts."""
    size = -(-len(body) // cut)
    parts = []
    for number in range(cut):
        parts.append(tmp_path / f"{name}.{number:02}")
        parts[-1].write_bytes(body[number * size : (number + 1) * size])
    folder = tmp_path / "box"
    folder.mkdir()
    return folder, unpack(name, parts, folder, limit=limit)


def outside(tmp_path):
    """What is beside the folder and the archive's own parts."""
    return [path for path in tmp_path.iterdir() if path.name != "box" and ".0" not in path.name]


@pytest.mark.parametrize("packing", ["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("cut", [1, 3])
def test_a_tar_file_comes_out_whole_however_it_is_packed_and_split(tmp_path, packing, cut):
    name = "videos.tar" + (f".{packing}" if packing else "")
    folder, result = unpacked(tmp_path, name, tar_of(FILES, packing=packing), cut=cut)

    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert result.sums == {path: hashlib.sha256(body).hexdigest() for path, body in FILES.items()}
    assert result.num_bytes == sum(map(len, FILES.values()))


@pytest.mark.parametrize("cut", [1, 4])
def test_a_zip_file_comes_out_whole_however_it_is_split(tmp_path, cut):
    files = {**FILES, "noise.bin": noise(5000)}
    folder, result = unpacked(tmp_path, "valley.zip", zip_of(files), cut=cut)

    assert {path: (folder / path).read_bytes() for path in files} == files
    assert set(result.sums) == set(files)


HOSTILE = {
    "absolute path": ("/tmp/evil", tarfile.REGTYPE, "", "its path leaves the folder"),
    "path upwards": ("a/../../evil", tarfile.REGTYPE, "", "its path leaves the folder"),
    "windows path": ("..\\evil", tarfile.REGTYPE, "", "its path leaves the folder"),
    "link out": ("link", tarfile.SYMTYPE, "../evil", "outside the destination"),
    "link to root": ("link", tarfile.SYMTYPE, "/etc/passwd", "link to an absolute path|out of the folder"),
    "hard link out": ("hard", tarfile.LNKTYPE, "../evil", "outside the destination"),
    "hard link to nothing": ("hard", tarfile.LNKTYPE, "other", "no file of the archive before it"),
    "device": ("disk", tarfile.BLKTYPE, "", "neither file, folder nor link"),
    "terminal": ("tty", tarfile.CHRTYPE, "", "neither file, folder nor link"),
    "pipe": ("pipe", tarfile.FIFOTYPE, "", "neither file, folder nor link"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_tar_member_that_would_leave_the_folder_is_refused_by_name(tmp_path, kind):
    name, type_, target, message = HOSTILE[kind]
    body = tar_of({"list.json": b"[]"}, members=[member(name, type_, target)])

    with pytest.raises(ConfigError, match=message) as caught:
        unpacked(tmp_path, "videos.tar.gz", body)

    assert f"videos.tar.gz: refused member `{name}`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert outside(tmp_path) == []


def test_nothing_is_written_through_a_link(tmp_path):
    body = tar_of({}, members=[member("here", tarfile.SYMTYPE, "."), member("here/file", tarfile.REGTYPE)])

    with pytest.raises(ConfigError, match="refused member `here/file`: what should be a folder above it is a link"):
        unpacked(tmp_path, "videos.tar", body)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_links_that_lead_out_together_are_refused_in_any_order(tmp_path, order):
    members = [member("b", tarfile.SYMTYPE, "deep/er/../../x"), member("deep/er", tarfile.SYMTYPE, ".")]

    with pytest.raises(ConfigError, match=r"refused member `b`"):
        unpacked(tmp_path, "videos.tar", tar_of({}, members=[members[place] for place in order]))


def test_links_inside_and_second_names_are_kept(tmp_path):
    members = [member("deep/link", tarfile.SYMTYPE, "../list.json"), member("second", tarfile.LNKTYPE, "list.json")]
    folder, result = unpacked(tmp_path, "videos.tar", tar_of({"list.json": b"[]"}, members=members))

    assert (folder / "deep" / "link").read_bytes() == (folder / "second").read_bytes() == b"[]"
    assert set(result.sums) == {"list.json", "second"}


def test_of_equal_names_the_last_counts_and_a_link_is_not_followed(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(member("name", tarfile.SYMTYPE, "other"))
        info = tarfile.TarInfo("name")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"new"))

    folder, _ = unpacked(tmp_path, "videos.tar", out.getvalue())

    assert (folder / "name").read_bytes() == b"new"
    assert not (folder / "other").exists()


@pytest.mark.parametrize("name", ["/tmp/evil", "../evil", "a/../../evil", "C:\\evil"])
def test_a_zip_member_that_would_leave_the_folder_is_refused_by_name(tmp_path, name):
    with pytest.raises(ConfigError, match=r"refused member .*: its path leaves the folder"):
        unpacked(tmp_path, "valley.zip", zip_of({"fine": b"", name: b"evil"}))

    assert outside(tmp_path) == []


def test_links_and_devices_of_a_zip_file_are_treated_like_those_of_a_tar_file(tmp_path):
    body = zip_of({"link": b"../evil"}, modes={"link": stat.S_IFLNK | 0o777})
    with pytest.raises(ConfigError, match=r"refused member `link`: it is a link out of the folder, to `../evil`"):
        unpacked(tmp_path, "valley.zip", body)

    body = zip_of({"disk": b""}, modes={"disk": stat.S_IFBLK | 0o777})
    with pytest.raises(ConfigError, match="refused member `disk`: it is neither file, folder nor link"):
        unpack("valley.zip", [written(tmp_path / "v.zip", body)], tmp_path / "box", limit=LIMIT)


def written(path, body):
    path.write_bytes(body)
    return path


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.zip"])
def test_an_archive_that_holds_far_more_than_it_should_is_stopped(tmp_path, name):
    files = {"zeros": bytes(1_000_000)}
    body = zip_of(files) if name.endswith("zip") else tar_of(files)

    with pytest.raises(ConfigError, match=rf"{name} holds more than 0\.00 GB, far more than"):
        unpacked(tmp_path, name, body, limit=500_000)


def test_a_zip_file_whose_members_share_their_bytes_is_refused(tmp_path):
    body = bytearray(zip_of({"a": noise(2000), "b": noise(10)}))
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        size = archive.getinfo("b").compress_size
    at = body.rindex(b"PK\x01\x02") + 20  # the packed size of the last member
    assert int.from_bytes(body[at : at + 4], "little") == size
    body[at : at + 4] = (50_000).to_bytes(4, "little")

    with pytest.raises(ConfigError, match=r"valley\.zip: its members overlap"):
        unpacked(tmp_path, "valley.zip", bytes(body))


def test_an_encrypted_member_is_refused(tmp_path):
    body = bytearray(zip_of({"secret": b"x"}))
    body[body.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(ConfigError, match="refused member `secret`: it is encrypted"):
        unpacked(tmp_path, "valley.zip", bytes(body))


@pytest.mark.parametrize("name", ["videos.tar.gz", "videos.tar", "valley.zip"])
@pytest.mark.parametrize("damage", ["cut", "words"])
def test_a_damaged_archive_is_told_in_one_line(tmp_path, name, damage):
    files = {"a": noise(20_000)}
    body = zip_of(files) if name.endswith("zip") else tar_of(files, packing="gz" if name.endswith("gz") else "")
    body = body[: len(body) // 2] if damage == "cut" else b"<html>quota exceeded</html>" * 50

    with pytest.raises(ConfigError, match=r"the archive is damaged \(.+\); delete it and type the same") as caught:
        unpacked(tmp_path, name, body)

    assert "\n" not in str(caught.value)


PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
HEADER, BODY = 512, 1024
"""Bytes of a member of two blocks."""


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz"])
def test_all_streams_of_a_packed_tar_file_are_read(tmp_path, packing):
    body, pack = tar_of({"a": bytes(BODY), "b": b"b"}, packing=""), PACKERS[packing]
    streams = pack(body[: HEADER + BODY]) + pack(body[HEADER + BODY :])

    _, result = unpacked(tmp_path, f"videos.tar{packing}", streams)

    assert set(result.sums) == {"a", "b"}


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_tar_file_damaged_at_a_later_header_is_not_taken_for_a_shorter_one(tmp_path, packing, damage):
    body = tar_of({"a": bytes(BODY), "b": b"b"}, packing="")
    second = HEADER + BODY + 100
    body = body[:second] if damage == "cut" else body[:second] + b"?" + body[second + 1 :]

    with pytest.raises(ConfigError, match="the archive is damaged"):
        unpacked(tmp_path, f"videos.tar{packing}", PACKERS[packing](body))


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_the_checksum_of_the_packing_is_looked_at(tmp_path, packing, damage):
    body = PACKERS[packing](tar_of({"a": noise(3000)}, packing=""))
    body = body[:-4] if damage == "cut" else body[:-6] + bytes([body[-6] ^ 255]) + body[-5:]

    with pytest.raises(ConfigError, match="the archive is damaged"):
        unpacked(tmp_path, f"videos.tar{packing}", body)


def test_a_member_without_a_name_and_one_nobody_can_spell_are_damage(tmp_path):
    with pytest.raises(ConfigError, match="the archive is damaged"):
        unpacked(tmp_path, "valley.zip", zip_of({"": b"x"}))

    body = bytearray(zip_of({"a.txt": b"x"}))
    at = body.index(b"PK\x01\x02")
    body[at + 9] |= 8  # names are UTF-8
    body[at + 46] = 255
    with pytest.raises(ConfigError, match="the archive is damaged"):
        unpack("valley.zip", [written(tmp_path / "v.zip", bytes(body))], tmp_path / "box", limit=LIMIT)


def test_an_ending_nobody_unpacks_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"videos\.rar is no archive merv unpacks"):
        unpacked(tmp_path, "videos.rar", b"")


def test_what_was_unpacked_fills_up_folders_that_are_there(tmp_path):
    partial, folder = tmp_path / "partial", tmp_path / "folder"
    for path, text in [
        (partial / "v/a", "new"),
        (partial / "v/b", "b"),
        (folder / "v/a", "old"),
        (folder / "v/c", "c"),
    ]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    place(partial, folder)

    assert {path.name: path.read_text() for path in (folder / "v").iterdir()} == {"a": "new", "b": "b", "c": "c"}


@pytest.mark.parametrize("stands", ["link", "file"])
def test_a_link_or_file_where_a_folder_belongs_is_told_and_stays(tmp_path, stands):
    partial, folder, elsewhere = tmp_path / "partial", tmp_path / "folder", tmp_path / "elsewhere"
    for path in (partial / "v", folder, elsewhere):
        path.mkdir(parents=True)
    (partial / "v" / "a").write_text("new")
    (folder / "v").symlink_to(elsewhere) if stands == "link" else (folder / "v").write_text("mine")

    with pytest.raises(ConfigError, match=rf"folder/v is a {stands} and the archive has a folder of that name; move"):
        place(partial, folder)

    assert list(elsewhere.iterdir()) == []


def test_a_folder_where_a_file_belongs_is_told(tmp_path):
    partial, folder = tmp_path / "partial", tmp_path / "folder"
    partial.mkdir()
    (folder / "v").mkdir(parents=True)
    (partial / "v").write_text("new")

    with pytest.raises(ConfigError, match="folder/v is a folder and the archive has a file of that name"):
        place(partial, folder)
