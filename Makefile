# ComfyUI-EMO. `make demo` makes a video, `make test` runs the tests; both set up .venv by themselves.
# torch comes from pip's usual index. For the much smaller CPU build, point pip at PyTorch's own index
# first (PIP_EXTRA_INDEX_URL, or a pip.conf); README.md has the line.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PORTRAIT ?= $(firstword $(sort $(wildcard assets/portraits/*.png)))
VOICE ?= $(firstword $(sort $(wildcard assets/voices/*.flac assets/voices/*.wav)))
DEMO ?= out/demo.mp4

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-host screenshot comfyui-path test-requirements lint train clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## animate a bundled portrait with bundled speech
	@mkdir -p "$(dir $(DEMO))"
	$(BIN)/comfyui-emo talk --image "$(PORTRAIT)" --audio "$(VOICE)" --out "$(DEMO)"
	@echo "The video is $(realpath .)/$(DEMO)"

test: $(VENV)/.installed-dev ## run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-host: comfyui-path $(VENV)/.installed-browser ## run the tests inside ComfyUI: COMFYUI_PATH=/path/to/ComfyUI
	COMFYUI_PATH="$$(cd "$(COMFYUI_PATH)" && pwd)" $(BIN)/python -m pytest tests/host

screenshot: comfyui-path $(VENV)/.installed-browser ## take assets/graph.jpg in ComfyUI: COMFYUI_PATH=/path/to/ComfyUI
	COMFYUI_PATH="$$(cd "$(COMFYUI_PATH)" && pwd)" SCREENSHOTS=assets \
		$(BIN)/python -m pytest tests/host/test_browser_screenshot.py

comfyui-path:
	@test -f "$(COMFYUI_PATH)/main.py" || { echo "No ComfyUI at '$(COMFYUI_PATH)'." \
		"Say where it lies: make test-host COMFYUI_PATH=/path/to/ComfyUI" >&2; exit 2; }

test-requirements: ## install requirements.txt beside older and newer hosts' libraries and import both
	PYTHON="$(PYTHON)" .ci/check-requirements

lint: $(VENV)/.installed-dev ## ruff and pyright
	@mkdir -p build/types && ln -sfn ../.. build/types/comfyui_emo
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

train: $(VENV)/.installed-dev ## reproduce the bundled weights from nothing
	$(BIN)/python -m comfyui_emo.training.reproduce --work out/training --out models/weights/avatar-128.safetensors

clean: ## remove the environment, builds, caches and the demo video
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis $(DEMO)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ensurepip writes bin/pip last, so a half-made environment is made again.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# The stamps: a second make installs nothing unless the requirements have changed.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) --editable '.[torch,marking]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) --editable '.[torch,marking,test,training]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-browser: pyproject.toml constraints.txt | $(VENV)/.installed-dev
	$(INSTALL) --editable '.[torch,test,training,browser]'
	@touch $@
