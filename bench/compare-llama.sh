#!/usr/bin/env bash
# Decodes SmolLM2 with llama.cpp (npm's node-llama-cpp) and with our kernels in turn, on the same weights in bf16, beside the machine's yardstick.
#   bench/compare-llama.sh [MODEL.gguf] [RUNS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
model=${1:-../shared/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf}
runs=${2:-5}
[ -f "$model" ] || { echo "There is no $model; give a GGUF file of SmolLM2-135M." >&2; exit 1; }
# shellcheck source=../scripts/torch-environment.sh
. scripts/torch-environment.sh
dotnet build bench/Workload -c Release -v quiet -nologo
program=bench/Workload/bin/Release/net10.0/Gradus.Workload
place=bench/Workload/obj/llama
mkdir -p "$place"
cp tests/Training.Tests/Gguf/llama/package.json tests/Training.Tests/Gguf/llama/package-lock.json tests/Training.Tests/Gguf/llama/.npmrc "$place/"
[ -d "$place/node_modules/node-llama-cpp" ] || npm install --prefix "$place" --no-save --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error
"$program" 1 "gguf:$model:$place/bf16.gguf"
for sequences in 1 16 64; do
    (cd "$place" && node ../../../llama-decode.mjs bf16.gguf "$sequences" 32 48 "$runs" "$OMP_NUM_THREADS")
    "$program" "$((3 * runs))" "decode-135M:$sequences"
done
"$program" 1 yardstick
