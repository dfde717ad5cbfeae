#!/bin/sh
# The container's entry. BentoML's home is in memory, since the root is read-only; the weights in it are the image's.
set -eu
umask 077
mkdir -p "$BENTOML_HOME"
[ -e "$BENTOML_HOME/models" ] || ln -s /opt/pat/models "$BENTOML_HOME/models"
exec pat "$@"
