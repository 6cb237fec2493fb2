#!/usr/bin/env bash
# Sets up, builds and shows every primitive on a small example: ./run.sh --help
source "$(dirname "$0")/.ci/setup.sh"
set_up test
exec .venv/bin/python -m specdec_study.tour "$@"
