# shellcheck shell=bash
# Sourced by test.sh: what src/Api/Operations/ProcessEnvironment.cs sets for a child, for test executables that load libtorch.
# OpenBLAS, libgomp and malloc read these when they are loaded, so they must stand before the process starts.

threads=$(getconf _NPROCESSORS_ONLN)
export OMP_NUM_THREADS="$threads" OPENBLAS_NUM_THREADS="$threads"
# Debian's OpenBLAS has threads of its own; libgomp's would spin against them (docs/log.md).
export OMP_WAIT_POLICY=passive
# Freed blocks stay in the process.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864
export DOTNET_gcServer=0
unset OPENBLAS_L2_SIZE OPENBLAS_VERBOSE

cpu_has() {
    local flag
    for flag; do grep -qsw "$flag" /proc/cpuinfo || return 1; done
}
if cpu_has avx512f avx512vl avx512bw avx512dq avx512cd; then export OPENBLAS_CORETYPE=SkylakeX
elif cpu_has avx2 fma; then export OPENBLAS_CORETYPE=Haswell
else unset OPENBLAS_CORETYPE
fi
