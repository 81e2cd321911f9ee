#!/usr/bin/env bash
# Resolve pyproject.toml into uv.lock, with every registry host replaced by a reserved placeholder.
#
#   scripts/lock.sh                     keep what is locked, add what is missing
#   scripts/lock.sh --upgrade           take the newest that the ranges allow
#   scripts/lock.sh -P litestar         the newest of one package
#
# Why the placeholder: the lock says which versions, with which hashes; where to fetch them from is the business of
# the machine that installs (a mirror, a wheel folder, the public index), and no host in a file should overrule it.
# `scripts/install.sh` never opens an address in the lock: it installs by name, version and hash.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
placeholder=https://index.invalid/simple # .invalid is reserved (RFC 2606) and never resolves

scrub() {
    sed -E -i.bak \
        -e "s#registry = \"[^\"]*\"#registry = \"$placeholder\"#g" \
        -e 's#url = "[a-z+]+://[^/"]*(/[^"]*)?/([^/"]+)"#url = "https://index.invalid/files/\2"#g' \
        uv.lock
    rm -f uv.lock.bak
}
trap scrub EXIT

# uv prefers a locked version only if it came from an index that it knows, so give it back the name it knows.
index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$($bin/python -m pip config get global.index-url 2>/dev/null || true)}}
index=${index:-$($bin/python -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)')}
index=${index%/}
if [ -f uv.lock ]; then
    sed -i.bak "s#registry = \"$placeholder\"#registry = \"$index\"#g" uv.lock
    rm -f uv.lock.bak
fi
UV_DEFAULT_INDEX=$index $bin/uv lock --python $bin/python "$@"
