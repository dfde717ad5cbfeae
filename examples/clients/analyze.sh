#!/bin/sh
# Analyse a recording with curl: analyze.sh [URL [FILE]].
# ACCESS_TOKEN in the environment is sent along, for a service that identifies its callers.
set -eu
url=${1:-http://127.0.0.1:3000}
file=${2:-$(dirname "$0")/../week.json}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# The token goes to curl's standard input: what stands on a command line is seen by every user of the machine.
status=$(
  printf '%s' "${ACCESS_TOKEN:+header = \"Authorization: Bearer $ACCESS_TOKEN\"}" |
    curl --silent --show-error --config - --max-time 60 --output "$answer" --write-out '%{http_code}' \
      --header 'Content-Type: application/json' --data-binary "@$file" "$url/analyze"
)

if [ "$status" != 200 ]; then # a problem body: {"status": 422, "code": "unknown_unit", "detail": ...}
  cat "$answer" >&2
  exit 1
fi

# Without jq, what stands between "rhythm" and "weeks". With it, the medians of sleep as well:
# jq -r '.sleep.metrics[] | [.code, .value, .unit] | @tsv' "$answer"
sed 's/.*"rhythm":{//; s/"weeks":.*//' "$answer" |
  grep -o '"code":"[a-z_0-9]*","kind":"[a-z_]*","value":[^,]*,"unit":"[^"]*"' |
  sed 's/"code":"\([a-z_0-9]*\)".*"value":\([^,]*\),"unit":"\([^"]*\)"/\1 \2 \3/'
