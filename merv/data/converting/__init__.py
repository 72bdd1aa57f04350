"""Datasets written in another form: messages, one row a line, or tar shards with the media in them."""
