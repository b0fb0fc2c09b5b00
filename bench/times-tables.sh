#!/usr/bin/env bash
# Runs the recipe grpo-times-tables on SmolLM2-135M-Instruct, each seed in a process of its own, and prints its steps as they come; then the curves beside TRL's, if they are there, and a step by phase.
#   bench/times-tables.sh [MODEL.gguf] [SEED...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
model=${1:-../shared/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf}
seeds=("${@:2}")
[ ${#seeds[@]} -gt 0 ] || seeds=(1 2 3)
[ -f "$model" ] || { echo "There is no $model; give a GGUF file of SmolLM2-135M-Instruct." >&2; exit 1; }
# shellcheck source=../scripts/torch-environment.sh
. scripts/torch-environment.sh
# As a stage in bf16 has it.
export OPENBLAS_NUM_THREADS=1
dotnet build bench/Workload -c Release -v quiet -nologo
dotnet build bench/Recipes -c Release -v quiet -nologo
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
bench/Workload/bin/Release/net10.0/Gradus.Workload 1 "gguf:$model:$place/model"
files=()
for seed in "${seeds[@]}"; do
    bench/Recipes/bin/Release/net10.0/Gradus.Recipes grpo-times-tables every=1 seed="$seed" out="$place/$seed" model:smollm2-135m-instruct="$place/model"
    files+=("$place/$seed/grpo/metrics.jsonl")
    rm -rf "$place/$seed/grpo/checkpoints" "$place/$seed/grpo/model"
done
echo
node bench/times-tables.mjs ../shared/bench/trl-times-tables.json "${files[@]}"
