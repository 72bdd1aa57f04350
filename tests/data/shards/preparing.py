"""What a loader does in the tests of shards; a module of its own, so that workers can import it quickly."""


def prepare(sample):
    assert all(ref.path.is_file() for ref in sample.media), "the loader fetches, not the worker"
    return sample.id


def collate(examples, *, indices):
    return examples
