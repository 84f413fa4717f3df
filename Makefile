# Every command of the project. They run in .venv, which the first target that needs it builds from pyproject.toml and
# constraints.txt. A target names the variables it takes: make replay TASK=tallyqa OUT=runs/mine.

# Variables to set on the command line or in the environment. Where one is empty, the target that uses it has a default.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
OUT    ?=

TASK ?= realcqa
DATA ?=
URL  ?=
RUNS ?= $(wildcard runs/*/outcomes.jsonl)

WORKERS ?= 2
GROUP   ?=
SINCE   ?=
MINUTES ?=

SERVICE     ?= matcha
PROFILE     ?=
SET         ?=
VARIANT     ?=
# Without a Python that is new enough, install says so.
VARIANTS    ?= $(shell $(PYTHON) -m services.matcha.variants $(ARTIFACTS) 2>/dev/null)
SERVE_ENV   ?=
NNSIGHT_ENV ?=

WHEELS      ?=
CA          ?=
BUILD_FLAGS ?=

# Where things are.
BIN        := $(VENV)/bin
DEPLOY     := .venv-deploy
KERNEL     := services/matcha/attention/kernel.so
ARTIFACTS  := build/artifacts
RENDERED   := build/manifests
KUBERNETES := 1.33 1.35 1.37
# The folder that VARIANT is served from, by VARIANTS; empty for those made from the embedded weights while loading.
MODEL := $(if $(VARIANT),$(patsubst $(VARIANT)=%,%,$(filter $(VARIANT)=%,$(VARIANTS))))

# Repeated parts of recipes.
comma       := ,
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
WORKER_ENV  := GLIBC_TUNABLES=glibc.malloc.hugetlb=1 GOMP_SPINCOUNT=10000
COMPOSE      = docker compose --file docker/compose.yaml $(if $(MATCHA_MODEL),--file docker/compose.matcha-model.yaml) $(if $(QWEN_VL_MODEL),--file docker/compose.qwen-vl-model.yaml)
BUILD        = docker build $(BUILD_FLAGS) $(if $(WHEELS),--build-context wheels=$(WHEELS)) $(if $(CA),--secret id=ca$(comma)src=$(CA)) --build-arg REVISION=$(shell git rev-parse HEAD)
# --out if OUT is given, else the command's own default.
out_option   = $(if $(OUT),--out $(OUT))
# OUT, or a dated folder: $(call out_or_dated,report) is runs/20260131-120000-report.
out_or_dated = $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-$(1))
# RUNS as folders.
run_folders  = $(patsubst %/outcomes.jsonl,%,$(RUNS))
# Which model a service serves, and how.
served       = $(if $(MODEL),--model $(MODEL)) $(if $(VARIANT),--variant $(VARIANT))
overrides    = $(foreach change,$(SET),--set $(change))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ Start
.PHONY: help install demo clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(VENV)/installed $(KERNEL) ## Build .venv with everything (a few minutes, once)

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(KERNEL): services/matcha/attention/kernel.c services/matcha/attention/build.py | $(VENV)/installed
	@$(BIN)/python services/matcha/attention/build.py

demo: install ## Start both services on the embedded models, replay three samples, write a report (OUT=...)
	@$(BIN)/python -m clients.demo $(out_option)

clean: ## Remove everything that was built (not runs/)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

##@ Use
.PHONY: serve-matcha serve-qwen-vl replay report compare

serve-matcha: install $(filter $(ARTIFACTS)/%,$(MODEL)) ## Serve chart questions on 127.0.0.1:8000 (MODEL=id|folder VARIANT=...; settings: MATCHA_..., see --help)
	@$(BIN)/python -m services.matcha $(served)

serve-qwen-vl: install ## Serve image questions with the lens on 127.0.0.1:8001 (MODEL=id|folder VARIANT=...; settings: QWEN_VL_...)
	@$(BIN)/python -m services.qwen_vl $(served)

replay: install ## Replay a dataset against a running service (TASK=realcqa|tallyqa DATA=... URL=... OUT=...)
	@$(BIN)/python -m clients.replay run --task $(TASK) --data $(or $(DATA),clients/samples/$(TASK)) --url $(or $(URL),http://127.0.0.1:$(if $(filter tallyqa,$(TASK)),8001,8000)) --out $(call out_or_dated,$(TASK)) $(if $(filter tallyqa,$(TASK)),--lens)

report: install ## Write a report on run folders (RUNS="runs/a runs/b" OUT=...)
	@test -n "$(RUNS)" || { echo 'name the run folders: make report RUNS="runs/a runs/b"'; exit 2; }
	@$(BIN)/python -m clients.replay report $(run_folders) --out $(call out_or_dated,report)

compare: install ## Compare runs of one task with the first of them (RUNS="runs/a runs/b" OUT=...)
	@test -n "$(RUNS)" || { echo 'name the run folders: make compare RUNS="runs/a runs/b"'; exit 2; }
	@$(BIN)/python -m clients.replay compare $(run_folders) --out $(call out_or_dated,compare)

##@ Check
.PHONY: check fmt test mutants optimum-env chat-clients-env torch-free-env load-generators-env openapi-clients-env typescript-env

check: install ## Lint, format, types, import contracts: everything CI checks besides the tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fmt: install ## Format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Two at a time, however many cores there are: more would end no sooner than the tests of deploy/, which run one after
# the other, and each takes a gigabyte, for torch. A thread that spins while it waits takes a core from the other half.
test: install ## Run every test, two at a time (WORKERS=0: one after the other)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses $(WORKERS)

# mutmut brings a terminal interface of its own, which nothing else needs.
$(VENV)/mutants: $(VENV)/installed
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable '.[mutants]'
	@touch $@

mutants: install $(VENV)/mutants ## Inject bugs and list those that no test catches (GROUP=scoring SINCE=commit MINUTES=5 OUT=...)
	@$(BIN)/python -m tests.mutants $(GROUP) $(if $(SINCE),--since $(SINCE)) $(if $(MINUTES),--minutes $(MINUTES)) --out $(call out_or_dated,mutants)

.venv-optimum/installed: tests/interop/constraints.txt
	$(PYTHON) -m venv .venv-optimum
	.venv-optimum/bin/python $(PIP_INSTALL) --constraint $< 'optimum-onnx[onnxruntime]' onnx onnxscript pillow torch
	@touch $@

optimum-env: .venv-optimum/installed ## Build .venv-optimum, Optimum's own environment, for interop tests and benchmarks

.venv-chat-clients/installed: tests/interop/chat-clients-constraints.txt
	$(PYTHON) -m venv .venv-chat-clients
	.venv-chat-clients/bin/python $(PIP_INSTALL) --constraint $< langchain-openai litellm llama-index-llms-openai-like llm
	@touch $@

chat-clients-env: .venv-chat-clients/installed ## Build .venv-chat-clients, other people's chat clients, for interop tests

.venv-torch-free/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-torch-free
	.venv-torch-free/bin/python $(PIP_INSTALL) --constraint constraints.txt --editable '.[matcha-onnx,matcha-openvino]'
	@touch $@

torch-free-env: .venv-torch-free/installed ## Build .venv-torch-free, with only what the ONNX and OpenVINO variants need

.venv-load-generators/installed: tests/interop/load-generators-constraints.txt
	$(PYTHON) -m venv .venv-load-generators
	.venv-load-generators/bin/python $(PIP_INSTALL) --constraint $< aiperf 'guidellm[vision]'
	@touch $@

load-generators-env: .venv-load-generators/installed ## Build .venv-load-generators, other people's load generators, for interop tests

.venv-openapi-clients/installed: tests/interop/openapi-clients-constraints.txt
	$(PYTHON) -m venv .venv-openapi-clients
	.venv-openapi-clients/bin/python $(PIP_INSTALL) --constraint $< openapi-python-client
	@touch $@

openapi-clients-env: .venv-openapi-clients/installed ## Build .venv-openapi-clients, which generates a typed Python client, for interop tests

.venv-typescript/installed: tests/interop/typed/package.json
	mkdir -p .venv-typescript && cp $< .venv-typescript && cd .venv-typescript && npm install --silent --no-audit --no-fund
	@touch $@

typescript-env: .venv-typescript/installed ## Build .venv-typescript, TypeScript's compiler and typed clients (npm), for interop tests

##@ Measure
.PHONY: load load-variants soak bench-load variants bench-matcha bench-qwen-vl bench-torch-cpu bench-replay figures

# The embedded MatCha in the forms that VARIANTS names a folder for.
$(ARTIFACTS)/%: models/tiny-matcha/manifest.json $(wildcard services/matcha/prepare/*.py) | install
	@$(BIN)/python -m services.matcha prepare models/tiny-matcha --variant $* --out $@ --force $(if $(filter openvino-int8,$*),--calibration clients/samples/realcqa)

load: install $(filter $(ARTIFACTS)/%,$(MODEL)) ## Load-test a service (SERVICE=matcha|qwen_vl VARIANT=... PROFILE=smoke|steady|overload|capacity URL=... DATA=... SET="rate_per_s=20" OUT=...)
	@$(BIN)/python -m loadtests run --service $(SERVICE) --profile $(or $(PROFILE),smoke) $(served) $(if $(URL),--url $(URL)) $(if $(DATA),--data $(DATA)) $(overrides) $(out_option)

load-variants: install $(filter $(ARTIFACTS)/%,$(subst =, ,$(VARIANTS))) ## Load-test one variant after another with the same requests, into one table (VARIANTS="fp32 ..." PROFILE=steady SET=... OUT=...)
	@$(BIN)/python -m loadtests variants $(VARIANTS) --service $(SERVICE) --profile $(or $(PROFILE),steady) $(overrides) $(out_option)

soak: install ## Send a service 20,000 broken images, overload it, kill its worker, stop it, hang up on it (SERVICE=... OUT=..., half an hour)
	@FUZZ_IMAGES=20000 $(BIN)/python -m pytest -q -s tests/service/test_broken_images.py -k $(SERVICE)
	@$(BIN)/python -m loadtests soak --service $(SERVICE) $(out_option)

bench-load: install ## How late is the load generator itself, at 300 requests per second on one core? (OUT=...)
	@$(BIN)/python -m loadtests generator $(out_option)

variants: install ## Every MatCha variant on the embedded model: agreement with fp32, size, memory, latency (OUT=...)
	@$(BIN)/python -m benchmarks.matcha variants --out $(call out_or_dated,variants)

bench-matcha: install optimum-env ## MatCha at full size beside transformers 4 and Optimum: twenty minutes, 10 GB (OUT=...)
	@out=$(call out_or_dated,bench-matcha); \
	$(WORKER_ENV) $(BIN)/python -m benchmarks.matcha attention --out $$out && $(BIN)/python -m benchmarks.matcha speed --out $$out && $(BIN)/python -m benchmarks.matcha serving --out $$out && $(BIN)/python -m benchmarks.matcha batches --out $$out

bench-qwen-vl: install ## Qwen2-VL at full size: lens, cache, memory (SERVE_ENV=... NNSIGHT_ENV=... OUT=..., see benchmarks/README.md)
	@$(BIN)/python -m benchmarks.qwen_vl run --out $(call out_or_dated,bench-qwen-vl) $(if $(SERVE_ENV),--serve-env $(SERVE_ENV)) $(if $(NNSIGHT_ENV),--nnsight-env $(NNSIGHT_ENV))

bench-torch-cpu: install ## bf16 on a CPU: packed weights and blocked attention against PyTorch's own, by shape (OUT=...)
	@$(WORKER_ENV) $(BIN)/python -m benchmarks.torch_cpu --out $(call out_or_dated,bench-torch-cpu)

bench-replay: install ## The replay client: report time, overhead, kills, memory (OUT=..., about four minutes)
	@$(BIN)/python -m benchmarks.replay $(out_option)

figures: install ## The latest of each measurement that benchmarks left under runs/, and which miss their target
	@$(BIN)/python -m benchmarks

##@ Ship
.PHONY: images image-sizes up down check-deploy

images: ## Build every CPU image (WHEELS=folder of wheels to prefer, CA=certificate authority to trust, BUILD_FLAGS=...)
	$(BUILD) --file docker/matcha.Dockerfile --target torch --tag tallyglass/matcha:torch .
	$(BUILD) --file docker/matcha.Dockerfile --target onnx --tag tallyglass/matcha:onnx .
	$(BUILD) --file docker/matcha.Dockerfile --target openvino --tag tallyglass/matcha:openvino .
	$(BUILD) --file docker/matcha.Dockerfile --target prepare --tag tallyglass/matcha-prepare:torch .
	$(BUILD) --file docker/qwen_vl.Dockerfile --target cpu --tag tallyglass/qwen-vl:cpu .
	$(BUILD) --file docker/replay.Dockerfile --target client --tag tallyglass/replay:client .

image-sizes: ## What each image adds to its base, and its largest packages (after make images)
	@docker/sizes

up: ## Start both services as containers on 127.0.0.1:8000 and 8001, after make images (MATCHA_MODEL=... QWEN_VL_MODEL=..., see docker/README.md)
	$(COMPOSE) up --detach --wait

down: ## Stop them
	$(COMPOSE) --profile prepare --profile replay down

# checkov needs package versions that conflict with the project's: its tools have an environment of their own.
$(DEPLOY)/installed: tests/deploy/constraints.txt
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/python $(PIP_INSTALL) --requirement tests/deploy/constraints.txt
	@touch $@

check-deploy: $(DEPLOY)/installed ## Check Dockerfiles and manifests: schemas of three Kubernetes versions, checkov, hadolint, yamllint
	@command -v kubectl >/dev/null || { echo "kubectl is needed: it renders the manifests"; exit 1; }
	@rm -rf $(RENDERED) && k8s/render $(RENDERED)
	@for version in $(KUBERNETES); do $(DEPLOY)/bin/kubernetes-validate --strict --quiet -k $$version $(RENDERED)/*.yaml || exit 1; done
	@$(DEPLOY)/bin/yamllint --strict --config-file k8s/.yamllint.yaml k8s docker
	@$(DEPLOY)/bin/hadolint docker/*.Dockerfile
	@$(DEPLOY)/bin/checkov --config-file k8s/.checkov.yaml --directory $(RENDERED)
	@$(DEPLOY)/bin/checkov --config-file docker/.checkov.yaml --directory docker
	@echo "$$(ls $(RENDERED) | wc -l) manifests and $$(ls docker/*.Dockerfile | wc -l) Dockerfiles hold"

##@ Train
.PHONY: train-tiny samples

train-tiny: install ## Retrain the embedded models and rewrite their model cards (about two hours on two cores)
	$(BIN)/python -m services.training tiny-matcha
	$(BIN)/python -m services.training tiny-qwen-vl

samples: install ## Redraw clients/samples, byte for byte the same
	$(BIN)/python -m services.training samples
