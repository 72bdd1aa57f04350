"""Archives as people publish them, and as nobody should."""

import io
import tarfile
import zipfile


def tar_of(files, *, packing="gz", members=()) -> bytes:
    """A tar file of bytes by name, and of any other members behind them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packing}") as tar:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        for member in members:
            tar.addfile(member)
    return out.getvalue()


def member(name, kind, target=""):
    """A member of a tar file that is no plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_of(files, *, modes=None) -> bytes:
    """A zip file of bytes by name; `modes` gives some of them a kind."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (modes or {}).get(name, 0) << 16
            archive.writestr(info, body)
    return out.getvalue()


def noise(size, seed=0) -> bytes:
    """Bytes that do not pack."""
    state, out = seed * 2654435761 % 2**32 or 1, bytearray()
    while len(out) < size:
        state = (state * 1664525 + 1013904223) % 2**32
        out += state.to_bytes(4, "little")
    return bytes(out[:size])
