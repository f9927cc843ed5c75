# Nothing but Go and make is needed for build, test and demo; check also needs git, and race a C compiler.
# lint and vuln fetch their tools, pinned, through `go run`.

GO         ?= go
GOLANGCI   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULN     := golang.org/x/vuln/cmd/govulncheck@v1.1.4
NFPM       := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
SBOM       := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
FUZZTIME   ?= 20s
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

export CGO_ENABLED := 0

# The branch that a change is compared with by check.
BASE       ?= main
# Tests of one package that run side by side. Tests whose bound is in seconds are not parallel.
PARALLEL   ?= 6

# Stories start a cluster each: more at once than two cores can serve let its nodes miss each other's heartbeats.
PARALLEL_STORIES ?= 4

# The slowest tests, each as "package:Name" in .ci/stories: a cluster is moved, rolled back, moved again. .ci/run runs them too.
STORIES        := $(shell cut -d: -f2 .ci/stories | paste -sd'|' -)
STORY_PACKAGES := $(shell cut -d: -f1 .ci/stories | sort -u | sed 's|^|./|')

.PHONY: build check test stories race lint vuln demo screenshots bench fuzz nemesis compat foreign alerts dist dist-check archive-check dist-story check-static clean

# Without -buildvcs=false the embedded server tells everybody who connects the revision of this repository as its own.
build:
	$(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/unibusd ./cmd/unibus-tui

# Before a commit, in under a minute on two cores with a warm cache: build, vet, lint of the packages that
# differ from BASE, and the tests that need neither several nodes nor many rows.
check:
	$(GO) build ./...
	$(GO) vet -tags nemesis ./...
	@GO='$(GO)' sh .ci/lint-changed '$(BASE)' $(GOLANGCI)
	$(GO) test -short -vet=off -parallel 8 -timeout 120s ./...

# All tests but those of stories, nemesis, foreign, compat and fuzz. -timeout is for one package. Without the debugger's tables the test
# binaries are linked in half the time.
test:
	$(GO) test -parallel $(PARALLEL) -timeout 480s -vet=off -ldflags '-s -w' -skip '^($(STORIES))$$' ./...

stories:
	$(GO) test -parallel $(PARALLEL_STORIES) -timeout 480s -vet=off -ldflags '-s -w' -run '^($(STORIES))$$' $(STORY_PACKAGES)

# All tests of "test" and "stories" under the race detector, one package after the other. It needs a C compiler.
race:
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "race: needs a C compiler, and $$($(GO) env CC) is missing (Debian: apt-get install gcc libc6-dev)" >&2; exit 2; }
	CGO_ENABLED=1 $(GO) test -race -p 1 -timeout 1800s ./...

lint:
	$(GO) vet -tags nemesis ./...
	$(GO) run $(GOLANGCI) run --timeout 10m

# The database of vulnerabilities is on the network; where it cannot be reached, that is said and is no failure.
vuln:
	@GO='$(GO)' sh .ci/vuln $(GOVULN)

# Packages, archives, SBOMs and checksums in dist/. Needs git and coreutils.
dist:
	@GO='$(GO)' sh packaging/dist '$(VERSION)' $(NFPM) $(SBOM)

# Two builds compared, and the deb in a clean Debian root. Needs root.
dist-check:
	@GO='$(GO)' sh packaging/check '$(VERSION)' $(NFPM) $(SBOM)

# The tar.gz for amd64 built twice and compared, without root and without the network.
archive-check:
	@GO='$(GO)' sh packaging/check-archive '$(VERSION)' $(NFPM) $(SBOM)

# The operations pages, played by a stranger on hosts of their own: see packaging/story. Needs root; takes ten minutes.
dist-story:
	@GO='$(GO)' packaging/story '$(VERSION)' $(NFPM) $(SBOM)

demo: build
	bin/unibusd demo

# The alert rules of docs/monitoring against staged faults. Needs promtool, or Debian's apt-get to fetch it.
alerts:
	@GO='$(GO)' sh .ci/alerts

# Pictures of every page, from the real console on a real cluster.
# Needs Debian's librsvg2-bin and fonts-jetbrains-mono.
screenshots: build
	$(GO) run ./screenshots

