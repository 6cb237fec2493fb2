"""Packages that only some sources of data need."""

from importlib import import_module
from typing import Any

from specdec_study.errors import UserError


def optional_module(name: str, what: str) -> Any:
    """A module of a package that is not installed with the study."""
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ImportError:
        raise UserError(f"{what} needs the package {package}: pip install {package}") from None
