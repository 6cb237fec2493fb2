"""Builds the extensions `specdec` and `_specdec_testing` and, where nvcc is found, the CUDA part.

The core is compiled once, file by file, and linked into both extensions. A file whose name ends in
an instruction set is compiled for it and chosen at run time. Fresh objects are kept.

    SPECDEC_CUDA=auto|on|off    build libspecdec_cuda.so if nvcc and a card are there | insist | no
    SPECDEC_CUDA=emulated       compile it by g++ for an emulated card: for tests, and slow
    SPECDEC_CUDA_ARCHS="80;90"  compute capabilities; else those of the cards, or all
    SPECDEC_SANITIZE=address,undefined
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
SANITIZE = os.environ.get("SPECDEC_SANITIZE", "")
CUDA_LIBRARY = "libspecdec_cuda.so"
EMULATOR = Path("tests/backend/emulated")
CUDA = os.environ.get("SPECDEC_CUDA", "auto")
ALL_ARCHS = "80;86;89;90;100;120"

CC = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
COMPILE = ["-std=c17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-Icsrc"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion"]
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, *(f"-mavx512{x}" for x in ("f", "bw", "dq", "vl"))]
INSTRUCTION_SETS = {
    "_avx2": AVX2,
    "_avx512": AVX512,
    "_avx512bf16": [*AVX512, "-mavx512bf16"],
    "_amx": [*AVX512, "-mamx-tile", "-mamx-bf16"],
}
VERSION = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)[0]
PYTHON_FLAGS = [
    f'-DSPECDEC_VERSION="{VERSION}"',
    f"-isystem{sysconfig.get_path('include')}",
    f"-isystem{numpy.get_include()}",
]


def compile_command(source: Path) -> list[str]:
    """The compiler call for one C file, without its output."""
    command = CC + COMPILE + WARNINGS
    if SANITIZE:
        command += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g", "-O1"]
    else:
        command += ["-DNDEBUG"]
    if platform.machine() in ("x86_64", "AMD64"):
        for suffix, flags in INSTRUCTION_SETS.items():
            command += flags if source.stem.endswith(suffix) else []
    if source.is_relative_to("csrc/python"):
        command += PYTHON_FLAGS
    return [*command, *shlex.split(os.environ.get("CFLAGS", "")), "-c", str(source)]


def is_fresh(target: Path, command: list[str]) -> bool:
    """Made by the same command, and newer than all that the compiler read to make it."""
    dependencies, made_by = target.with_suffix(".d"), target.with_suffix(".cmd")
    if not (target.exists() and dependencies.exists() and made_by.exists()):
        return False
    if made_by.read_text() != shlex.join(command):
        return False
    read = dependencies.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    made = target.stat().st_mtime_ns
    return all(Path(f).exists() and Path(f).stat().st_mtime_ns < made for f in read)


def make(target: Path, command: list[str]) -> str:
    """Runs a compiler unless its result is fresh; returns the result's path."""
    if not is_fresh(target, command):
        target.parent.mkdir(parents=True, exist_ok=True)
        print(shlex.join(command[-1:]), "->", target)
        output = ["-o", str(target), "-MMD", "-MF", str(target.with_suffix(".d"))]
        subprocess.run(command + output, check=True)
        target.with_suffix(".cmd").write_text(shlex.join(command))
    return str(target)


def archs_of_cards() -> list[str]:
    """Compute capabilities of the cards that the driver shows, such as 90."""
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    if shutil.which(query[0]) is None:
        return []
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return sorted({major + minor for major, minor in re.findall(r"(\d+)\.(\d)", shown)}, key=int)


def archs_to_build() -> list[str]:
    """None of them: there is nothing to build for."""
    asked = os.environ.get("SPECDEC_CUDA_ARCHS")
    if asked is not None:
        return asked.split(";")
    return archs_of_cards() or (ALL_ARCHS.split(";") if CUDA == "on" else [])


def find_nvcc() -> str | None:
    """The CUDA compiler to use, or None; an error if SPECDEC_CUDA asks for what is not there."""
    if CUDA not in ("auto", "on", "off", "emulated"):
        raise SystemExit(f"SPECDEC_CUDA is {CUDA!r}; it can be auto, on, off or emulated")
    nvcc = (
        None if CUDA == "off" else shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    )
    if CUDA == "on" and nvcc is None:
        raise SystemExit("SPECDEC_CUDA=on, but nvcc is not on PATH: install the CUDA Toolkit")
    return nvcc


