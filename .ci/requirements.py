"""Prints what pyproject.toml asks for: to build, to run, and for one extra.

    python .ci/requirements.py test

pip installs an extra only along with the package itself, and building that needs its requirements
first; so they are read here.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

PYPROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())


def extra_requirements(extra: str) -> Iterator[str]:
    """An extra's packages, those of the project's extras that it names included."""
    for requirement in PYPROJECT["project"]["optional-dependencies"][extra]:
        name, _, inner = requirement.partition("[")
        if name == PYPROJECT["project"]["name"]:
            yield from extra_requirements(inner.rstrip("]"))
        else:
            yield requirement


print(*PYPROJECT["build-system"]["requires"], sep="\n")
print(*PYPROJECT["project"]["dependencies"], sep="\n")
print(*extra_requirements(sys.argv[1]), sep="\n")
