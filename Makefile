# itrstream's commands; CI (.ci/run) calls only these. `make` alone lists them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO     ?= go
PYTHON ?= python3
CACHE  := $(CURDIR)/.cache
VENV   := $(CACHE)/venv
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Raising the linter? Any v2 that builds with go.mod's Go.
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(CACHE)/tools/golangci-lint-$(GOLANGCI_VERSION)

PARITY := $(CACHE)/parity

# Raising it? Any version that builds with go.mod's Go.
GOVULNCHECK_VERSION := v1.9.0
VULNDB ?= https://vuln.go.dev

# Raising one? Any version that builds with go.mod's Go; charts/checks/requirements.txt has what comes from PyPI.
HELM_VERSION        := v3.22.0
KUBECONFORM_VERSION := v0.8.0
HELM_DOCS_VERSION   := v1.14.2
# The oldest that the chart is for, and two in use.
KUBERNETES_VERSIONS := 1.30.0 1.34.0 1.37.0

HELM        := $(CACHE)/tools/helm-$(HELM_VERSION)
KUBECONFORM := $(CACHE)/tools/kubeconform-$(KUBECONFORM_VERSION)
HELM_DOCS   := $(CACHE)/tools/helm-docs-$(HELM_DOCS_VERSION)

KAFKA_POM  := connectors/kafka/kafkatest/pom.xml
KAFKA_LIBS := $(CACHE)/kafka-libs

# Fetches ONNX Runtime unless it is there, and tells programs where; the script has the details.
WITH_ONNXRUNTIME = ITRSTREAM_ONNXRUNTIME="$$(model/runtime/fetch-onnxruntime.sh)"; export ITRSTREAM_ONNXRUNTIME;

# libjpeg-turbo decodes plain JPEGs where its headers are, to the same pixels as the Go decoder but for damaged files
# (model/pixels). Make with TURBO= for builds and tests in Go alone.
TURBO ?= $(shell pkg-config --exists libjpeg 2>/dev/null && \
	cc $$(pkg-config --cflags libjpeg) -fsyntax-only -x c model/pixels/internal/turbo/decode.h 2>/dev/null && echo libjpegturbo)
ifneq ($(TURBO),)
export GOFLAGS := $(strip $(GOFLAGS) -tags=$(TURBO))
endif

FUZZTIME ?= 20s

# The packages whose tests hold a line that begins like the pattern $(1).
packages_with = $$(grep -rl --include='*_test.go' $(1) pipeline connectors stages model schemas | xargs -n1 dirname | sort -u | sed 's|^|./|')

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## fetch ONNX Runtime, build, and see the demo: posts labelled on embedded services
	@$(WITH_ONNXRUNTIME) bin/itrstream demo

.PHONY: build
build: ## build bin/itrstream
	$(GO) build -ldflags '-X main.version=$(VERSION)' -o bin/ ./pipeline/cmd/itrstream

.PHONY: lint
lint: $(GOLANGCI) ## formatting, vet and the rules of .golangci.yml
	$(GOLANGCI) run ./...
	cd charts/checks && $(GOLANGCI) run ./...

# The linter is rebuilt only when its version changes; building it takes three minutes on two cores.
$(GOLANGCI):
	GOBIN=$(CACHE)/tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(CACHE)/tools/golangci-lint $@

# Together, test and test-real run every test: those against real servers are called TestReal… and are the only ones that
# -short leaves out.
.PHONY: test
test: ## all tests that need nothing but this checkout, end to end on embedded services included
	$(WITH_ONNXRUNTIME) $(GO) test -short ./...

.PHONY: test-pixels
test-pixels: ## the tests of image decoding in Go alone, which make test runs with libjpeg-turbo where that is
	$(GO) test -tags= ./model/pixels/...

.PHONY: test-real
test-real: $(KAFKA_LIBS)/fetched ## end to end on Apache Kafka and redis-server, which the tests start and stop themselves
	@for program in java redis-server kcat; do command -v $$program >/dev/null || { \
		echo "test-real needs $$program: apt-get install default-jre-headless redis-server kcat" >&2; exit 1; }; done
	$(WITH_ONNXRUNTIME) ITRSTREAM_KAFKA_LIBS=$(KAFKA_LIBS) $(GO) test -run '^TestReal' $(call packages_with,'^func TestReal')

$(KAFKA_LIBS)/fetched: $(KAFKA_POM)
	@command -v mvn >/dev/null || { echo "test-real fetches Kafka's jars by Maven: apt-get install maven" >&2; exit 1; }
	rm -rf $(KAFKA_LIBS)
	mvn -q -B -Dstyle.color=never -f $(KAFKA_POM) dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(KAFKA_LIBS)
	touch $@

