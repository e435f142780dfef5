#!/bin/sh
# Makes archives of this folder: a house of one version, stopped with people
# inside a journey, and what that version said of them.
#
#   sh make.sh SCHEMA COMMIT SERVER
#
# builds the version of a commit and lets it serve twice, over files and over an
# empty database of SERVER (postgres://USER@HOST:PORT, whose user may make
# databases). It leaves files-SCHEMA.tar.gz and postgres-SCHEMA.tar.gz beside
# itself, the database as pg_dump writes it without what only psql understands.
# said.jsonl holds answers of the version's own API, a line each. It needs git,
# go, curl, psql and pg_dump.
#
#   schema  commit   the newest version with that number; what a migration behind it meets
#        1  fc36a62  made by the first form of this script, without said.jsonl
#        3  e988f77  aside rows (4); people, mails, permission of all later ones
#        6  ced19f5  groups (5), mails in two stories (6)
#        8  0976a1b  destinations and what waits for them (8); ledger and held (9)
#       10  ec20ae1  sealed; records with their facts, notices, opt-ins (9); before rights (11)
#       11  7d0c67c  somebody erased, and a request that is open
#
# An archive is never made again: it is what that version has left behind.
set -eu
schema=$1 commit=$2 server=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; git -C "$here" worktree remove --force "$work/source" 2>/dev/null; rm -rf "$work"' EXIT
git -C "$here" worktree add --detach "$work/source" "$commit" >/dev/null 2>&1
(cd "$work/source" && CGO_ENABLED=0 go build -o "$work/rapport" ./cmd/rapport)
address=http://127.0.0.1:8471

# configure writes the folder: two journeys with mails, two that chase each other
# until what began it is set aside, and somebody to be told who never answers.
configure() {
  "$work/rapport" init "$1" >/dev/null
  sed -i 's/^  # - wait: 2d$/  - wait: 3650d\n  - send: welcome/' "$1/journeys/welcome.yaml"
  mkdir "$1/templates/receipt"
  printf 'subject: "Your order of {{ trigger.total | default: 0 }}"\npurpose: service\n' >"$1/templates/receipt/template.yaml"
  printf '<p>Thank you, {{ person.first_name | default: "and hello" }}.</p>\n' >"$1/templates/receipt/body.html"
  printf 'trigger: {event: Order Completed, if: {did: Order Completed, count: {min: 3}}}\npurpose: service\nsteps: [{send: receipt}]\n' >"$1/journeys/receipt.yaml"
  for lamp in lit dark; do
    other=$([ $lamp = lit ] && echo dark || echo lit)
    printf 'rule: {trait: lamp, is: %s}\n' $lamp >"$1/segments/$lamp.yaml"
    printf 'trigger: {enters: %s}\npurpose: service\nreentry: always\nsteps: [{set: {lamp: %s}}]\n' $lamp $other >"$1/journeys/$lamp.yaml"
  done
  if [ "$schema" -ge 8 ]; then
    mkdir -p "$1/destinations"
    printf 'kind: webhook\nurl: http://127.0.0.1:9/in\nprivate: true\npurpose: service\nsecrets: env:AWAY_SECRET\nevents: all\nsegments: all\n' >"$1/destinations/away.yaml"
  fi
}

post() { curl -sSf -u "$KEY:" "$address$1?wait=processed" -d "$2" >/dev/null; }
manage() { curl -sSf -H "Authorization: Bearer $MANAGE" -H 'Content-Type: application/json' -H "Idempotency-Key: $1" "$address$2" -d "$3" >/dev/null; }
said() {
  answer=$(curl -sSf -H "Authorization: Bearer $MANAGE" "$address$1")
  printf '{"path":"%s","answer":%s}\n' "$1" "$answer" >>"$out/said.jsonl"
}
yes='"context":{"consent":{"categoryPreferences":{"marketing":true}}}'

