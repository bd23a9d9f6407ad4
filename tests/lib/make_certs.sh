#!/bin/sh
# make_certs.sh DIR - a CA and the certificates that the tests' TLS servers show. Needs openssl.
#   ca.pem            the CA that tests trust            other-ca.pem    one that signed nothing here
#   localhost.pem     localhost, 127.0.0.1, ::1          expired.pem     the same, long over
#   other-name.pem    somebody.invalid                   future.pem      not valid yet
#   self-signed.pem   by itself                          weak-key.pem    RSA of 1024 bits
#   weak-hash.pem     signed with SHA-1                  no-server.pem   for clients only
# each with its .key, for localhost but for other-name
set -eu
dir=$1
[ -s "$dir/done" ] && [ "$dir/done" -nt "$0" ] && exit 0
mkdir -p "$dir"
cd "$dir"
exec 2>openssl.log

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

ca() { # name
    key "$1"
    openssl req -x509 -new -key "$1.key" -out "$1.pem" -days 3650 -subj "/CN=qproxy test $1" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}

leaf() { # name, common name, alternative names, start, end (YYYYMMDDHHMMSSZ), hash, one more line of extensions
    [ -s "$1.key" ] || key "$1"
    openssl req -new -key "$1.key" -out "$1.csr" -subj "/CN=$2"
    : >index.txt
    echo 01 >serial
    cat >ca.cnf <<CONF
[ca]
default_ca = us
[us]
database = index.txt
serial = serial
new_certs_dir = .
default_md = ${6:-sha256}
policy = any
x509_extensions = ext
[any]
commonName = supplied
[ext]
basicConstraints = CA:FALSE
subjectAltName = $3
${7:-}
CONF
    openssl ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in "$1.csr" -out "$1.pem" \
        -startdate "$4" -enddate "$5"
}

ca ca
ca other-ca
names=DNS:localhost,IP:127.0.0.1,IP:::1
leaf localhost localhost "$names" 20200101000000Z 20491231235959Z
leaf expired localhost "$names" 20200101000000Z 20200201000000Z
leaf other-name somebody.invalid DNS:somebody.invalid 20200101000000Z 20491231235959Z
leaf future localhost "$names" 20480101000000Z 20491231235959Z
leaf weak-hash localhost "$names" 20200101000000Z 20491231235959Z sha1
leaf no-server localhost "$names" 20200101000000Z 20491231235959Z sha256 "extendedKeyUsage = clientAuth"
openssl genrsa -out weak-key.key 1024
leaf weak-key localhost "$names" 20200101000000Z 20491231235959Z
key self-signed
openssl req -x509 -new -key self-signed.key -out self-signed.pem -days 3650 -subj "/CN=localhost" \
    -addext "subjectAltName=$names" -addext basicConstraints=critical,CA:FALSE
echo yes >done
