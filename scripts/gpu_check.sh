#!/usr/bin/env bash
# Builds the CUDA part for the cards of this machine, checks it on them and measures it, within nine
# minutes: scripts/gpu_check.sh [FOLDER]. FOLDER (default: results/gpu) gets gpu.json and the logs.
# The python3 at hand is used if it has what is needed; else .venv is set up, from the network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
if ! "$python" -c 'import sys, hypothesis, numpy, pytest, setuptools
sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    SPECDEC_CUDA=off timeout 150 bash -c 'source .ci/setup.sh && set_up test'
    python=.venv/bin/python
fi
exec "$python" scripts/gpu_check.py --spent "$SECONDS" "$@"