# Only what the fast tests need; test-training runs those that want PyTorch.
.PHONY: test-python
test-python: $(VENV)/installed ## lint and formatting of the Python code, and its tests that need no PyTorch
	cd model && for command in 'check' 'format --check'; do \
		$(VENV)/bin/python -m ruff $$command -q --config pyproject.toml . ../pipeline/bench/peer_python; done
	cd model && $(VENV)/bin/python -m pytest -q

$(VENV)/installed: model/pyproject.toml
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e 'model[test]'
	touch $@

CRASHES ?= 200
SEED    ?= 0

.PHONY: crash
crash: ## break workers, broker, Redis and connections CRASHES (200) times, by the plan of SEED (0: any), and count what is wrong
	@command -v redis-server >/dev/null || { echo "crash needs redis-server: apt-get install redis-server" >&2; exit 1; }
	$(WITH_ONNXRUNTIME) $(GO) run ./pipeline/crash --crashes $(CRASHES) --seed $(SEED)

.PHONY: crash-real
crash-real: CRASHES = 50
crash-real: $(KAFKA_LIBS)/fetched ## the same on Apache Kafka, 50 times
	@for program in java redis-server; do command -v $$program >/dev/null || { \
		echo "crash-real needs $$program: apt-get install default-jre-headless redis-server" >&2; exit 1; }; done
	$(WITH_ONNXRUNTIME) ITRSTREAM_KAFKA_LIBS=$(KAFKA_LIBS) $(GO) run ./pipeline/crash --crashes $(CRASHES) --seed $(SEED) --real

.PHONY: mutants
mutants: ## plant faults by hand, one at a time, and see that tests notice
	$(WITH_ONNXRUNTIME) $(GO) run ./pipeline/mutants

WITH_CHART_TOOLS = HELM=$(HELM) KUBECONFORM=$(KUBECONFORM) HELM_DOCS=$(HELM_DOCS) HADOLINT=$(CACHE)/chart/hadolint \
	KUBERNETES_SCHEMAS_STAMP=$(CACHE)/chart/kubernetes/installed ITRSTREAM=$(CURDIR)/bin/itrstream

.PHONY: chart
chart: build $(HELM) $(KUBECONFORM) $(HELM_DOCS) $(CACHE)/chart/kubernetes/installed ## render, lint and validate the Helm chart, images without an engine, compose file, alerts and dashboard
	cd charts/checks && $(GO) vet ./... && $(WITH_CHART_TOOLS) $(GO) test -count=1 -timeout 20m ./...

.PHONY: chart-golden
chart-golden: build $(HELM) $(KUBECONFORM) $(HELM_DOCS) $(CACHE)/chart/kubernetes/installed ## rewrite the chart's golden files, values' schema and README, and show what changed
	cd charts/checks && $(WITH_CHART_TOOLS) $(GO) test -run '^TestValuesSchemaIsCurrent$$' . -update
	cd charts/checks && $(WITH_CHART_TOOLS) $(GO) test -run '^(TestGolden|TestChartReadmeIsCurrent)$$' . -update
	@git --no-pager diff --stat -- charts

$(HELM):
	GOBIN=$(CACHE)/tools $(GO) install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)
	mv $(CACHE)/tools/helm $@

$(KUBECONFORM):
	GOBIN=$(CACHE)/tools $(GO) install github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM_VERSION)
	mv $(CACHE)/tools/kubeconform $@

$(HELM_DOCS):
	GOBIN=$(CACHE)/tools $(GO) install github.com/norwoodj/helm-docs/cmd/helm-docs@$(HELM_DOCS_VERSION)
	mv $(CACHE)/tools/helm-docs $@

$(CACHE)/chart/kubernetes/installed: charts/checks/install.sh charts/checks/requirements.txt
	PYTHON=$(PYTHON) charts/checks/install.sh $(CACHE)/chart $(KUBERNETES_VERSIONS)

.PHONY: race
race: ## the tests of make test under the race detector
	$(WITH_ONNXRUNTIME) $(GO) test -race -short ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s)
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' pipeline connectors stages model schemas | sed 's/func //' | while IFS=: read -r file target; do \
		echo "$$target in $$(dirname $$file)"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s ./$$(dirname $$file) || exit 1; done

# No part of CI, for it needs a database that not every machine reaches.
.PHONY: vuln
vuln: ## known vulnerabilities in what our code calls (needs the database VULNDB: vuln.go.dev)
	@status=0; \
	out=$$($(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) -db $(VULNDB) ./... 2>&1) || status=$$?; \
	echo "$$out"; \
	if grep -q 'fetching vulnerabilities' <<<"$$out"; then \
		echo "vuln: $(VULNDB) cannot be reached from here, so NOTHING WAS CHECKED: try elsewhere, or set VULNDB to a mirror" >&2; \
	fi; \
	exit $$status

