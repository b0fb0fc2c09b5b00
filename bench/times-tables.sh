#!/usr/bin/env bash
# Runs the recipe grpo-times-tables on SmolLM2-135M-Instruct in one process, with products in bf16, and prints a line for each step: seconds since the start, reward, length, rates.
#   bench/times-tables.sh [MODEL.gguf] [SEED]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
model=${1:-../shared/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf}
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
bench/Recipes/bin/Release/net10.0/Gradus.Recipes grpo-times-tables every=1 seed="${2:-1}" out="$place/out" 'grpo.dtype="bf16"' model:smollm2-135m-instruct="$place/model"
