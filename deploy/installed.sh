#!/bin/sh
# Prints the Python packages of an image as pins, by looking into it: deploy/installed.sh IMAGE
set -eu
case ${TOOL:-buildah} in
  buildah) tool=$(command -v podman || command -v docker) ;;
  *) tool=$TOOL ;;
esac
exec "$tool" run --rm --network none --ulimit nofile=4096:4096 --ulimit nproc=2000:2000 \
  --entrypoint python "${1:?expected an image}" -c '
from importlib.metadata import distributions
for name, version in sorted((d.metadata["Name"], d.version) for d in distributions()):
    print(f"{name}=={version}")'
