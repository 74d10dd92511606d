#!/bin/sh
# Fetches from the npm registry, below build/peers, what the tests show pages and images with: axe-core, and the viewers
# OHIF and dwv. Then installs the programs the peer tests talk to, when this is a Debian machine and we are root; otherwise
# says so.
set -u
cd "$(dirname "$0")/.."

digest='"sha512-" + crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")'

unpack() { # FOLDER PACKAGE@VERSION INTEGRITY
    rm -rf "$1" && mkdir -p "$1" || return 1
    (
        cd "$1" && npm pack --silent "$2" >/dev/null || exit 1
        found=$(node -p "$digest" ./*.tgz)
        [ "$found" = "$3" ] || { echo "$2 is another file than the one pinned: $found" && exit 1; }
        tar -xzf ./*.tgz --exclude='*.map' && rm ./*.tgz && echo "$2 $3" >version
    )
}

fetch() { # NAME PACKAGE@VERSION INTEGRITY
    [ "$(cat "build/peers/$1/version" 2>/dev/null)" = "$2 $3" ] && return
    echo "Fetching $2 ..."
    for pause in 5 20 0; do
        unpack "build/peers/$1" "$2" "$3" && return
        sleep "$pause"
    done
    echo "$2 could not be fetched (needs npm). Tests that need it will be skipped by name."
}

fetch axe-core axe-core@4.14.1 sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
fetch ohif @ohif/app@3.13.2 sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==
fetch dwv dwv@0.36.4 sha512-kXGlujGcCKSJD6s0THa2z4Kn/aVCdltvbgrn8g2WcTA8TgLZJHp6Z0Tbu3gxkerIaMCrTC4TbaWJI0nq9tPAFg==
# what dwv imports
fetch konva konva@10.2.0 sha512-JBoz0Xjbf49UPxCZegZ4WseqOzJ+C4AUDOtJ9eBve5RS5Fcq/u8TdBD5fDl/uPFInpC3a9uycm0sRyZpF4hheg==
fetch jszip jszip@3.10.1 sha512-xXDvecyTpGLrqFrvkrUSoxxfJI5AH7U8zxxtVclpsUtMCq4JQ290LY8AW5c7Ggnr/Y/oK+bQMbqK2qmtk3pN4g==
fetch magic-wand-tool magic-wand-tool@1.1.7 sha512-S4rHzCs/bAp7nhQGKeg+McWuqrdyZKpnu8Ahd8AU7NzuLTm/Hh8tkpv1tW91Kmm59foIrXzip1d+P9NDoyxrZA==

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
