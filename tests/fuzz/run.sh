#!/usr/bin/env bash
# Fuzzes every parser: tests/fuzz/run.sh [SECONDS PER TARGET, 10]. Needs clang with its sanitizers.
# What it finds is left in build/fuzz as crash-*; put it into corpus/ with the fix.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-10}
clang=${CLANG:-$(command -v clang || command -v clang-14)}
mkdir -p build/fuzz
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    "$clang" -std=c17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -ffp-contract=off -Icsrc "$source" csrc/core/{status,memory}.c csrc/io/*.c \
        csrc/spec/{tree,growmap,growmap_torch}.c csrc/model/{config,rope}.c -lm -o "build/fuzz/$name"
    mkdir -p "build/fuzz/found-$name"
    "build/fuzz/$name" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -seed=1 \
        -artifact_prefix=build/fuzz/ -print_final_stats=1 -verbosity=0 \
        "build/fuzz/found-$name" "tests/fuzz/corpus/${name#fuzz_}" 2>&1 | grep -E 'ERROR|stat::number'
done