def nvcc_commands(nvcc: str, archs: list[str]) -> tuple[list[str], list[str]]:
    """How to compile a file of the CUDA part, and how to link all. Nothing is contracted that does
    not say so, for sums have to have one order on every device."""
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in archs]
    newest = f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}"
    flags = "-std=c++17 -O3 -Icsrc -fmad=false -Werror all-warnings"
    host = "-Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra"
    toolkit = Path(nvcc).resolve().parent.parent / "lib64"  # where cuBLAS is looked for
    link = [nvcc, "-shared", "-cudart=static", f"-Xlinker=-rpath={toolkit}"]
    return [nvcc, *flags.split(), host, *targets, newest, "-c"], link


def emulated_commands() -> tuple[list[str], list[str]]:
    """The same for the emulator. The name of every kernel has to stay in the library."""
    cxx = shlex.split(os.environ.get("CXX", "g++"))
    if shutil.which(cxx[0]) is None:
        raise SystemExit(f"SPECDEC_CUDA=emulated needs {cxx[0]}: install it, or name yours in CXX")
    flags = "-std=c++17 -O2 -g -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra"
    more = ["-Wno-unknown-pragmas", "-Wno-unused-function", *AVX2]
    compiler = [*cxx, *flags.split(), *more, f"-I{EMULATOR}", "-Icsrc", "-xc++", "-c"]
    return compiler, [*cxx, "-shared"]


class BuildSpecdec(build_ext):  # type: ignore[misc]
    """Compiles the C core once for both extensions, then the CUDA part."""

    def initialize_options(self) -> None:
        super().initialize_options()
        # One place, also for editable installs, so that the next build finds the objects again.
        self.build_temp = str(Path("build", "objects"))

    def build_extensions(self) -> None:
        os.chdir(ROOT)
        if shutil.which(CC[0]) is None:
            raise SystemExit(f"no C compiler {CC[0]!r}: install one, or name yours in CC")
        sources = sorted(Path("csrc").rglob("*.c"))
        targets = [Path(self.build_temp, s.relative_to("csrc")).with_suffix(".o") for s in sources]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(make, targets, map(compile_command, sources)))
        product = [o for o in objects if "/python/testing" not in o]
        for extension in self.extensions:
            # Tests that make allocations fail need specdec and the hook over one core: the testing
            # library holds both modules.
            extension.extra_objects = objects if "testing" in extension.name else product
            extension.depends = extension.extra_objects  # or it would never be linked again
            extension.extra_link_args = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
        super().build_extensions()
        self.build_cuda()

    def copy_extensions_to_source(self) -> None:
        super().copy_extensions_to_source()
        library = Path(self.build_lib, CUDA_LIBRARY)
        if library.exists():
            shutil.copy2(library, CUDA_LIBRARY)
        else:
            Path(CUDA_LIBRARY).unlink(missing_ok=True)

    def build_cuda(self) -> None:
        library = Path(self.build_lib, CUDA_LIBRARY)
        nvcc, archs = find_nvcc(), archs_to_build()
        sources = sorted(Path("csrc").rglob("*.cu"))
        if CUDA == "emulated":
            (compiler, linker), archs = emulated_commands(), ["emulated"]
            sources += sorted(EMULATOR.rglob("*.cpp"))
        elif nvcc is not None and archs:
            compiler, linker = nvcc_commands(nvcc, archs)
        else:
            library.unlink(missing_ok=True)
            return
        named = f'-DSD_CUDA_ARCHITECTURES="{";".join(archs)}"'
        commands = [[*compiler, named, str(s)] for s in sources]
        targets = [Path(self.build_temp, "cuda", f"{s.name}.o") for s in sources]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(make, targets, commands))
        library.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([*linker, "-o", str(library), *objects, "-ldl"], check=True)


setup(
    packages=[*find_packages(include=["specdec_study*"]), "specdec-stubs"],
    package_dir={"specdec-stubs": "csrc/python/stubs/specdec"},
    package_data={
        "specdec_study": ["py.typed"],
        "specdec_study.metrics": ["*.json"],
        "specdec_study.reporting": ["page.*", "*.mplstyle"],
        "specdec-stubs": ["*.pyi", "py.typed"],
    },
    ext_modules=[
        Extension(name, sources=[], libraries=["m", "dl", "pthread"])
        for name in ("specdec", "_specdec_testing")
    ],
    cmdclass={"build_ext": BuildSpecdec},
)
