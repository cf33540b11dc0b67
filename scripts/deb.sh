#!/bin/sh
# Makes dist/frontd_VERSION_ARCH.deb of what `make install` lays out.
set -eu
: "${GO:=go}" "${VERSION:?}" "${MAKE:=make}"
root=$(pwd)
out=${DIST:-$root/dist}
GOARCH=${GOARCH:-$($GO env GOARCH)}
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
chmod 0755 "$STAGE"
$MAKE -s install DESTDIR="$STAGE" PREFIX=/usr
mkdir -p "$out"
export GOARCH VERSION STAGE
# The tool runs here, whatever the package is for. It is a module of its own:
# frontd's does not depend on what makes packages.
cd deploy/package
tool=$(GOARCH= GOOS= $GO tool -n nfpm)
$tool package -f nfpm.yaml -p deb -t "$out/frontd_${VERSION}_$GOARCH.deb"
