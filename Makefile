# The front door. Everything runs in .venv, which the first target that needs it builds from pyproject.toml and constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?=
MODEL  ?=
KERNEL := services/matcha/attention/kernel.so

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test check fmt serve-matcha serve-qwen-vl replay report optimum-env torch-free-env variants bench-matcha bench-torch-cpu figures train-tiny samples clean compare bench-replay bench-qwen-vl load load-variants bench-load mutants images image-sizes up down check-deploy

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(KERNEL): services/matcha/attention/kernel.c services/matcha/attention/build.py | $(VENV)/installed
	@$(BIN)/python services/matcha/attention/build.py

install: $(VENV)/installed $(KERNEL) ## Build .venv with everything (a few minutes, once)

demo: install ## The main job: both services on the embedded models, three replays, one report
	@$(BIN)/python -m clients.demo $(if $(OUT),--out $(OUT))

# Two at a time, however many cores there are: more would end no sooner than the tests of deploy/, which run one after
# the other, and each takes a gigabyte, for torch. A thread that spins while it waits takes a core from the other half.
WORKERS ?= 2
test: install ## Run every test, two at a time (WORKERS=0: one after the other)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses $(WORKERS)

# mutmut brings a terminal interface of its own, which nothing else needs.
$(VENV)/mutants: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[mutants]'
	@touch $@

GROUP   ?=
SINCE   ?=
MINUTES ?=
mutants: install $(VENV)/mutants ## Put bugs in on purpose, and see which no test notices (GROUP=scoring SINCE=commit MINUTES=5 OUT=...)
	@$(BIN)/python -m tests.mutants $(GROUP) $(if $(SINCE),--since $(SINCE)) $(if $(MINUTES),--minutes $(MINUTES)) --out $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-mutants)

check: install ## What CI checks besides the tests: lint, format, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fmt: install ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

serve-matcha: install ## Serve chart questions on 127.0.0.1:8000 (settings: MATCHA_..., see --help)
	@$(BIN)/python -m services.matcha

serve-qwen-vl: install ## Serve image questions with the lens on 127.0.0.1:8001 (settings: QWEN_VL_...)
	@$(BIN)/python -m services.qwen_vl

TASK ?= realcqa
DATA ?= clients/samples/$(TASK)
URL  ?= http://127.0.0.1:$(if $(filter tallyqa,$(TASK)),8001,8000)
replay: install ## Replay a data set against a running service (TASK=realcqa|tallyqa DATA=... URL=... OUT=...)
	@$(BIN)/python -m clients.replay run --task $(TASK) --data $(DATA) --url $(URL) --out $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-$(TASK)) $(if $(filter tallyqa,$(TASK)),--lens)

