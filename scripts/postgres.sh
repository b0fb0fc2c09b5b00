# shellcheck shell=bash
# Sourced: a Postgres cluster of our own. Everything of it lies in one folder (its home: cluster/, password, log); it listens on
# 127.0.0.1 with a port of its own and on a socket in its home. No cluster of the system is read, changed or stopped.
# postgres refuses to run as root, so root runs it as the user `postgres` (or `nobody`), and every folder above must let that user in.

# postgres_user: who runs the server.
postgres_user() {
    if [ "$(id -u)" -ne 0 ]; then id -un
    elif id -u postgres >/dev/null 2>&1; then echo postgres
    else echo nobody
    fi
}

# as_postgres COMMAND...: runs it as that user, from a folder that everybody may enter.
as_postgres() {
    if [ "$(id -u)" -ne 0 ]; then (cd / && "$@")
    elif command -v setpriv >/dev/null; then
        (cd / && setpriv --reuid "$(id -u "$(postgres_user)")" --regid "$(id -g "$(postgres_user)")" --clear-groups "$@")
    else (cd / && runuser -u "$(postgres_user)" -- "$@")
    fi
}

# postgres_programs [VERSION]: the folder of initdb and pg_ctl; of the major version given, else the newest.
postgres_programs() {
    local folder best='' version best_version=0
    for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        "$(dirname "$(command -v initdb || echo /nowhere/initdb)")"; do
        [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] || continue
        version=$("$folder/initdb" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
        if [ -n "${1:-}" ] && [ "$version" != "$1" ]; then continue; fi
        if [ "$version" -gt "$best_version" ]; then best=$folder best_version=$version; fi
    done
    [ -n "$best" ] && echo "$best"
}

# postgres_create HOME: initialises a cluster with one superuser, gradus, and a generated password.
# HOME must exist and be owned by postgres_user. The password's file stays, mode 600, owned by whoever runs us.
postgres_create() {
    local home=$1 programs
    programs=$(postgres_programs) || fail "PostgreSQL is missing: install its server (15 or newer), or name a database in ConnectionStrings__Gradus"
    (umask 077 && od -An -N18 -tx1 /dev/urandom | tr -d ' \n' >"$home/password.new")
    chown "$(postgres_user)" "$home/password.new"
    as_postgres "$programs/initdb" -D "$home/cluster.new" -U gradus --auth=scram-sha-256 --pwfile="$home/password.new" \
        --encoding=UTF8 --locale=C >"$home/initdb.log" 2>&1 || { cat "$home/initdb.log" >&2; fail "initdb failed"; }
    rm -f "$home/initdb.log"
    chown "$(id -u)" "$home/password.new"
    mv "$home/password.new" "$home/password"
    mv "$home/cluster.new" "$home/cluster"
}

# postgres_port HOME: the port of the server that runs on this home; fails where none runs.
postgres_port() {
    as_postgres "$(postgres_programs "$(cat "$1/cluster/PG_VERSION")")/pg_ctl" -D "$1/cluster" status >/dev/null 2>&1 &&
        sed -n 4p "$1/cluster/postmaster.pid"
}

# postgres_start HOME [OPTION...]: starts it unless it runs; sets postgres_connection (for Npgsql; its database is `postgres`) and port.
postgres_start() {
    local home=$1 programs sockets="$1" try message=''
    shift
    programs=$(postgres_programs "$(cat "$home/cluster/PG_VERSION")") ||
        fail "the cluster in $home is of PostgreSQL $(cat "$home/cluster/PG_VERSION"), whose server is not installed"
    # A socket's path may hold 107 bytes; where the home's is longer there is no socket.
    [ "${#sockets}" -le 90 ] || sockets=''
    port=$(postgres_port "$home") || port=''
    for try in 1 2 3 4 5 6; do
        [ -z "$port" ] || break
        port=$((20000 + (RANDOM % 12000)))
        if tcp_open 127.0.0.1 "$port" || ! message=$(as_postgres "$programs/pg_ctl" -D "$home/cluster" -l "$home/log" -w -t 60 -s start \
            -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$sockets' $*" 2>&1); then
            port=''
        fi
    done
    if [ -z "$port" ]; then
        tail -n 20 "$home/log" >&2
        fail "Postgres did not start after $try tries: $message (its log: $home/log)"
    fi
    # shellcheck disable=SC2034  # read by who sources this
    postgres_connection="Host=127.0.0.1;Port=$port;Username=gradus;Password=$(cat "$home/password");Database=postgres"
}

# postgres_stop HOME [MODE]: fast by default; says nothing where none runs.
postgres_stop() {
    [ -f "$1/cluster/postmaster.pid" ] || return 0
    as_postgres "$(postgres_programs "$(cat "$1/cluster/PG_VERSION")")/pg_ctl" -D "$1/cluster" -w -t 60 -s -m "${2:-fast}" stop || true
}
