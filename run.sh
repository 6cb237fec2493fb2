#!/usr/bin/env bash
# Sets up, and runs every method on the embedded models: ./run.sh
# Or one configuration on a benchmark: ./run.sh BENCHMARK [CONFIG [OUTPUT]] [FLAGS of run_experiment]
source "$(dirname "$0")/.ci/setup.sh"
set_up study

stamp=$(date +%Y%m%d_%H%M%S)
if (($# == 0)); then
    .venv/bin/python run_all_experiments.py --group mini --benchmark data/mini-bench.jsonl \
        --output-base "results/mini_$stamp"
    .venv/bin/python -m specdec_study.compare "results/mini_$stamp"
    .venv/bin/python -m specdec_study.report "results/mini_$stamp"
    exit
fi
benchmark=$1
config=${2:-configs/mini_draft.yaml}
output=${3:-results/experiment_$stamp}
exec .venv/bin/python -m specdec_study.run_experiment --benchmark "$benchmark" --config "$config" \
    --output-dir "$output" "${@:4}"