# live lets people do things.
live() {
  for n in 1 2 3 4 5; do
    post /v1/identify "{\"messageId\":\"i$n\",\"userId\":\"u$n\",\"traits\":{\"email\":\"u$n@shop.example\",\"first_name\":\"Ann\",\"plan\":\"pro\"},$yes}"
    post /v1/track "{\"messageId\":\"p$n\",\"userId\":\"u$n\",\"event\":\"Product Viewed\",\"properties\":{\"sku\":\"K-$n\"}}"
    for o in 1 2 3; do post /v1/track "{\"messageId\":\"o$n-$o\",\"userId\":\"u$n\",\"event\":\"Order Completed\",\"properties\":{\"total\":$o$n.5}}"; done
    post /v1/track "{\"messageId\":\"s$n\",\"userId\":\"u$n\",\"event\":\"Signed Up\"}"
  done
  post /v1/track '{"messageId":"a1","anonymousId":"device-1","event":"Product Viewed"}'
  post /v1/identify '{"messageId":"a2","anonymousId":"device-1","userId":"u1"}'
  curl -s -u "$KEY:" "$address/v1/track" -d '{"userId":"u1"}' >/dev/null # It has no name, and is refused.
  post /v1/track '{"messageId":"n1","userId":"nowhere","event":"Order Completed","properties":{"total":1}}'
  for o in 2 3; do post /v1/track "{\"messageId\":\"n$o\",\"userId\":\"nowhere\",\"event\":\"Order Completed\",\"properties\":{\"total\":$o}}"; done
  post /v1/identify '{"messageId":"l1","userId":"lamp","traits":{"lamp":"lit"}}'
  manage no /v1/consent '{"subject":"user_id:u5","purpose":"marketing.newsletter","state":"withdrawn"}'
  manage stop /v1/suppressions '{"email":"u4@shop.example","reason":"manual"}'
  if [ "$schema" -ge 5 ]; then
    for n in 1 2; do post /v1/group "{\"messageId\":\"g$n\",\"userId\":\"u$n\",\"groupId\":\"firm\",\"traits\":{\"name\":\"Firm\",\"size\":$n}}"; done
  fi
  if [ "$schema" -ge 6 ]; then # a device of somebody else's, which has mails of the time together
    post /v1/identify "{\"messageId\":\"b1\",\"userId\":\"u6\",\"traits\":{\"email\":\"u6@shop.example\",\"first_name\":\"Eve\"},$yes}"
    post /v1/identify '{"messageId":"b2","anonymousId":"bob-2","userId":"u6"}'
    post /v1/track '{"messageId":"b3","anonymousId":"bob-2","event":"Signed Up"}'
    sleep 1
    manage part /v1/people/user_id:u6/unmerge '{"identifiers":[{"kind":"anonymous_id","value":"bob-2"}],"reason":"one device"}'
  fi
  if [ "$schema" -ge 9 ]; then
    manage fact /v1/consent '{"subject":"user_id:u3","purpose":"marketing.newsletter","state":"granted","form":"footer","url":"https://shop.example/footer"}'
    manage ask /v1/consent/confirm '{"email":"new@shop.example","purposes":["marketing.newsletter"]}'
  fi
  if [ "$schema" -ge 11 ]; then
    post /v1/identify '{"messageId":"e1","userId":"gone","traits":{"email":"gone@shop.example"}}'
    manage erase /v1/people/user_id:gone/erase '{"law":"gdpr"}'
    manage open /v1/requests '{"person":"user_id:u1","kind":"export","law":"gdpr"}'
  fi
  sleep 2
}

# told asks for what the version itself says.
told() {
  for who in user_id:u1 user_id:u2 user_id:u3 user_id:u4 user_id:u5 user_id:nowhere; do asked $who; done
  [ "$schema" -lt 6 ] || for who in user_id:u6 anonymous_id:bob-2; do asked $who; done
  for m in $(curl -sSf -H "Authorization: Bearer $MANAGE" "$address/v1/messages?limit=200" | grep -o 'msg_[0-9a-z]*' | sort -u); do said "/v1/messages/$m"; done
  for path in /v1/status /v1/set-aside /v1/rejected /v1/segments /v1/violations; do said $path; done
  [ "$schema" -lt 8 ] || said /v1/destinations/away
  [ "$schema" -lt 11 ] || said /v1/requests
  [ "$schema" -lt 9 ] || { said '/v1/consent?subject=user_id:u3'; said /v1/notices; }
}

asked() {
  said "/v1/people/$1"
  said "/v1/people/$1/events?limit=200"
  said "/v1/messages?limit=200&person=$1"
}

# house makes one archive: house NAME DATABASE, the database empty for files.
house() {
  out=$work/$1
  mkdir "$out"
  configure "$out/config"
  export RAPPORT_DATABASE="$2" RAPPORT_DATA="$out/data" RAPPORT_URL=$address
  AWAY_SECRET=whsec_dGhpcy1pcy1uby1zZWNyZXQtYnV0LXRoaXJ0eS10d28= \
    "$work/rapport" serve --config "$out/config" --listen 127.0.0.1:8471 --admin "" >"$out/log" 2>&1 &
  pid=$!
  for _ in $(seq 100); do curl -sf $address/readyz >/dev/null && break; sleep 0.1; done
  KEY=$("$work/rapport" key create --kind ingest --source server --json | grep -o 'rpk_[a-z0-9]*')
  MANAGE=$(cat "$out/data/manage.key")
  live
  told
  kill -TERM $pid
  wait $pid
  pid=
  rm -f "$out/data/lock"
  mv "$out/said.jsonl" "$out/data"
  if [ -n "$2" ]; then
    pg_dump --no-owner --inserts "$2" | grep -Ev '^(SET .*;|SELECT pg_catalog\..*;|\\(un)?restrict .*)$' >"$out/data/dump.sql"
    made=$(psql -Atc 'SELECT n FROM rapport_state.schema_version' "$2")
    [ "$made" = "$schema" ] || { echo "the schema of $commit has number $made" >&2; exit 1; }
  fi
  tar --owner=root --group=root -C "$out/data" -czf "$here/$1-$schema.tar.gz" .
}

house files ""
psql -qc "CREATE DATABASE earlier_$schema" "$server/postgres"
house postgres "$server/earlier_$schema"
psql -qc "DROP DATABASE earlier_$schema" "$server/postgres"
ls -l "$here"
