import json

import pytest

from merv.data.dataset import PreparedDataset
from merv.data.loader import Loader
from merv.data.shards.listing import expanded
from merv.errors import ConfigError
from merv.video.decode import read_clip

from .making import convert, load, png, samples, talk, without_places, write_tar
from .preparing import collate, prepare


@pytest.fixture
def rows(tmp_path):
    return samples(tmp_path / "media")


@pytest.fixture
def made(tmp_path, rows):
    """Shards on the disk, one a clip."""
    convert(rows, tmp_path / "out", shard_bytes=1)
    return tmp_path / "out"


@pytest.fixture
def served(web, made):
    """The same at a URL."""
    web.plain |= {f"set/{path.name}": path.read_bytes() for path in made.iterdir()}
    return f"{web.url}/plain/set"


def ids(source):
    return [sample.id for sample in source]


def fetched(web):
    return sorted(name for name in web.num_sent if name.endswith(".tar"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("{008..010}.tar", ["008.tar", "009.tar", "010.tar"]),
        ("{a,b}/{0..1}", ["a/0", "a/1", "b/0", "b/1"]),
        ("{2..1}", []),
        ("{}", [""]),
    ],
)
def test_braces_stand_for_names(pattern, expected):
    assert expanded(pattern) == expected


def test_a_folder_a_pattern_and_a_shard_are_shards(tmp_path, rows, made):
    cache = tmp_path / "cache"
    everything = [row.id for row in rows]

    assert ids(load(made, cache)) == everything
    assert ids(load(made / "*.tar", cache)) == everything
    assert ids(load(f"{made}/{{000000..000005}}.tar", cache)) == everything
    assert ids(load(made / "000001.tar", cache)) == ["row-1"]
    (made / "index.json").unlink()
    assert ids(load(made, cache)) == everything
    assert not cache.exists()


@pytest.mark.parametrize("named", ["{served}", "{served}/", "{served}/{{000000..000005}}.tar", "file://{made}"])
def test_the_same_at_a_url_reads_indexes_alone(web, served, made, rows, tmp_path, named):
    source = load(named.format(served=served, made=made), tmp_path / "cache")

    assert [without_places(sample) for sample in source] == [without_places(row) for row in rows]
    assert fetched(web) == []


def test_a_shard_is_fetched_when_its_media_are_looked_at(web, served, rows, tmp_path):
    source = load(served, tmp_path / "cache")

    clip = read_clip(source[2].media[0], 5)

    assert (clip.frames == read_clip(rows[2].media[0], 5).frames).all()
    assert fetched(web) == ["set/000002.tar"]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_loader_has_a_shard_fetched_before_a_worker_is_timed(web, served, tmp_path, num_workers):
    dataset = PreparedDataset(load(served, tmp_path / "cache"), prepare)

    with Loader(dataset, collate, [[2], [1], [3]], num_workers=num_workers) as loader:
        assert list(loader) == [["row-2"], ["row-1"], ["row-3"]]

    assert fetched(web) == ["set/000000.tar", "set/000002.tar"]


def test_a_url_without_a_list_needs_the_names_of_its_shards(web, served, rows, tmp_path):
    del web.plain["set/index.json"]

    with pytest.raises(ConfigError, match=r"set/index\.json is not there, .* name them: .*/\{000000\.\.000009\}\.tar"):
        load(served, tmp_path / "cache")
    source = load(f"{served}/{{000000..000005}}.tar", tmp_path / "cache")

    assert ids(source) == [row.id for row in rows]
    assert fetched(web) == []


def test_a_shard_at_a_url_without_an_index_is_fetched_and_scanned_once(web, tmp_path):
    path = write_tar(tmp_path / "0.tar", {"a.png": png(9), "a.json": talk({"type": "image"}, answer="yes")})
    web.plain["0.tar"] = path.read_bytes()

    for _ in range(2):
        source = load(f"{web.url}/plain/0.tar", tmp_path / "cache")

    assert int(read_clip(source[0].media[0], 1).frames[0, 0, 0, 0]) == 9
    assert web.num_sent["0.tar"] == path.stat().st_size


def test_shards_that_change_at_a_url_are_other_files_of_the_cache(web, served, made, rows, tmp_path):
    before = load(served, tmp_path / "cache")
    read_clip(before[0].media[0], 1)
    convert(rows[2:3], tmp_path / "new")
    web.plain |= {f"set/{path.name}": path.read_bytes() for path in (tmp_path / "new").iterdir()}

    after = load(served, tmp_path / "cache")

    assert ids(after) == ["row-2"]
    assert (read_clip(after[0].media[0], 3).frames == read_clip(rows[2].media[0], 3).frames).all()
    assert (read_clip(before[0].media[0], 3).frames == read_clip(rows[0].media[0], 3).frames).all()


def test_what_is_wrong_at_a_url_is_one_line(web, served, tmp_path):
    web.plain["set/000003.index.jsonl"] += b"more"
    with pytest.raises(ConfigError, match=r"000003\.index\.jsonl has checksum \w+, not \w+ as its index says"):
        load(served, tmp_path / "cache")
    web.plain["set/index.json"] = b"{}"
    with pytest.raises(ConfigError, match=r"set/index\.json is damaged: it does not list shards"):
        load(served, tmp_path / "cache")


@pytest.mark.parametrize("name", ["../a.tar", "/etc/a.tar"])
def test_a_list_that_leads_out_of_its_folder_is_refused(made, tmp_path, name):
    about = json.loads((made / "index.json").read_text())
    about["shards"][0]["name"] = name
    (made / "index.json").write_text(json.dumps(about))

    with pytest.raises(ConfigError, match=r"index\.json is damaged"):
        load(made, tmp_path / "cache")


def test_what_is_wrong_on_the_disk_is_one_line(made, tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(ConfigError, match=r"none holds no shards|shard .*none is missing"):
        load(tmp_path / "none", cache)
    with pytest.raises(ConfigError, match=r"none\*\.tar holds no shards: no \*\.tar there"):
        load(tmp_path / "none*.tar", cache)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty holds no shards"):
        load(tmp_path / "empty", cache)
    shard = made / "000002.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[:-512])
    with pytest.raises(
        ConfigError, match=rf"000002\.tar has {len(content) - 512} bytes, its index says {len(content)}"
    ):
        load(made, cache)
    shard.write_bytes(content[:-1] + b"x")
    assert len(load(made, cache)) == 9
    with pytest.raises(ConfigError, match=r"000002\.tar is damaged: its checksum is not \w+, as its index says"):
        load(made, cache, verify=True)
    shard.unlink()
    with pytest.raises(ConfigError, match=r"shard .*000002\.tar is missing, of 6 that .*out names; copy it there"):
        load(made, cache)


def test_a_cache_that_can_hold_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cache_gb is 0; give gigabytes"):
        load(tmp_path, tmp_path, cache_gb=0)


def test_shards_come_back_when_the_cache_has_dropped_them(web, served, rows, tmp_path):
    source = load(served, tmp_path / "cache", cache_gb=1e-9)

    for index in (0, 2, 0):
        found = read_clip(source.ready(index).media[0], 3)
        assert (found.frames == read_clip(rows[index].media[0], 3).frames).all()

    assert len(list((tmp_path / "cache").glob("*.tar"))) == 1
    assert web.num_sent["set/000000.tar"] == 2 * (tmp_path / "out" / "000000.tar").stat().st_size
