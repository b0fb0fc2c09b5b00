# shellcheck shell=bash
# Sourced by run.sh: which database the service uses. ConnectionStrings__Gradus names one of the user's; else we keep a cluster of our own
# in ./data/database, or, where the server's user may not enter this folder, below the state directory.

data="$root/data"

# database_home: the folder of our cluster (scripts/postgres.sh). The same clone always gets the same one.
database_home() {
    local state
    if [ -e "$data/database" ] || as_postgres test -x "$data" 2>/dev/null; then
        echo "$data/database"
        return
    fi
    if [ "$(id -u)" -eq 0 ]; then state=/var/lib/gradus; else state="${XDG_STATE_HOME:-$HOME/.local/state}/gradus"; fi
    echo "$state/$(printf '%s' "$root" | cksum | cut -d' ' -f1)"
}

# own_data: makes ./data, and refuses one that another user made: neither its database nor its files would open.
own_data() {
    mkdir -p "$data" || fail "this folder cannot be written to by $(id -un)"
    [ -O "$data" ] || fail "$data belongs to $(stat -c %U "$data" 2>/dev/null || echo another user): run this as that user, or remove it (./run.sh --clean)"
}

# start_database: exports ConnectionStrings__Gradus and sets our_database to the home of what we started ('' for the user's own).
start_database() {
    our_database=''
    [ -z "${ConnectionStrings__Gradus:-}" ] || return 0
    local home
    home=$(database_home)
    [ -f "$data/instance" ] || od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$data/instance"
    # Rows of models whose files are gone with ./data are of no use: a cluster belongs to one ./data.
    if [ -d "$home" ] && ! cmp -s "$data/instance" "$home/instance"; then
        say "The database in $home belongs to a ./data that is gone: starting with an empty one."
        if [ -d "$home/cluster" ]; then postgres_stop "$home"; fi
        rm -rf "$home"
    fi
    if [ ! -d "$home/cluster" ]; then
        say "Creating a database in $home"
        rm -rf "$home"
        mkdir -p "$(dirname "$home")" "$home"
        # The password's file is its owner's alone (600), whoever may list the folder.
        chmod 755 "$home"
        if [ "$(dirname "$home")" = /var/lib/gradus ]; then chmod 755 /var/lib/gradus; fi
        chown "$(postgres_user)" "$home"
        postgres_create "$home"
        cp "$data/instance" "$home/instance"
        printf '%s\n' "$root" >"$home/clone"
    fi
    our_database=$home
    postgres_start "$home"
    create_database "$home"
    export ConnectionStrings__Gradus="${postgres_connection%Database=*}Database=gradus"
}

# create_database HOME: the database `gradus`, once.
create_database() {
    [ ! -f "$1/created" ] || return 0
    PGPASSWORD=$(cat "$1/password") "$(postgres_programs)/createdb" -h 127.0.0.1 -p "$port" -U gradus -w gradus ||
        fail "the database could not be created; the server's log is $1/log"
    touch "$1/created"
}
