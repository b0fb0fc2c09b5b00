#!/usr/bin/env bash
# Brings Gradus up on this machine, from nothing: packages, build, database, service; then, as an HTTP client like any other, the demo.
# Everything it makes lies in ./data and in the projects' bin and obj (`--clean` removes it). Ctrl-C stops all of it.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"
# shellcheck source=scripts/postgres.sh
. "$root/scripts/postgres.sh"
# shellcheck source=scripts/database.sh
. "$root/scripts/database.sh"
# shellcheck source=scripts/service.sh
. "$root/scripts/service.sh"

usage() {
    cat <<'TEXT'
Usage: ./run.sh [--no-demo | --demo | --clean | --help]
  (nothing)   start the service, train the demo (minutes, once) and show what it learned
  --no-demo   the service alone
  --demo      train the demo again
  --clean     remove all that run.sh made (installed Debian packages stay)
Settings (environment):
  ConnectionStrings__Gradus   a Postgres database of yours instead of a cluster below ./data
  Gradus__Url                 where the service listens (default http://localhost:5080)
  Gradus__StateFolder         where models and checkpoints go (default ./data/state)
TEXT
}

clean() {
    local home pid
    pid=$(running_service) && fail "the service still runs (process $pid): stop it first"
    home=$(database_home)
    if [ -d "$home/cluster" ]; then postgres_stop "$home"; fi
    rm -rf "$home" "$data" "$root/artifacts" "$root/Directory.Build.local.props"
    # The folder above a database outside of ./data, once it is empty.
    rmdir "$(dirname "$home")" 2>/dev/null || true
    find "$root/src" "$root/tests" "$root/bench" -type d \( -name bin -o -name obj -o -name node_modules \) -prune -exec rm -rf {} + 2>/dev/null || true
    say "Removed the database, ./data, build output and the choice of packages."
}

mode=first
case ${1:-} in
    '') ;;
    --no-demo) mode=none ;;
    --demo) mode=again ;;
    --clean) clean; exit 0 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; fail "unknown option: $1" ;;
esac

# Becomes the client: a signal to this process is one to it.
demo() {
    local again=()
    if [ "$mode" = again ]; then again=(--again); fi
    exec dotnet "$program" demo --url "$client_url" ${again[@]+"${again[@]}"}
}

require_dotnet
if pid=$(running_service); then
    [ "$mode" = again ] || fail "Gradus runs already (process $pid) on $client_url; './run.sh --demo' trains the demo on it again"
    demo
fi
refuse_taken_port
own_data
"$root/configure.sh"
if [ -n "${ConnectionStrings__Gradus:-}" ]; then install_packages; else install_packages postgresql; fi
build_service

demo_pid='' our_database=''
# shellcheck disable=SC2317  # called by the trap
cleanup() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$service_pid$our_database" ]; then say "Stopping"; fi
    if [ -n "$demo_pid" ]; then kill -TERM "$demo_pid" 2>/dev/null || true; fi
    stop_service
    if [ -n "$our_database" ]; then postgres_stop "$our_database"; fi
    exit "$status"
}
trap cleanup EXIT
# Ctrl-C is how this script ends; it is not an error.
trap 'exit 0' INT TERM HUP

start_database
start_service
say "Gradus listens on $client_url (Swagger: $client_url/swagger, log: $service_log)"
if [ "$mode" != none ]; then
    # In the background and waited for, so that a signal is acted on at once.
    demo &
    demo_pid=$!
    wait "$demo_pid" || say "The demo did not end well; the service goes on."
    demo_pid=''
fi
say "The service stays up; Ctrl-C stops it."
status=0
wait "$service_pid" || status=$?
tail -n 15 "$service_log" >&2
fail "the service ended with status $status; its log is $service_log"
