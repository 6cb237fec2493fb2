"""The CUDA part is loaded, or refused with a reason. None of this needs a device or nvcc."""

import os
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

import _specdec_testing as internals
import pytest
import specdec

CC = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
CSRC = Path(__file__).parents[2] / "csrc"

A_PART = """
#include "backend/cuda/cuda.h"
#include <stdio.h>
static int count(char *why, size_t why_bytes) {{
    snprintf(why, why_bytes, "a test has no devices");
    return 0;
}}
static const sd_cuda_table table = {{{version}, 13000, "90", count, NULL, NULL, NULL}};
const sd_cuda_table *sd_cuda_entry(void) {{ return &table; }}
"""


def build(folder: Path, source: str) -> str:
    """A shared object made of C: what nvcc makes, as far as the loader can tell."""
    (folder / "part.c").write_text(source)
    library = folder / "part.so"
    command = [*CC, "-shared", "-fPIC", f"-I{CSRC}", "-o", str(library), str(folder / "part.c")]
    subprocess.run(command, check=True)
    return str(library)


def test_a_part_of_this_version_is_opened(tmp_path: Path) -> None:
    library = build(tmp_path, A_PART.format(version=3))
    expected = (3, 13000, "90", 0, "a test has no devices")
    assert internals.cuda_open(library) == expected
    assert internals.cuda_open(library) == expected


def test_loader_rejects_another_version(tmp_path: Path) -> None:
    library = build(tmp_path, A_PART.format(version=4))
    with pytest.raises(ValueError, match="has table version 4, not 3: build again"):
        internals.cuda_open(library)


def test_loader_rejects_a_library_without_entry(tmp_path: Path) -> None:
    library = build(tmp_path, "int nothing;")
    with pytest.raises(ValueError, match="is not a CUDA part of specdec"):
        internals.cuda_open(library)


def test_loader_rejects_what_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "absent.so")
    with pytest.raises(ValueError, match="no CUDA part: build again with nvcc"):
        internals.cuda_open(path)


def test_loader_rejects_what_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("not a library")
    with pytest.raises(ValueError, match="cannot be loaded"):
        internals.cuda_open(str(path))


def test_the_built_part_counts_devices_or_says_why_there_are_none() -> None:
    library = Path(specdec.__file__).with_name("libspecdec_cuda.so")
    if not library.exists():
        pytest.skip("built without the CUDA part")
    version, toolkit, architectures, n_devices, why = internals.cuda_open(str(library))
    assert version == 3
    assert toolkit >= 11000
    assert re.fullmatch(r"emulated|\d+(;\d+)*", architectures)
    assert (n_devices > 0) == (why == "")
