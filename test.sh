#!/usr/bin/env bash
# Everything that must be green: installs what is missing, builds configuration Test, starts a throw-away Postgres, runs every test
# project and closes with 'N passed, N failed'. Arguments go to each test executable (for example: -class NAME).
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"
# shellcheck source=scripts/postgres.sh
. "$root/scripts/postgres.sh"

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    cat <<'TEXT'
Usage: ./test.sh [ARGUMENT...]       arguments go to each test executable, for example: -class Gradus.Training.Tests.GrpoLossTests
  GRADUS_FIXTURES        more roots of fixtures, separated by ':'
  GRADUS_TEST_POSTGRES   a server to use instead of a throw-away one (a superuser's connection string)
  GRADUS_TEST_TIMEOUT    seconds one test project may take (default 1800)
TEXT
    exit 0
fi

require_dotnet
"$root/configure.sh"
if [ -n "${GRADUS_TEST_POSTGRES:-}" ]; then install_packages; else install_packages postgresql; fi

# A folder that the server's user may enter: root's TMPDIR may be closed to it.
temporary=${TMPDIR:-/tmp}
as_postgres test -w "$temporary" || temporary=/tmp
work=$(mktemp -d "$temporary/gradus-test.XXXXXX")
cleanup() {
    trap - EXIT INT TERM HUP
    postgres_stop "$work/postgres" immediate
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Clusters whose test.sh was killed.
for left in "$temporary"/gradus-test.*; do
    if [ -f "$left/owner" ] && [ -O "$left" ] && ! kill -0 "$(cat "$left/owner")" 2>/dev/null; then
        postgres_stop "$left/postgres" immediate
        rm -rf "$left"
    fi
done
echo $$ >"$work/owner"

say "Building (configuration Test)"
build Service.sln -c Test

if [ -z "${GRADUS_TEST_POSTGRES:-}" ]; then
    mkdir "$work/postgres"
    chmod 711 "$work"
    chown "$(postgres_user)" "$work/postgres"
    postgres_create "$work/postgres"
    # It lives as long as this run: nothing has to reach the disk.
    postgres_start "$work/postgres" -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=300
    export GRADUS_TEST_POSTGRES="$postgres_connection"
fi
export GRADUS_FIXTURES="${GRADUS_FIXTURES:-}"
# shellcheck source=scripts/torch-environment.sh
. "$root/scripts/torch-environment.sh"

limit=()
if command -v timeout >/dev/null; then limit=(timeout --foreground -k 30 "${GRADUS_TEST_TIMEOUT:-1800}"); fi
passed=0 failed=0 skipped=0
for project in "$root"/tests/*.Tests; do
    name=$(basename "$project")
    if [ "$name" = LibTorch.Tests ] && [ "$(profile Torch)" != System ]; then continue; fi
    say "== $name"
    status=0
    (cd "$root" && ${limit[@]+"${limit[@]}"} "$project/bin/Test/net10.0/Gradus.$name" -noColor -noLogo "$@") 2>&1 | tee "$work/output" || status=$?
    # xunit's last line: Total: 12, Errors: 0, Failed: 0, Skipped: 1, Not Run: 0, Time: 0.5s (or only: Total: 0)
    totals=$(grep -Eo 'Total: [0-9]+(, Errors: [0-9]+, Failed: [0-9]+, Skipped: [0-9]+.*)?$' "$work/output" | tail -n 1 || true)
    if [ -z "$totals" ]; then
        say "$name ended with status $status and no summary"
        failed=$((failed + 1))
        continue
    fi
    read -r -a number <<<"$(tr -cs '0-9' ' ' <<<"${totals%, Time*}") 0 0 0 0"
    bad=$((number[1] + number[2]))
    ran=$((number[0] - number[3] - number[4]))
    # A project that ran nothing is a failure, unless the arguments chose among the tests.
    if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || { [ "$ran" -eq 0 ] && [ $# -eq 0 ]; }; }; then
        say "$name ran $ran tests and ended with status $status"
        bad=1
        ran=$((ran + 1))
    fi
    passed=$((passed + ran - bad)) failed=$((failed + bad)) skipped=$((skipped + number[3]))
done

if [ "$skipped" -gt 0 ]; then say "$passed passed, $failed failed, $skipped skipped"; else say "$passed passed, $failed failed"; fi
[ "$failed" -eq 0 ]
