#!/usr/bin/env bash
# Chooses the packages this clone is built with and writes the choice to Directory.Build.local.props (git-ignored).
#   Torch = TorchSharp (the official package) or System (src/LibTorch on Debian's libtorch)
#   Jobs  = Hangfire   (the official packages) or Quartz
# The official ones are tried first, by a restore. The answer is kept; --again asks anew.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"

usage() {
    cat <<'TEXT'
Usage: ./configure.sh [--again] [--torch TorchSharp|System] [--jobs Hangfire|Quartz] [--cuda]
  --again   ask the package registries again
  --torch, --jobs   take this one without asking
  --cuda    TorchSharp with CUDA (Linux) instead of the CPU package
TEXT
}

again=false torch='' jobs='' cuda=false
while [ $# -gt 0 ]; do
    case $1 in
        --again) again=true ;;
        --torch) torch=${2:?--torch needs a value}; shift ;;
        --jobs) jobs=${2:?--jobs needs a value}; shift ;;
        --cuda) cuda=true ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; fail "unknown option: $1" ;;
    esac
    shift
done
case $torch in '' | TorchSharp | System) ;; *) fail "--torch takes TorchSharp or System, not $torch" ;; esac
case $jobs in '' | Hangfire | Quartz) ;; *) fail "--jobs takes Hangfire or Quartz, not $jobs" ;; esac

answer="$root/Directory.Build.local.props"
if [ -f "$answer" ] && [ "$again$torch$jobs$cuda" = falsefalse ]; then
    say "Packages: Torch=$(profile Torch), Jobs=$(profile Jobs) (./configure.sh --again asks anew)"
    exit 0
fi
require_dotnet

# restores PACKAGE...: whether NuGet here serves each in the version of Directory.Packages.props.
# The probe is a project of its own; what it downloads is what the build needs later.
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
restores() {
    local package version
    {
        echo '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup><ItemGroup>'
        for package; do
            version=$(sed -n "s/.*Include=\"$package\" Version=\"\([^\"]*\)\".*/\1/p" "$root/Directory.Packages.props")
            echo "<PackageReference Include=\"$package\" Version=\"[$version]\" />"
        done
        echo '</ItemGroup></Project>'
    } >"$probe/probe.csproj"
    (cd "$probe" && dotnet restore probe.csproj --nologo >"$probe/log" 2>&1)
}

# loads: whether TorchSharp's native library finds what it needs of this system (Debian 12 has an older C++ library than some versions ask for).
loads() {
    local packages version library
    packages=$(dotnet nuget locals global-packages --list | sed 's/^[^:]*: *//')
    version=$(sed -n 's/.*Include="TorchSharp-cpu" Version="\([^"]*\)".*/\1/p' "$root/Directory.Packages.props")
    library="${packages%/}/torchsharp/$version/runtimes/linux-x64/native/libLibTorchSharp.so"
    [ "$(uname -sm)" != "Linux x86_64" ] || [ ! -f "$library" ] || ! ldd "$library" 2>&1 | grep 'version .* not found'
}

official_torch=TorchSharp-cpu
if $cuda; then official_torch=TorchSharp-cuda-linux; fi
if [ -z "$torch" ]; then
    system_works=false
    if [ "$(uname -sm)" = "Linux x86_64" ] && command -v apt-get >/dev/null; then system_works=true; fi
    if restores "$official_torch"; then
        torch=TorchSharp
        if ! loads; then
            if ! $system_works || $cuda; then fail "$official_torch restores, but its native library cannot be loaded here (the line above says why)."; fi
            say "TorchSharp restores, but its native library cannot be loaded here (the line above says why)."
            torch=System
        fi
    elif $system_works && ! $cuda; then torch=System
    else
        grep -m 2 -E 'error' "$probe/log" >&2 || true
        fail "$official_torch does not restore from this machine's NuGet sources ('dotnet nuget list source' names them), and the System profile, which does without it, needs Debian or a relative on x86-64 and no CUDA (this is $(uname -sm))."
    fi
fi
if [ -z "$jobs" ]; then
    if restores Hangfire.AspNetCore Hangfire.PostgreSql; then jobs=Hangfire; else jobs=Quartz; fi
fi

cuda_line=''
if $cuda; then cuda_line='<Cuda>true</Cuda>'; fi
cat >"$answer.new" <<XML
<Project>
  <!-- Written by configure.sh. -->
  <PropertyGroup>
    <Torch>$torch</Torch>
    <Jobs>$jobs</Jobs>
    $cuda_line
  </PropertyGroup>
</Project>
XML
mv "$answer.new" "$answer"
case $torch in
    TorchSharp) say "Torch=TorchSharp: the official package." ;;
    System) say "Torch=System: Debian's libtorch through src/LibTorch, the same source on top." ;;
esac
case $jobs in
    Hangfire) say "Jobs=Hangfire: the official packages." ;;
    Quartz) say "Jobs=Quartz: the same jobs, woken by Quartz." ;;
esac
