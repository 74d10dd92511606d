#!/bin/sh
# Installs the programs the peer tests talk to, when this is a Debian machine and we are root; otherwise says so. Then
# fetches what pages are shown and checked with from the npm registry, once, below build/peers.
set -u
cd "$(dirname "$0")/.."

# fetch NAME PACKAGE VERSION
fetch() {
    folder=build/peers/$1
    [ "$(cat "$folder/version" 2>/dev/null)" = "$3" ] && return
    echo "Fetching $2 $3 ..."
    rm -rf "$folder" && mkdir -p "$folder"
    for attempt in 1 2 3; do
        (cd "$folder" && npm pack --silent "$2@$3" >/dev/null && tar -xzf ./*.tgz && rm ./*.tgz && echo "$3" >version) &&
            return
        sleep $((attempt * 5))
    done
    echo "$2 could not be fetched (needs npm). Tests that need it will be skipped by name."
}
fetch axe-core axe-core 4.14.1
fetch ohif @ohif/app "$(sed -n 's/.*@ohif\/app@\([0-9.]*[0-9]\).*/\1/p' deploy/ohif/Dockerfile)"

wanted="orthanc orthanc-dicomweb orthanc-webviewer dcmtk postgresql chromium chromium-driver strace"
missing=""
for package in $wanted; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Not installed:$missing (needs root on Debian). Tests that need them will be skipped by name."
    exit 0
fi
echo "Installing$missing ..."
apt-get update -qq || exit 0
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "Some could not be installed; tests that need them will be skipped by name."