.PHONY: golden
golden: ## rewrite the golden files that Go makes, and show what changed
	$(GO) test $(call packages_with,'^var update = flag') -update
	@git --no-pager diff --stat

.PHONY: bench
bench: $(KAFKA_LIBS)/fetched $(VENV)-bench/installed ## measure the pipeline beside its limit and its peers, in under 30 minutes; ARGS=--help lists what it takes
	@for program in java redis-server; do command -v $$program >/dev/null || { \
		echo "bench needs $$program: apt-get install default-jre-headless redis-server" >&2; exit 1; }; done
	$(WITH_ONNXRUNTIME) ITRSTREAM_KAFKA_LIBS=$(KAFKA_LIBS) $(GO) run ./pipeline/bench --python $(VENV)-bench/bin/python $(ARGS)

$(VENV)-bench/installed: pipeline/bench/peer_python/requirements.txt
	rm -rf $(VENV)-bench
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: bench-soak
bench-soak: ARGS = --only soak --repeat 1
bench-soak: bench ## memory while two large backlogs drain, and over an hour

.PHONY: bench-growth
bench-growth: ARGS = --only growth
bench-growth: bench ## rate and cost as partitions, workers, clusters and batches grow

.PHONY: bench-report
bench-report: ## write the figures of pipeline/bench/results into the pages and README
	$(GO) run ./pipeline/bench report

.PHONY: bench-go
bench-go: ## Go benchmarks of single packages
	$(WITH_ONNXRUNTIME) $(GO) test -run '^$$' -bench . -benchmem $(call packages_with,'^func Benchmark')

.PHONY: test-training
test-training: build ## tests of training, import and export: PyTorch, 5 GB
	$(PYTHON) -m venv $(VENV)-train
	$(VENV)-train/bin/python -m pip install --quiet --disable-pip-version-check -e 'model[train,ocr,test]'
	cd model && OMP_NUM_THREADS=1 $(VENV)-train/bin/python -m pytest -q tests/build tests/checkpoints tests/training

# Nothing is asked of Hugging Face's hub: the shards lie here.
.PHONY: test-dataset
test-dataset: build $(VENV)-dataset/installed ## a collected data set as datasets, pyarrow and DuckDB read it
	cd model && HF_HUB_OFFLINE=1 $(VENV)-dataset/bin/python -m pytest -q tests/dataset

$(VENV)-dataset/installed: model/pyproject.toml
	rm -rf $(VENV)-dataset
	$(PYTHON) -m venv $(VENV)-dataset
	$(VENV)-dataset/bin/python -m pip install --quiet --disable-pip-version-check -e 'model[dataset,test]'
	touch $@

.PHONY: parity
parity: build $(PARITY)/words/made $(VENV)-build/installed ## Hugging Face and PyTorch beside Go on three models in full size: PyTorch, 10 GB
	$(WITH_ONNXRUNTIME) $(VENV)-build/bin/python -m itr parity \
		--tokenizers $(PARITY)/words --itrstream bin/itrstream --out $(PARITY)/models

# BERT's vocabulary and CLIP's are the published ones; BERTweet's is in no package, so one of its size is trained.
$(PARITY)/words/made: model/tokenize/testdata/vocabularies.py | $(VENV)-build/installed
	rm -rf $(PARITY)
	mkdir -p $(PARITY)/words/bert
	cp model/tokenize/testdata/vocab.txt $(PARITY)/words/bert
	$(VENV)-build/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(PARITY) open_clip_torch==3.3.0
	$(VENV)-build/bin/python -m zipfile -e $(PARITY)/open_clip_torch-*.whl $(PARITY)/wheel
	$(VENV)-build/bin/python model/tokenize/testdata/vocabularies.py --merges 0 --out $(PARITY)/words \
		--clip $(PARITY)/wheel/open_clip/bpe_simple_vocab_16e6.txt.gz
	touch $@

.PHONY: model
model: $(VENV)-build/installed ## rebuild model/bundles/itr-mini from its ingredients: PyTorch, and up to 40 minutes
	$(VENV)-build/bin/python -m itr mini --cache $(CACHE)/itr --out model/bundles/itr-mini --force
	$(VENV)-build/bin/python -m itr verify model/bundles/itr-mini
	cd model && $(VENV)-build/bin/python -m pytest -q tests/pieces tests/build

$(VENV)-build/installed: model/pyproject.toml
	$(PYTHON) -m venv $(VENV)-build
	$(VENV)-build/bin/python -m pip install --quiet --disable-pip-version-check -e 'model[build,test]'
	touch $@
