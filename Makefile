# The front door. Everything runs in .venv, which the first target that needs it builds from pyproject.toml and constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?=
MODEL  ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test check fmt serve-matcha serve-qwen-vl replay report load load-variants bench-load train-tiny samples clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(VENV)/installed ## Build .venv with everything (a few minutes, once)

demo: install ## The main job: both services on the embedded models, three replays, one report
	@$(BIN)/python -m clients.demo $(if $(OUT),--out $(OUT))

test: install ## Run every test
	$(BIN)/python -m pytest

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

serve-qwen-vl: install ## Serve picture questions with the lens on 127.0.0.1:8001 (settings: QWEN_VL_...)
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

SERVICE ?= matcha
PROFILE ?= smoke
VARIANT ?=
load: install ## Load a service (SERVICE=matcha|qwen_vl VARIANT=... PROFILE=smoke|steady|overload|capacity URL=... SET="rate_per_s=20" OUT=...)
	@$(BIN)/python -m loadtests run --service $(SERVICE) --profile $(PROFILE) $(if $(VARIANT),--variant $(VARIANT)) $(if $(filter command environment,$(origin URL)),--url $(URL)) $(if $(filter command environment,$(origin DATA)),--data $(DATA)) $(foreach change,$(SET),--set $(change)) $(if $(OUT),--out $(OUT))

VARIANTS ?= fp32
load-variants: install ## Load one variant after the other with the same requests; one table (SERVICE=... PROFILE=steady VARIANTS="fp32 ...")
	@$(BIN)/python -m loadtests variants $(VARIANTS) --service $(SERVICE) --profile $(if $(filter command environment,$(origin PROFILE)),$(PROFILE),steady) $(foreach change,$(SET),--set $(change)) $(if $(OUT),--out $(OUT))

bench-load: install ## How late is the load generator by itself, at 300 requests per second on one core?
	@$(BIN)/python -m loadtests generator $(if $(OUT),--out $(OUT))

train-tiny: install ## Train the embedded models anew, with their model cards (about two hours on two cores)
	$(BIN)/python -m services.training tiny-matcha
	$(BIN)/python -m services.training tiny-qwen-vl

samples: install ## Draw clients/samples anew, byte for byte
	$(BIN)/python -m services.training samples

clean: ## Remove what was built (not runs/)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
