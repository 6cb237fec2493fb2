#!/usr/bin/env bash
# Sets up, and runs every method on the embedded models: ./run.sh [FLAGS of run_all_experiments.py]
# Or one configuration on a benchmark: ./run.sh BENCHMARK [CONFIG [OUTPUT]] [FLAGS of run_experiment]
source "$(dirname "$0")/.ci/setup.sh"
set_up study

stamp=$(date +%Y%m%d_%H%M%S)
if [[ ${1:---} == -* ]]; then
    results=results/mini_$stamp
    if [[ " $* " == *" --resume "* && " $* " != *" --output-base"* ]]; then
        results=$(find results -maxdepth 1 -name 'mini_*' 2>/dev/null | sort | tail -n 1)
        [ -n "$results" ] || die "results/ holds no run of all methods that could be resumed"
    fi
    .venv/bin/python run_all_experiments.py --group mini --benchmark data/mini-bench.jsonl \
        --output-base "$results" "$@"
    [ -d "$results" ] || exit 0 # --help, --no-save, or another place
    .venv/bin/python -m specdec_study.compare "$results" --by-category
    .venv/bin/python -m specdec_study.calibrate --output "$results/profile.yaml" --context 128 --repeats 60 \
        --model data/models/mini-target --draft data/models/mini-draft >/dev/null
    .venv/bin/python -m specdec_study.report "$results" --output "$results/report.html" \
        --profile "$results/profile.yaml"
    exit
fi
benchmark=$1 config=configs/mini_draft.yaml output=results/experiment_$stamp
shift
if [[ ${1:---} != --* ]]; then config=$1 && shift; fi
if [[ ${1:---} != --* ]]; then output=$1 && shift; fi
exec .venv/bin/python -m specdec_study.run_experiment --benchmark "$benchmark" --config "$config" \
    --output-dir "$output" "$@"
