#!/usr/bin/env bash
# What a GRPO step costs: one factor at a time around a middle case (10M weights, 4 prompts of 64 tokens x 8 completions of 64), each case in a process of its own. The table goes to standard output, progress to standard error.
#   bench/cost-table.sh [MODEL:GROUP:COMPLETION:PROMPTS:PROMPT[:MICROBATCH] ...]     all cases without arguments; about ten minutes on two free cores
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=../scripts/torch-environment.sh
. scripts/torch-environment.sh
# As a stage in bf16 has it.
export OPENBLAS_NUM_THREADS=1
dotnet build bench/Workload -c Release -v quiet -nologo >&2
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(
    10M:{4,8,16,32,64}:64:4:64
    10M:8:{32,128,256,512,1024}:4:64
    10M:8:64:{1,16,64}:64
    10M:8:64:4:{16,256,512,1024}
    {2,30,135}M:8:64:4:64
)
program=bench/Workload/bin/Release/net10.0/Gradus.Workload
"$program" 1 yardstick
echo
"$program" 1 cost
for one in "${cases[@]}"; do "$program" 1 "cost:$one"; done
echo
"$program" 1 yardstick
