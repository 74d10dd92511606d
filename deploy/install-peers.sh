#!/bin/sh
# Installs the programs the peer tests talk to, when this is a Debian machine and we are root; otherwise says so.
set -u
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
