"""Readers: one module a file format, each with `read(path, media_root) -> Reading`."""
