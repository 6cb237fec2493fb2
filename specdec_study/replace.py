"""Files that are written whole or not at all."""

import os
from pathlib import Path

from specdec_study.errors import UserError


def replace_file(path: Path, content: bytes) -> None:
    """Whatever happens meanwhile, the path has the old content or the new. Links stay links, and
    what is no file, such as /dev/stdout, is written to as it is."""
    place = Path(os.path.realpath(path))
    part = place.with_name(f".{place.name}.part")
    try:
        if place.exists() and not place.is_file():
            place.write_bytes(content)
            return
        try:
            write_through(part, content)
            os.replace(part, place)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        sync_folder(place.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def check_place(path: Path) -> None:
    """That the path may be written to, before the work that is to be written."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{path}: is no place for a file: name one in a folder that is there")


def write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
