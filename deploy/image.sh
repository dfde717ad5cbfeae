#!/usr/bin/env bash
# Builds the images of deploy/Containerfile from the newest Bento: `make image`.
#   TOOL    buildah, podman or docker; default: the first that works
#   BASE    the image to build upon; default: as deploy/base-image.sh finds it
#   TORCH   cpu, or cuda: the build of torch that pip's configuration leads to (docs/container.md)
#   IMAGES  targets of the Containerfile; default: both
#   TAG     of the images; default: latest
#   CONTEXT a context that was laid out before; default: one of a new Bento, in build/image
# Wheels are fetched here, by this machine's pip and its configuration, so that the build needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
pip=pip==26.0 # installs the wheels in the image's builder
torch=${TORCH:-cpu}
images=${IMAGES:-service service-without-torch}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pat-service
tag=${TAG:-latest}
context=${CONTEXT:-$PWD/build/image}

works() { case $1 in docker) docker info ;; *) command -v "$1" ;; esac >/dev/null 2>&1; }
tool=${TOOL:-}
for one in buildah podman docker; do [ -n "$tool" ] || ! works "$one" || tool=$one; done
[ -n "$tool" ] || { echo "expected buildah, podman or docker, found none that works" >&2; exit 1; }
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot} # works in a container and for who is not root

wheels() {
  local key folder
  key=$( { echo "$pip $torch $(uname -m)"; cat constraints.txt; } | sha256sum | cut -c1-16)
  folder=$cache/wheels-$key
  if [ ! -e "$folder/complete" ]; then
    rm -rf "$folder"
    local fetch=("$bin/pip" download -qq --disable-pip-version-check --only-binary=:all: --implementation cp
      --python-version 3.11 --platform "manylinux_2_28_$(uname -m)" --platform "manylinux_2_17_$(uname -m)"
      --platform "manylinux2014_$(uname -m)" -d "$folder")
    # Every pin, whatever its condition says of this machine's Python; the image's may differ.
    "${fetch[@]}" --no-deps "$pip" -r <(sed 's/;.*//' constraints.txt) >&2
    # A CUDA build of torch asks for packages that the pins, which are the CPU build's, do not name.
    [ "$torch" = cpu ] || "${fetch[@]}" -c constraints.txt torch >&2
    touch "$folder/complete"
  fi
  echo "$folder"
}

lay_out() {
  local bento
  bento=$("$bin/bentoml" build --output tag)
  rm -rf "$context"
  mkdir -p "$context"
  "$bin/bentoml" export "${bento#__tag__:}" "$context/pat.bento" >/dev/null
  tar -C "$context" -xf "$context/pat.bento"
  rm "$context/pat.bento"
  mkdir "$context/wheels"
  cp -l "$(wheels)"/*.whl "$context/wheels" 2>/dev/null || cp "$(wheels)"/*.whl "$context/wheels"
}

build() {
  local command=(build) name=$1 model weights
  [ "$tool" = docker ] || command=(build --layers)
  model=$(echo "$context"/models/*/*/model.yaml)
  weights=${model#"$context"/models/} weights=${weights%/model.yaml}
  "$tool" "${command[@]}" -f deploy/Containerfile --target "$name" --tag "localhost/pat-$name:$tag" \
    --build-arg BASE="$base" --build-arg TORCH="$torch" \
    --build-arg CHECKPOINT="${weights/\//:}" \
    --build-arg CHECKPOINT_SHA256="$(sed -n 's/^ *sha256: *//p' "$model")" \
    --label org.opencontainers.image.title=pat-service \
    --label org.opencontainers.image.licenses=Apache-2.0 \
    --label org.opencontainers.image.revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    "$context"
}

base=${BASE:-$(deploy/base-image.sh "$tool")}
[ -n "${CONTEXT:-}" ] || lay_out
for image in $images; do build "$image"; done
