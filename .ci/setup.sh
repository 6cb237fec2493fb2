# Sourced by run.sh, test.sh and .ci/run. `set_up EXTRA` leaves a virtual environment in .venv with
# the packages of that extra (pyproject.toml) and a fresh build of this checkout. What is there and
# up to date is kept, so the second call takes about a second.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2 && exit 1; }

# Debian packages: installed here and now where that is possible, else a sentence to follow.
install_packages() {
    if ! command -v apt-get >/dev/null; then
        die "missing: $* (Debian's names); install what your system calls them"
    elif [ "$(id -u)" != 0 ]; then
        die "missing system packages; run: sudo apt-get install $*"
    fi
    say "installing system packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update && apt-get -qq install --no-install-recommends "$@" >/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate" && return
        fi
    done
    die "${PYTHON:-python3} is not Python 3.10 or newer; install one, or name yours in PYTHON"
}

# What an extension module needs beside Python itself: a C compiler, Python.h and pip's bootstrap.
check_system() {
    local python=$1 version missing=()
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    command -v "${CC:-cc}" >/dev/null || missing+=(gcc libc6-dev)
    "$python" -c 'import os, sysconfig
open(os.path.join(sysconfig.get_path("include"), "Python.h")).close()' 2>/dev/null ||
        missing+=("$version-dev")
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=("$version-venv")
    if [ ${#missing[@]} -gt 0 ]; then
        install_packages "${missing[@]}"
    fi
}

set_up() {
    local extra=$1 stamp=.venv/packages-$1 python wanted
    if [ "$(cat .venv/made-in 2>/dev/null)" != "$PWD" ]; then
        python=$(find_python)
        check_system "$python"
        say "creating .venv with $python"
        "$python" -m venv --clear .venv
        echo "$PWD" >.venv/made-in # its scripts hold this path, so a copy would run the original
    fi
    wanted=$(cat pyproject.toml .ci/requirements.py | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "installing the packages of [$extra]"
        .venv/bin/python .ci/requirements.py "$extra" >.venv/requirements.txt
        .venv/bin/python -m pip install -q -r .venv/requirements.txt
        say "building and installing specdec"
        .venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
        echo "$wanted" >"$stamp"
    fi
    .venv/bin/python setup.py -q build_ext --inplace >&2
}
