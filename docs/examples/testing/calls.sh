#!/usr/bin/env bash
# A test in shell: a server of its own, a call, and what is told of it. Needs hookswitch in PATH, and nothing else.
set -euo pipefail

work=$(mktemp -d)
hookswitch serve --ephemeral --ready-file "$work/ready.json" > "$work/server.json" &
server=$!
trap 'kill "$server" 2> /dev/null || true; wait "$server" || true; rm -rf "$work"' EXIT
for _ in $(seq 300); do
  [ -e "$work/ready.json" ] && break
  sleep 0.1
done

# Who is told, and of what: the first two ends of calls.
hookswitch listen --login "$work/ready.json" --format json --count 2 \
  --filter '/restapi/v1.0/account/~/telephony/sessions?statusCode=Disconnected' \
  > "$work/told.json" 2> "$work/listen.log" &
listener=$!
until grep -q listening "$work/listen.log"; do sleep 0.1; done

hookswitch trigger missed --from +4930123456 --to 102 --login "$work/ready.json"
wait "$listener"
grep -q '"missedCall":true' "$work/told.json"
grep -q '"reason":"NoAnswer"' "$work/told.json"
grep -q '"phoneNumber":"+4930123456"' "$work/told.json"
echo "the missed call was told"
