#!/bin/sh
# Fetches axe-core from the npm registry, which checks the console's pages, below build/peers. Then installs the programs
# the peer tests talk to, when this is a Debian machine and we are root; otherwise says so.
set -u
cd "$(dirname "$0")/.."

axe=4.14.1 folder=build/peers/axe-core
fetch() {
    rm -rf "$folder" && mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "axe-core@$axe" >/dev/null && tar -xzf ./*.tgz && rm ./*.tgz && echo "$axe" >version)
}
if [ "$(cat "$folder/version" 2>/dev/null)" != "$axe" ]; then
    echo "Fetching axe-core $axe ..."
    fetch || { sleep 5 && fetch; } || { sleep 20 && fetch; } ||
        echo "axe-core could not be fetched (needs npm). The test that needs it will be skipped by name."
fi

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