# Ratios against a named peer in the same run; both sides take turns.
bench:
	$(GO) test -run '^$$' -bench ColdStart -benchtime 10x -timeout 10m ./cmd/unibusd
	$(GO) test -run '^$$' -bench Connects -benchtime 30x -timeout 10m ./core/bus
	$(GO) test -run '^$$' -bench OperatorsUnderFlood -benchtime 200x -timeout 10m ./core/bus
	$(GO) test -run '^$$' -bench Admission -benchtime 1s -count 5 -timeout 10m ./core/store/kv
	$(GO) test -run '^$$' -bench 'ControlRead$$' -benchtime 500x -timeout 10m ./core/store/kv
	$(GO) test -run '^$$' -bench ControlReadsOverTheWire -benchtime 10x -timeout 10m ./core/store/kv
	$(GO) test -run '^$$' -bench RoomsAndInvitations -benchtime 10x -timeout 10m ./core/store/kv
	$(GO) test -run '^$$' -bench Messages -benchtime 20x -timeout 20m ./core/client
	$(GO) test -run '^$$' -bench SignedInvitations -benchtime 10x -timeout 10m ./core/store/kv
	$(GO) test -run '^$$' -bench RekeyOfAThousand -benchtime 10x -timeout 10m ./core/client
	$(GO) test -run '^$$' -bench JoinALongChain -benchtime 5x -timeout 10m ./core/client
	@command -v etcd >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends etcd-server; }
	$(GO) test -run '^$$' -bench Idle -benchtime 1x -timeout 10m ./cmd/unibusd
	$(GO) test -run '^$$' -bench 'UserWrites|ReplicatedPublish' -benchtime 10x -timeout 10m ./cmd/unibusd
	$(GO) test -run '^$$' -bench Observation -benchtime 200x -timeout 10m ./core/node
	$(GO) test -run '^$$' -bench 'Scrape$$|ScrapeOfManyUsers' -benchtime 200x -timeout 10m ./core/node
	$(GO) test -run '^$$' -bench NodeConnects -benchtime 30x -timeout 10m ./core/node
	$(GO) test -run '^$$' -bench Growth -benchtime 1x -timeout 30m ./core/node
	$(GO) test -run '^$$' -bench Revocation -benchtime 1x -timeout 10m ./core/node
	$(GO) test -run '^$$' -bench 'CopyAgainstBareBatches|Verify' -benchtime 10x -timeout 20m ./core/store/kv
	$(GO) test -run '^$$' -bench 'Move$$' -benchtime 4x -timeout 30m ./core/node -copy-rows 200000
	$(GO) test -run '^$$' -bench 'Move$$' -benchtime 4x -timeout 30m ./core/node -copy-rows 50000
	$(GO) test -run '^$$' -bench ScheduledBackup -benchtime 1x -timeout 30m ./core/node -copy-rows 200000
	$(GO) test -run '^$$' -bench Fence -benchtime 3x -timeout 30m ./cmd/unibusd
	$(GO) test -run '^$$' -bench MoveMemory -benchtime 1x -timeout 30m ./cmd/unibusd
	$(GO) test -run '^$$' -bench MoveMemory -benchtime 1x -timeout 30m ./cmd/unibusd -move-rows 200000
	$(GO) test -run '^$$' -bench ConsoleFirstFrame -benchtime 20x -timeout 10m ./cmd/unibus-tui
	$(GO) test -run '^$$' -bench ConsoleKey -benchtime 500x -timeout 10m ./cmd/unibus-tui
	$(GO) test -run '^$$' -bench ConsoleIdle -benchtime 1x -timeout 10m ./cmd/unibus-tui
	@dir=$$(mktemp -d) && GOBIN="$$dir" $(GO) install github.com/nats-io/natscli/nats@v0.3.0; \
		PATH="$$dir:$$PATH" $(GO) test -run '^$$' -bench ConsoleStatus -benchtime 20x -timeout 10m ./cmd/unibus-tui; rm -rf "$$dir"

# Every fuzz target of the module in turn, FUZZTIME each.
fuzz:
	@GO='$(GO)' sh .ci/fuzz $(FUZZTIME)

# Real processes under real faults, each node in a network of its own. Needs Linux, root and Debian's iproute2
# and strace, which are installed where they are missing and apt-get is there. A test that cannot run fails.
nemesis: build
	@{ command -v ip && command -v strace; } >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends iproute2 strace; }
	$(GO) test -tags nemesis -count 1 -v -timeout 120m ./core/nodetest/nemesis/...
	$(GO) test -count 1 -timeout 20m -run 'TestConsole' ./cmd/unibus-tui -endings 20 -random-keys 1m
	$(GO) test -count 1 -timeout 20m -run 'TestClusterBootstrap|TestClusterSurvives' ./cmd/unibusd -bootstraps 20 -kill-writes 500
	@GO='$(GO)' sh .ci/foreign 1m
	$(MAKE) compat

# The release before beside this one, as real processes. PREVIOUS is its commit or tag: the newest tag, else the last
# commit before users with an end were rows of a version of their own. EARLIER_CLIENT is the last commit whose core/seal
# knows no statements of a room's members: a program with its core/client takes part in a room whose members sign.
PREVIOUS       ?= $(or $(shell git describe --tags --abbrev=0 2>/dev/null),5d815bc)
EARLIER_CLIENT ?= 8c350343
compat:
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git archive $(PREVIOUS) | tar -x -C "$$dir" && \
		(cd "$$dir" && $(GO) build -buildvcs=false -ldflags '-X main.version=$(PREVIOUS)' -o unibusd.previous ./cmd/unibusd) && \
		$(GO) test -count 1 -timeout 10m -run TestPreviousRelease -v ./cmd/unibusd -previous "$$dir/unibusd.previous"
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git archive $(EARLIER_CLIENT) | tar -x -C "$$dir" && \
		cp -r cmd/unibusd/testdata/earlier_client "$$dir/cmd/" && (cd "$$dir" && $(GO) build -buildvcs=false -o client ./cmd/earlier_client) && \
		$(GO) test -count 1 -timeout 10m -run TestEarlierClient -v ./cmd/unibusd -earlier-client "$$dir/client"

# The npm packages of NATS and the nats CLI, pinned, against the bus and through outages; skipped, and said so, where one
# cannot be had. In nemesis the majority is lost for a minute, and the packages have all options of their own.
foreign:
	@GO='$(GO)' sh .ci/foreign

# The binaries run on any Linux of their architecture: nothing is linked at run time.
check-static: build
	@for b in bin/unibusd bin/unibus-tui; do \
		$(GO) version -m $$b | grep -q 'CGO_ENABLED=0' || { echo "$$b was built with cgo"; exit 1; }; \
		if ldd $$b >/dev/null 2>&1; then echo "$$b is linked dynamically"; exit 1; fi; \
		echo "$$b is static"; \
	done

clean:
	rm -rf bin
