#!/bin/sh
# Makes the secrets of one deployment: an authority of its own, certificates for nginx, the instances, the
# Redis servers and the collector, users and passwords, and the master key. Usage: deploy/secrets.sh FOLDER
# The master key (master.keys) belongs into a safe as well: without it nothing that is kept opens again.
# In public, replace nginx.pem and nginx.key by a certificate that your callers trust.
set -eu
umask 077
folder=${1:?usage: deploy/secrets.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
[ ! -e "$folder" ] || { echo "$folder is there already; nothing is overwritten" >&2; exit 1; }
mkdir -p "$folder"
days=365

openssl ecparam -name prime256v1 -genkey -noout -out "$folder/ca.key"
openssl req -x509 -new -key "$folder/ca.key" -sha256 -days 3650 -subj "/CN=PAT Service, inner authority" \
  -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
  -out "$folder/ca.pem"

certificate() { # NAME NAMES: a key, and a certificate of the authority for what the name answers to
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$folder/$1.key"
  extensions=$(mktemp)
  printf '%s\n' "subjectAltName=$2" "basicConstraints=CA:FALSE" "keyUsage=critical,digitalSignature" \
    "extendedKeyUsage=serverAuth" "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" > "$extensions"
  openssl req -new -key "$folder/$1.key" -subj "/CN=$1" |
    openssl x509 -req -sha256 -days "$days" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial \
      -extfile "$extensions" -out "$folder/$1.pem" 2> /dev/null
  rm "$extensions"
}

certificate nginx "DNS:localhost,IP:127.0.0.1"
certificate pat-service "DNS:pat-service,DNS:localhost,IP:127.0.0.1"
certificate collector "DNS:collector,DNS:localhost,IP:127.0.0.1"
for server in store keys rates cache; do
  certificate "redis-$server" "DNS:redis-$server,DNS:localhost,IP:127.0.0.1"
  password=$(openssl rand -hex 32)
  hash=$(printf %s "$password" | openssl dgst -sha256 -r | cut -d " " -f 1)
  sed "s/#PASSWORD/#$hash/" "$here/redis/$server.acl" > "$folder/redis-$server.acl"
  user=$(sed -n "s/^user \(pat-[a-z]*\) .*/\1/p" "$folder/redis-$server.acl")
  echo "$user $password" > "$folder/redis-$server.credentials"
done

# As `pat keys new NAME` prints it: a name, and 256 bits.
echo "$(date -u +%Y-%m) $(openssl rand -base64 32)" > "$folder/master.keys"
chmod 400 "$folder"/*
echo "$folder: give it to the user of the containers (chown -R 10001:10001 $folder), and put ca.key and a copy of master.keys away"
