#!/usr/bin/env bash
# Prints the name of the image to build upon: Python 3.11 on Debian, from the registry where there is one, else
# made of Debian packages (as root, with debootstrap). The latter is made again after a week, for its updates.
set -euo pipefail
tool=${1:?expected buildah, podman or docker}
registry=docker.io/library/python:3.11-slim-bookworm
own=localhost/pat-base:bookworm
days=7

if "$tool" pull -q "$registry" >/dev/null 2>&1; then
  echo "$registry"
  exit
fi

created() {
  case $tool in
    buildah) buildah inspect --type image --format '{{.OCIv1.Created.Unix}}' "$own" ;;
    podman) podman image inspect --format '{{.Created.Unix}}' "$own" ;;
    docker) date -d "$(docker image inspect --format '{{.Created}}' "$own")" +%s ;;
  esac 2>/dev/null || echo 0
}
if [ $(($(date +%s) - $(created))) -lt $((days * 86400)) ]; then
  echo "$own"
  exit
fi

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "no registry answers, and making the base image needs root and debootstrap" >&2
  exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
debootstrap --variant=minbase --include=ca-certificates,python3 bookworm "$root" \
  http://deb.debian.org/debian >&2
cat >"$root/etc/apt/sources.list" <<LIST
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
LIST
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" sh -eu -c 'apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y upgrade' >&2
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old "$root"/var/log/*.log "$root/etc/resolv.conf" \
  "$root"/usr/share/{info,locale,man}/*
find "$root/usr/share/doc" -type f ! -name copyright -delete
tar -C "$root" --numeric-owner -cf "$folder/root.tar" .
if [ "$tool" = buildah ]; then
  container=$(buildah from scratch)
  buildah add -q "$container" "$folder/root.tar" / >&2
  buildah commit -q --rm "$container" "$own" >&2
else
  "$tool" import -q "$folder/root.tar" "$own" >&2
fi
echo "$own"
