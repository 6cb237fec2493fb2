"""Merges files and overrides into a `Config`, and says in one sentence what is wrong with them.

Precedence: defaults, then the files in their order (a file's `base` comes before it), then the
overrides of the command line.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from specdec_study.config import methods
from specdec_study.config.files import parse_value, read_mapping
from specdec_study.config.schema import SECTIONS, Config, sectioned
from specdec_study.errors import UserError

MOST_BASES = 20


def merged(
    under: Mapping[str, Any], over: Mapping[str, Any], anew: tuple[str, ...] = ("method",)
) -> dict[str, Any]:
    """Mappings are merged key by key, unless they name a method, which begins with its own
    defaults; everything else replaces what was there."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and not value.keys() & {*anew}:
            result[key] = merged(below, value, anew)
        else:
            result[key] = value
    return result


def read_with_bases(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file over the files that its key `base` names, which lie beside it."""
    if path.resolve() in above or len(above) >= MOST_BASES:
        raise UserError(f"{path}: is its own base")
    given = read_mapping(path)
    bases = given.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise UserError(f"{path}: base is neither a file's name nor a list of them")
    whole: dict[str, Any] = {}
    for base in bases:
        whole = merged(whole, read_with_bases(path.parent / base, (*above, path.resolve())))
    try:
        return merged(whole, sectioned(with_whole_paths(given, path.parent)))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def with_whole_paths(value: Any, folder: Path) -> Any:
    """Models and growmaps are meant from the working folder, or else from the file's own."""
    if isinstance(value, list):
        return [with_whole_paths(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: whole_path(item, folder)
        if key in ("model", "tokenizer", "growmap") and isinstance(item, str)
        else with_whole_paths(item, folder)
        for key, item in value.items()
    }


def whole_path(name: str, folder: Path) -> str:
    for place in (Path(name), folder / name):
        if name and place.exists():
            return os.path.abspath(place)
    return name


def parse_override(text: str) -> dict[str, Any]:
    """`generation.temperature=0.6` as nested mappings; the value is read as YAML."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[\w.-]+", name):
        raise UserError(f"--set {text}: write it as KEY=VALUE, as in generation.temperature=0.6")
    try:
        parsed = parse_value(value)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"--set {name}: '{value}' is not a YAML value") from error
    *above, last = name.replace("-", "_").split(".")
    nested: dict[str, Any] = {last: parsed}
    for part in reversed(above):
        nested = {part: nested}
    return nested


def keys_of(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def known_keys(path: Sequence[str], given: Mapping[str, Any]) -> list[str]:
    """What may stand where an unknown key stood."""
    if not path:
        flat = [key for section in SECTIONS.values() for key in keys_of(section)]
        return [*keys_of(Config), *flat]
    if path[0] in SECTIONS:
        return keys_of(SECTIONS[path[0]])
    name = str(given.get("method", ""))
    classes = [c for c in methods.Method.__subclasses__() if name in names_of(c)]
    return [key for c in classes for key in keys_of(c)]


def names_of(method: type[BaseModel]) -> tuple[str, ...]:
    return get_args(method.model_fields["method"].annotation)


def inside(given: Mapping[str, Any], path: Iterable[str]) -> Mapping[str, Any]:
    for part in path:
        below = given.get(part)
        given = below if isinstance(below, Mapping) else {}
    return given


def sentence(error: ValidationError, given: Mapping[str, Any]) -> str:
    """The first complaint, with the key's whole name and the nearest valid one."""
    first = error.errors()[0]
    tags = {tag for c in methods.Method.__subclasses__() for tag in names_of(c)}
    path = [str(part) for part in first["loc"] if part not in tags]
    name = ".".join(path) or "the configuration"
    if first["type"] == "extra_forbidden":
        around = inside(given, path[:-1])
        near = difflib.get_close_matches(path[-1], known_keys(path[:-1], around), 1, 0.5)
        hint = f": did you mean '{near[0]}'?" if near else ", and nothing like it is"
        return f"'{name}' is not a key{hint}"
    if first["type"] == "union_tag_invalid":
        said = first["ctx"]["tag"]
        return f"'{name}.method' is '{said}': it can be {', '.join(sorted(tags))}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    shown = first.get("input")
    value = f" = {shown!r}" if isinstance(shown, str | int | float | bool) else ""
    return f"'{name}'{value}: {message}"


def resolve(given: Mapping[str, Any], where: str = "the configuration") -> Config:
    """Checks keys and values; `where` begins the sentence if they are wrong."""
    try:
        return Config.model_validate(dict(given))
    except ValidationError as error:
        raise UserError(f"{where}: {sentence(error, given)}") from error


def load_config(
    paths: Sequence[Path] = (), overrides: Sequence[str] = (), model: str | None = None
) -> Config:
    """The files in their order, then `--model`, then `--set`."""
    whole: dict[str, Any] = {}
    for path in paths:
        whole = merged(whole, read_with_bases(path))
    if model is not None:
        whole = merged(whole, {"model": whole_path(model, Path())})
    given: dict[str, Any] = {}
    for override in overrides:
        try:
            given = merged(given, sectioned(parse_override(override)), anew=())
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"--set {override}: {error}") from error
    whole = merged(whole, given)
    where = " and ".join(map(str, paths)) or "the command line"
    if "model" not in whole:
        raise UserError(f"{where}: no model is given: use --model, or the key model")
    return resolve(whole, where)
