# shellcheck shell=bash
# Sourced by run.sh, test.sh and configure.sh: where we are, how we speak, and the .NET SDK.
# Sets: root (the folder of the clone). Every function says in one sentence what went wrong.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Puts dotnet on PATH where an installer left it beside it (sudo drops a user's PATH), and refuses an SDK older than 10.
require_dotnet() {
    local folder
    if ! command -v dotnet >/dev/null; then
        for folder in "${DOTNET_ROOT:-}" "$HOME/.dotnet" /usr/share/dotnet /usr/lib/dotnet /usr/local/share/dotnet; do
            if [ -n "$folder" ] && [ -x "$folder/dotnet" ]; then
                export PATH="$folder:$PATH" DOTNET_ROOT="$folder"
                break
            fi
        done
    fi
    command -v dotnet >/dev/null || fail "the .NET 10 SDK is missing: https://dotnet.microsoft.com/download/dotnet/10.0"
    (cd "$root" && dotnet --list-sdks) | grep -Eq '^(1[0-9]|[2-9][0-9])\.' ||
        fail "the .NET 10 SDK is needed; this machine has: $(dotnet --list-sdks | cut -d' ' -f1 | tr '\n' ' ')(https://dotnet.microsoft.com/download/dotnet/10.0)"
    export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
}

# profile NAME: a property (Torch, Jobs, Cuda) as configure.sh wrote it.
profile() { sed -n "s|.*<$1>\(.*\)</$1>.*|\1|p" "$root/Directory.Build.local.props" | tail -n 1; }

# tcp_open HOST PORT: whether something listens there.
tcp_open() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# build ARGUMENT...: dotnet build in the clone; what it says is shown where it fails.
build() {
    local log
    log=$(mktemp)
    if ! (cd "$root" && dotnet build "$@" -v q --nologo) >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "the build failed"
    fi
    rm -f "$log"
}