RUNS ?= $(wildcard runs/*/outcomes.jsonl)
report: install ## Render a report over run folders (RUNS="runs/a runs/b" OUT=...)
	@test -n "$(RUNS)" || { echo 'name the run folders: make report RUNS="runs/a runs/b"'; exit 2; }
	@$(BIN)/python -m clients.replay report $(patsubst %/outcomes.jsonl,%,$(RUNS)) --out $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-report)

.venv-optimum/installed: tests/interop/constraints.txt
	$(PYTHON) -m venv .venv-optimum
	.venv-optimum/bin/python -m pip install --quiet --disable-pip-version-check --constraint $< 'optimum-onnx[onnxruntime]' onnx onnxscript pillow torch
	@touch $@

optimum-env: .venv-optimum/installed ## Build .venv-optimum, Optimum's own environment, for interop tests and benchmarks

.venv-torch-free/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-torch-free
	.venv-torch-free/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[matcha-onnx,matcha-openvino]'
	@touch $@

torch-free-env: .venv-torch-free/installed ## Build .venv-torch-free, with nothing but what the ONNX and OpenVINO variants name

variants: install ## Every MatCha variant on the embedded model: answers beside fp32's, size, memory, latency (OUT=...)
	@$(BIN)/python -m benchmarks.matcha variants --out $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-variants)

bench-matcha: install optimum-env ## MatCha at full size beside transformers 4 and Optimum: twenty minutes, 10 GB (OUT=...)
	@out=$(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-bench-matcha); \
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(BIN)/python -m benchmarks.matcha attention --out $$out && $(BIN)/python -m benchmarks.matcha speed --out $$out && $(BIN)/python -m benchmarks.matcha serving --out $$out && $(BIN)/python -m benchmarks.matcha batches --out $$out

bench-torch-cpu: install ## What packed weights and attention in blocks gain in bf16, by shape (OUT=...)
	@GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(BIN)/python -m benchmarks.torch_cpu --out $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-bench-torch-cpu)

compare: install ## Set runs of one task side by side, the others against the first (RUNS="runs/a runs/b" OUT=...)
	@test -n "$(RUNS)" || { echo 'name the run folders: make compare RUNS="runs/a runs/b"'; exit 2; }
	@$(BIN)/python -m clients.replay compare $(patsubst %/outcomes.jsonl,%,$(RUNS)) --out $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-compare)

bench-replay: install ## Measure the replay client: report, overhead, kills, memory (OUT=..., about four minutes)
	@$(BIN)/python -m benchmarks.replay $(if $(OUT),--out $(OUT))

# Wheels to build with instead of an index (a folder), a certificate authority to trust, and anything else for docker build.
WHEELS      ?=
CA          ?=
BUILD_FLAGS ?=
BUILD = docker build $(BUILD_FLAGS) $(if $(WHEELS),--build-context wheels=$(WHEELS)) $(if $(CA),--secret id=ca$(comma)src=$(CA)) --build-arg REVISION=$(shell git rev-parse HEAD)
comma := ,
images: ## Build every CPU image (WHEELS=folder of wheels, CA=certificate file, BUILD_FLAGS=...)
	$(BUILD) --file docker/matcha.Dockerfile --target torch --tag tallyglass/matcha:torch .
	$(BUILD) --file docker/matcha.Dockerfile --target onnx --tag tallyglass/matcha:onnx .
	$(BUILD) --file docker/matcha.Dockerfile --target openvino --tag tallyglass/matcha:openvino .
	$(BUILD) --file docker/matcha.Dockerfile --target prepare --tag tallyglass/matcha-prepare:torch .
	$(BUILD) --file docker/qwen_vl.Dockerfile --target cpu --tag tallyglass/qwen-vl:cpu .
	$(BUILD) --file docker/replay.Dockerfile --target client --tag tallyglass/replay:client .

image-sizes: ## What each image adds to its base, and its largest packages (after make images)
	@docker/sizes

COMPOSE = docker compose --file docker/compose.yaml
up: ## Start both services as containers on 127.0.0.1:8000 and 8001 (after make images)
	$(COMPOSE) up --detach --wait

down: ## Stop them
	$(COMPOSE) --profile replay down

# checkov needs versions that the project does not: its tools live apart.
DEPLOY := .venv-deploy
$(DEPLOY)/installed: tests/deploy/constraints.txt
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/deploy/constraints.txt
	@touch $@

KUBERNETES := 1.33 1.35 1.37
RENDERED   := build/manifests
check-deploy: $(DEPLOY)/installed ## Check Dockerfiles and every manifest: schemas of three Kubernetes versions, checkov, hadolint, yamllint
	@command -v kubectl >/dev/null || { echo "kubectl is needed: it renders the manifests"; exit 1; }
	@rm -rf $(RENDERED) && k8s/render $(RENDERED)
	@for version in $(KUBERNETES); do $(DEPLOY)/bin/kubernetes-validate --strict --quiet -k $$version $(RENDERED)/*.yaml || exit 1; done
	@$(DEPLOY)/bin/yamllint --strict --config-file k8s/.yamllint.yaml k8s docker
	@$(DEPLOY)/bin/hadolint docker/*.Dockerfile
	@$(DEPLOY)/bin/checkov --config-file k8s/.checkov.yaml --directory $(RENDERED)
	@$(DEPLOY)/bin/checkov --config-file docker/.checkov.yaml --directory docker
	@echo "$$(ls $(RENDERED) | wc -l) manifests and $$(ls docker/*.Dockerfile | wc -l) Dockerfiles hold"

# The embedded MatCha in every form; variant=folder where an artifact is needed.
ARTIFACTS := build/artifacts
VARIANTS ?= fp32 bf16 int8 onnx-fp32=$(ARTIFACTS)/onnx-fp32 onnx-int8=$(ARTIFACTS)/onnx-int8 openvino=$(ARTIFACTS)/onnx-fp32 openvino-int8=$(ARTIFACTS)/openvino-int8
$(ARTIFACTS)/%: models/tiny-matcha/manifest.json $(wildcard services/matcha/prepare/*.py) | install
	@$(BIN)/python -m services.matcha prepare models/tiny-matcha --variant $* --out $@ --force $(if $(filter openvino-int8,$*),--calibration clients/samples/realcqa)

SERVICE ?= matcha
PROFILE ?= smoke
VARIANT ?=
# What VARIANT is served from, if not from the embedded weights themselves.
MODEL := $(if $(VARIANT),$(patsubst $(VARIANT)=%,%,$(filter $(VARIANT)=%,$(VARIANTS))))
load: install $(MODEL) ## Load a service (SERVICE=matcha|qwen_vl VARIANT=... PROFILE=smoke|steady|overload|capacity URL=... SET="rate_per_s=20" OUT=...)
	@$(BIN)/python -m loadtests run --service $(SERVICE) --profile $(PROFILE) $(if $(VARIANT),--variant $(VARIANT)) $(if $(MODEL),--model-dir $(MODEL)) $(if $(filter command environment,$(origin URL)),--url $(URL)) $(if $(filter command environment,$(origin DATA)),--data $(DATA)) $(foreach change,$(SET),--set $(change)) $(if $(OUT),--out $(OUT))

load-variants: install $(filter $(ARTIFACTS)/%,$(subst =, ,$(VARIANTS))) ## Load one variant after the other with the same requests; one table (PROFILE=steady VARIANTS="fp32 ...")
	@$(BIN)/python -m loadtests variants $(VARIANTS) --service $(SERVICE) --profile $(if $(filter command environment,$(origin PROFILE)),$(PROFILE),steady) $(foreach change,$(SET),--set $(change)) $(if $(OUT),--out $(OUT))

bench-load: install ## How late is the load generator by itself, at 300 requests per second on one core?
	@$(BIN)/python -m loadtests generator $(if $(OUT),--out $(OUT))

figures: install ## The newest of each figure that the benchmarks left under runs/, and which fall short
	@$(BIN)/python -m benchmarks

train-tiny: install ## Train the embedded models anew, with their model cards (about two hours on two cores)
	$(BIN)/python -m services.training tiny-matcha
	$(BIN)/python -m services.training tiny-qwen-vl

samples: install ## Draw clients/samples anew, byte for byte
	$(BIN)/python -m services.training samples

SERVE_ENV   ?=
NNSIGHT_ENV ?=
bench-qwen-vl: install ## Qwen2-VL at full size: lens, cache, memory (SERVE_ENV=, NNSIGHT_ENV=: see benchmarks)
	@$(BIN)/python -m benchmarks.qwen_vl run --out $(or $(OUT),runs/$(shell date +%Y%m%d-%H%M%S)-bench-qwen-vl) $(if $(SERVE_ENV),--serve-env $(SERVE_ENV)) $(if $(NNSIGHT_ENV),--nnsight-env $(NNSIGHT_ENV))

clean: ## Remove what was built (not runs/)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
