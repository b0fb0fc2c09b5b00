# shellcheck shell=bash
# Sourced: finds which Debian packages are missing and installs exactly those.

has_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# needed_packages [postgresql]: one name a line; postgresql only where we run a cluster of our own.
needed_packages() {
    if [ "$(profile Torch)" = System ]; then
        printf '%s\n' libtorch-dev libopenblas0-pthread g++
    fi
    if [ "${1:-}" = postgresql ]; then echo postgresql; fi
    if ! command -v npm >/dev/null; then echo npm; fi
}

# install_packages [postgresql]: installs what is missing, as root or with sudo; with neither it prints the line to run and stops.
install_packages() {
    local name missing=() as_root=()
    if ! command -v dpkg-query >/dev/null; then
        command -v npm >/dev/null || fail "npm is missing: install Node.js with npm"
        return 0
    fi
    while read -r name; do
        has_package "$name" || missing+=("$name")
    done < <(needed_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0

    local line="apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            as_root=(sudo)
        else
            fail "packages are missing and this user can neither be root nor use sudo; have an administrator run: $line"
        fi
    fi
    say "Installing Debian packages: ${missing[*]}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1 && return 0
    # The lists may be empty (a fresh image) or old.
    "${as_root[@]}" apt-get update -q >/dev/null || true
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" ||
        fail "apt could not install what is missing; as root, this line says why: $line"
}
