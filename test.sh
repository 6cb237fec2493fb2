#!/usr/bin/env bash
# Sets up, builds and runs the tests. Arguments go to pytest: ./test.sh -k tree
source "$(dirname "$0")/.ci/setup.sh"
set_up test
exec .venv/bin/pytest -q "$@"
