# The targets people type. Each works from a clean clone with Go 1.26 or newer;
# `make test` installs what else it needs.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
GOLANGCI := $(shell go env GOPATH)/bin/golangci-lint
# How often the product is killed: see docs/adr for what must survive.
ROUNDS ?= 1000

export CGO_ENABLED := 0

.PHONY: help demo build docs test tools lint unit whole bench torture fuzz clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a shop with visitors and mails, to look around in
	go run ./cmd/rapport demo

build: ## bin/rapport, one static binary
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/rapport ./cmd/rapport

docs: ## docs/reference, from the code
	UPDATE_DOCS=1 go test -count 1 -run 'TestReference$$' ./cmd/rapport

test: tools lint unit whole ## everything; installs what is missing

tools: ## install what the tests check against
	sh scripts/install-test-tools.sh

lint: ## formatting, vet, linters, the plan of the house
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	go mod tidy -diff
	go vet ./...
	$(GOLANGCI) run ./...
	go test ./internal/archtest

unit: ## every room with the race detector, and the commands, which run the rooms as servers, without
	CGO_ENABLED=1 go test -race -timeout 15m ./examples/... ./internal/...
	go test -timeout 15m ./cmd/...
	RAPPORT_TEST_STORE=postgres go test -timeout 10m ./internal/processor ./internal/api/public

whole: ## the true binary: SDKs, a browser, kills, faults; and a year and a half of purchases
	go test -timeout 15m -run CDNOW ./internal/app
	go test -timeout 15m -p 1 ./bench ./test/...

bench: ## the figures of the README, on this machine
	go run ./cmd/rapport bench
	go test -run '^$$' -bench . -benchmem ./internal/...

torture: ## kill it again and again: ROUNDS=1000
	RAPPORT_ROUNDS=$(ROUNDS) go test -count 1 -timeout 24h -p 1 -run 'Killed|Power|FullDisk|Damaged|Promises' \
	  ./bench ./internal/app ./internal/sim ./internal/store/sqlitestore

fuzz: ## each parser of foreign bytes for twenty seconds
	sh scripts/fuzz.sh 20s

clean: ## remove what was built
	rm -rf bin
