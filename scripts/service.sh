# shellcheck shell=bash
# Sourced by run.sh: builds the service when its sources changed, starts it, waits until it is ready, stops it.

program="$root/src/Api/bin/Release/net10.0/Gradus.Api.dll"
stamp="$root/src/Api/bin/Release/built"
service_log="$data/service.log"
service_pid=''

url="${Gradus__Url:-http://localhost:5080}"
url="${url%/}"
# A client's view of it: a service on every address is reached on this machine.
client_url=$(sed -E 's#//(\*|\+|0\.0\.0\.0|\[::\])#//localhost#' <<<"$url")
address="${client_url#*://}"
host="${address%:*}"
port_of_service="${address##*:}"
if [ "$host" = "$address" ]; then port_of_service=80; fi

# What a build depends on beside the sources' times: the profile, the SDK and the place.
build_inputs() { cat "$root/Directory.Build.local.props"; (cd "$root" && dotnet --version); printf '%s\n' "$root"; }

# Sources newer than the last build; a folder's own time tells of a file that is gone.
changed_sources() {
    find "$root/src" "$root/recipes" "$root/migrations" "$root"/Directory.*.props "$root/.editorconfig" \
        \( -name bin -o -name obj -o -name node_modules \) -prune -o -newer "$stamp" -print 2>/dev/null | head -n 1
}

build_service() {
    if [ -f "$program" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(build_inputs)" ] && [ -z "$(changed_sources)" ]; then return 0; fi
    say "Building (about a minute the first time)"
    build src/Api/Api.csproj -c Release
    build_inputs >"$stamp"
}

# running_service: the process id of the service that this clone started and that still runs.
running_service() {
    local pid
    pid=$(cat "$data/service.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && [[ "$(ps -o args= -p "$pid" 2>/dev/null)" == *"$program"* ]] && echo "$pid"
}

refuse_taken_port() {
    if tcp_open "$host" "$port_of_service"; then
        fail "something else listens on $client_url already; give Gradus another address: Gradus__Url=http://localhost:5081 ./run.sh"
    fi
}

# ready: whether the service answers /healthz/ready with 200.
ready() {
    local status=''
    {
        printf 'GET /healthz/ready HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$address" >&3
        read -r -t 10 _ status _ <&3
    } 3<>"/dev/tcp/$host/$port_of_service" 2>/dev/null
    [ "$status" = 200 ]
} 2>/dev/null

start_service() {
    local waited=0
    export Gradus__Url="$url" Gradus__StateFolder="${Gradus__StateFolder:-$data/state}"
    # A process group of its own: Ctrl-C reaches this script, and the script stops the service in order.
    set -m
    (cd "$root" && exec dotnet "$program") >>"$service_log" 2>&1 </dev/null &
    service_pid=$!
    set +m
    printf '%s\n' "$service_pid" >"$data/service.pid"
    until ready; do
        if ! kill -0 "$service_pid" 2>/dev/null; then
            tail -n 15 "$service_log" >&2
            service_pid=''
            fail "the service ended while starting; its log is $service_log"
        fi
        waited=$((waited + 1))
        [ "$waited" -lt 600 ] || fail "the service is not ready after two minutes; its log is $service_log"
        sleep 0.2
    done
}

# stop_service: asks, waits (a running stage finishes its step and saves a checkpoint), and only then kills.
stop_service() {
    [ -n "$service_pid" ] || return 0
    local waited=0
    kill -TERM "$service_pid" 2>/dev/null || true
    while kill -0 "$service_pid" 2>/dev/null && [ "$waited" -lt 450 ]; do
        waited=$((waited + 1))
        sleep 0.1
    done
    kill -KILL "$service_pid" 2>/dev/null || true
    wait "$service_pid" 2>/dev/null || true
    rm -f "$data/service.pid"
}
