"""Folders that are drawn once: complete or absent whatever happens, with a record of what they depend on."""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from merv.errors import ConfigError

log = logging.getLogger(__name__)


def draw_once(root: Path, record: str, drawing: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder beside `root` and move it there; nothing happens when `root` holds the drawing.

    Args:
        root: Folder to make.
        record: Name of the file in it that says what was drawn; `write` need not make it.
        drawing: What the files depend on.
        write: Makes the files in a folder it is given.

    Raises:
        ConfigError: `root` holds something else or another drawing.
    """
    if is_drawn(root, record, drawing):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    log.info("drawing %s, once", root)
    try:
        write(unfinished)
        save_json(unfinished / record, dict(drawing))
        unfinished.chmod(0o755)
        unfinished.rename(root)
    except OSError:
        if not is_drawn(root, record, drawing):  # otherwise another process was faster
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def is_drawn(root: Path, record: str, drawing: Mapping[str, Any]) -> bool:
    """Whether `root` holds this drawing.

    Raises:
        ConfigError: it holds another one, or other files.
    """
    if not root.is_dir() or not any(root.iterdir()):
        return False
    path = root / record
    if not path.is_file():
        raise ConfigError(f"{root} holds files but no {record}; move them away or set another folder")
    found = json.loads(path.read_text(encoding="utf-8"))
    changed = [f"{key} {found.get(key)} (wanted {value})" for key, value in drawing.items() if found.get(key) != value]
    if changed:
        raise ConfigError(
            f"{root} was drawn with {', '.join(changed)}; delete it to draw again, or set another folder"
        )
    return True


def save_json(path: Path, value: Any) -> None:
    """Write JSON that has reached the disk when this returns."""
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
