#!/usr/bin/env bash
# Install exactly what uv.lock names, checked by hash, then this project itself (editable).
#
#   scripts/install.sh base      what running Cardrail needs
#   scripts/install.sh dev       the tests and checks as well
#
# The packages come from wherever this machine's pip is told to look; see scripts/lock.sh for why the lock does not say.
# uv does it in seconds. It does not read pip's configuration, so the index is handed over; a machine set up in a way
# that uv cannot follow (no index at all, a wheel folder, a proxy with its own rules) is served by pip, more slowly.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
case "${1:?base or dev}" in
base) groups=(--no-dev --group build) ;;
dev) groups=(--group dev) ;;
*) echo "install.sh: base or dev" >&2 && exit 2 ;;
esac
requirements=.venv/requirements-$1.txt

pip_setting() { # NAME VARIABLE: what pip would use, by environment or by file
    printf '%s' "${!2:-$($bin/python -m pip config get "global.$1" 2>/dev/null || $bin/python -m pip config get "install.$1" 2>/dev/null || true)}"
}

$bin/uv export --quiet --frozen --offline --python $bin/python --no-emit-project --no-annotate --no-header \
    "${groups[@]}" --output-file "$requirements" >/dev/null

with_uv() {
    local index cert
    index=$(pip_setting index-url PIP_INDEX_URL)
    cert=$(pip_setting cert PIP_CERT)
    [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
    [ -z "$cert" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}
    UV_LINK_MODE=${UV_LINK_MODE:-copy} UV_HTTP_RETRIES=${UV_HTTP_RETRIES:-1} \
        $bin/uv pip install --quiet --python $bin/python --require-hashes -r "$requirements"
}
with_pip() { $bin/python -m pip install --quiet --require-hashes -r "$requirements"; }

if [ -n "$(pip_setting no-index PIP_NO_INDEX)" ]; then
    with_pip
else
    with_uv || { echo "uv could not install from this machine's index; trying pip." >&2 && with_pip; }
fi

# The build backend came with the lock, so building the project fetches nothing.
$bin/uv pip install --quiet --offline --python $bin/python --no-build-isolation --no-deps --editable .
