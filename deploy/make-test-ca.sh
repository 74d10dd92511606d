#!/bin/sh
# A certificate authority to try DICOM over TLS with, and a certificate for each NAME=ADDRESS (host name or IP address).
# For a trial only: its key lies beside the certificates, without a passphrase. They are valid for 30 days.
#
#     deploy/make-test-ca.sh FOLDER node=127.0.0.1 pacs=127.0.0.1
set -eu
[ $# -ge 2 ] || { echo "usage: $0 FOLDER NAME=ADDRESS ..." >&2; exit 64; }
folder=$1
shift
umask 077
mkdir -p "$folder"
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
[ -f "$folder/authority.key" ] || openssl req -x509 $new -subj "/CN=test authority of $(hostname)" \
    -keyout "$folder/authority.key" -out "$folder/authority.crt" 2>/dev/null
for pair in "$@"; do
    name=${pair%%=*} address=${pair#*=}
    case $address in
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
    esac
    openssl req -x509 $new -subj "/CN=$name" -addext "subjectAltName=$kind:$address" \
        -addext "basicConstraints=critical,CA:FALSE" -CA "$folder/authority.crt" -CAkey "$folder/authority.key" \
        -keyout "$folder/$name.key" -out "$folder/$name.crt" 2>/dev/null
    echo "$folder/$name.crt: $(openssl x509 -noout -fingerprint -sha256 -in "$folder/$name.crt")"
done
