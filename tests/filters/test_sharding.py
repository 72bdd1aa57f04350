import pytest

from merv.errors import ConfigError
from merv.filters.sharding import Shard, join_shards


def test_one_process_has_everything_and_joins_nobody(tmp_path):
    with join_shards() as shard, shard.writing(tmp_path / "out") as partial:
        assert shard == Shard(0, 1)
        assert shard.take([1, 2, 3]) == [1, 2, 3]
        assert shard.gather([1, 2, 3]) == [1, 2, 3]
        assert shard.first(lambda: 7) == 7
        assert not (tmp_path / "out").exists()
        (partial / "a").touch()

    assert (tmp_path / "out" / "a").exists()


def test_shares_are_taken_in_turn_and_cover_each_item_once():
    shares = [Shard(rank, 3).take(range(8)) for rank in range(3)]

    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_the_world_is_that_of_torchrun(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")

    assert Shard.of_world() == Shard(2, 4)


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError), join_shards() as shard, shard.writing(tmp_path / "out"):
        raise ConfigError("no")

    assert list(tmp_path.iterdir()) == []
