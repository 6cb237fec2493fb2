"""YAML and JSON as they are written, and nothing more: no tags, no repeated keys, bounded size."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from specdec_study import jsonl
from specdec_study.errors import UserError
from specdec_study.replace import replace_file

MOST_BYTES = 1 << 20
MOST_NODES = 100_000
DEEPEST = 50


class StrictLoader(yaml.SafeLoader):
    """Safe, and a key that stands twice is an error instead of silently the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"line {line}: the key '{key}' stands there a second time"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def plain_number(loader: StrictLoader, node: yaml.ScalarNode) -> int | float:
    """YAML takes 012 for ten and 1:30 for ninety, which nobody means."""
    if ":" in node.value or re.match(r"[-+]?0[0-9_]", node.value):
        line = node.start_mark.line + 1
        raise yaml.constructor.ConstructorError(
            None, None, f"line {line}: {node.value} means another number in YAML: quote it"
        )
    is_whole = node.tag.endswith(":int")
    return loader.construct_yaml_int(node) if is_whole else loader.construct_yaml_float(node)


for kind in ("int", "float"):
    StrictLoader.add_constructor(f"tag:yaml.org,2002:{kind}", plain_number)


def count_nodes(value: Any, depth: int = 0) -> int:
    """With every alias counted as what it stands for, so that a small file is not a huge value."""
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST}")
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    total = 1
    for item in inside:
        total += count_nodes(item, depth + 1)
        if total > MOST_NODES:
            raise ValueError(f"more than {MOST_NODES} values")
    return total


def check_plain(value: Any) -> None:
    """What JSON can say too: no dates, no bytes, no half characters."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_plain(key)
            check_plain(item)
    elif isinstance(value, list):
        for item in value:
            check_plain(item)
    elif isinstance(value, str):
        value.encode("utf-8")
    elif not isinstance(value, int | float | None):
        raise ValueError(f"a {type(value).__name__} ({value}) is not a value here: quote it")


def checked(value: Any) -> Any:
    count_nodes(value)
    check_plain(value)
    return value


def parse_value(text: str) -> Any:
    """A value of the command line."""
    return checked(yaml.load(text, StrictLoader))


def read_mapping(path: Path) -> dict[str, Any]:
    """A file whose outermost value is a mapping with names for keys."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    if len(raw) > MOST_BYTES:
        raise UserError(f"{path}: larger than {MOST_BYTES} bytes, which no configuration is")
    try:
        text = raw.decode("utf-8-sig")
        value = jsonl.parse(text) if path.suffix == ".json" else yaml.load(text, StrictLoader)
        checked(value)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()) or "nested too deeply"
        raise UserError(f"{path}: {reason}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{path}: not a mapping of names to values")
    return value


def yaml_text(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def write_yaml(path: Path, value: dict[str, Any], comment: str) -> None:
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    replace_file(path, (lines + yaml_text(value)).encode("utf-8"))
