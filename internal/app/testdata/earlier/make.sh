#!/bin/sh
# Makes the archives of this folder: a house of one version, stopped with people
# inside a journey. `make.sh RAPPORT OUT [DATABASE]` needs the binary of that
# version, curl, and an empty database for PostgreSQL's, of which the archive
# then holds pg_dump's `--no-owner --inserts` without its SET and SELECT lines.
# An archive is never made again: it is what that version has left behind.
set -eu
rapport=$1; out=$2; db=${3:-}
rm -rf "$out"; mkdir "$out"
$rapport init "$out/config" >/dev/null
sed -i 's/^  # - wait: 2d$/  - wait: 3650d\n  - send: welcome/' "$out/config/journeys/welcome.yaml"
export RAPPORT_DATABASE=$db
$rapport serve --config "$out/config" --data "$out/data" --listen 127.0.0.1:8471 --admin "" >"$out/log" 2>&1 &
pid=$!
for i in $(seq 100); do curl -sf http://127.0.0.1:8471/readyz >/dev/null && break; sleep 0.1; done
export RAPPORT_DATA=$out/data RAPPORT_URL=http://127.0.0.1:8471
KEY=$($rapport key create --kind ingest --source server --json | grep -o 'rpk_[a-z0-9]*')
post() { curl -sf -u "$KEY:" "http://127.0.0.1:8471$1?wait=processed" -d "$2" >/dev/null; }
for n in 1 2 3 4 5; do
  post /v1/identify "{\"messageId\":\"i$n\",\"userId\":\"u$n\",\"traits\":{\"email\":\"u$n@shop.example\",\"first_name\":\"Ann\",\"plan\":\"pro\"},\"context\":{\"consent\":{\"categoryPreferences\":{\"marketing\":true}}}}"
  post /v1/track "{\"messageId\":\"p$n\",\"userId\":\"u$n\",\"event\":\"Product Viewed\",\"properties\":{\"sku\":\"K-$n\"}}"
  for o in 1 2 3; do post /v1/track "{\"messageId\":\"o$n-$o\",\"userId\":\"u$n\",\"event\":\"Order Completed\",\"properties\":{\"total\":$o$n.5}}"; done
  post /v1/track "{\"messageId\":\"s$n\",\"userId\":\"u$n\",\"event\":\"Signed Up\"}"
done
post /v1/track '{"messageId":"a1","anonymousId":"device-1","event":"Product Viewed"}'
post /v1/identify '{"messageId":"a2","anonymousId":"device-1","userId":"u1"}'
curl -sf -u "$KEY:" "http://127.0.0.1:8471/v1/track" -d '{"userId":"u1"}' >/dev/null || true
sleep 2
curl -sf -H "Authorization: Bearer $(cat $out/data/manage.key)" http://127.0.0.1:8471/v1/status
kill -TERM $pid; wait $pid || true
