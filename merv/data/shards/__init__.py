"""Datasets in tar shards, in the convention of WebDataset (https://github.com/webdataset/webdataset).

A sample is members of a tar that stand one after another and share a name up to the first dot: `000000012.json` and
`000000012.mp4`.  Beside each shard lies an index, so that any row is found without reading the shard.
"""
