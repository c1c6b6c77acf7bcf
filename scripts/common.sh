# shellcheck shell=bash
# What the scripts share; sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../versions.env
. "$ROOT/versions.env"

# One cache for all clones: downloads are large and versions are in the folder names.
CACHE=${OIDC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/oidc-filter}
ENVOY_HOME=$CACHE/envoy-$ENVOY_VERSION
KEYCLOAK_HOME=$CACHE/keycloak-$KEYCLOAK_VERSION

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Can rustup's compiler build for the module's target?
rustup_has_target() {
    have rustup && rustup target list --installed 2>/dev/null | grep -qx "$WASM_TARGET"
}

# check_sum FILE SHA256
check_sum() { printf '%s  %s\n' "$2" "$1" | sha256sum --check --status; }
