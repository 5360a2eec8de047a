# `make` alone prints this help.
# Relative, since make splits a path at its spaces.
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python3.10,\
	$(shell $(p) -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $(p))))
# CUDA's libraries are 3 GB: only where there is a driver for them.
LOCK := requirements/$(if $(shell command -v nvidia-smi 2>/dev/null),gpu,cpu).txt

# The CUDA wheel of TensorFlow before that of the environment: kernels can be asked for without CUDA.
GPU_WHEEL := .venv-gpu
# Tests at a time. Each takes a gigabyte.
WORKERS := 2

# What `make quick` runs: folders and files that start neither Ray nor a stage's process, nor train.
QUICK_TESTS := tests/utils tests/visualization tests/data tests/models tests/evaluation tests/report tests/test_config.py tests/test_docs.py \
	tests/test_keypoints.py tests/test_layers.py tests/test_makefile.py tests/test_packaging.py tests/test_properties.py
# What `make test EXTRAS=1` runs: the tests of packages that no lock holds, and some that take long.
EXTRA_TESTS := tests/test_api_pages.py tests/test_backends.py tests/test_storage.py tests/apps/batch/test_results.py \
	tests/cli/test_batch.py tests/utils/test_image_headers.py tests/faults/test_storage_faults.py
SLOW_TESTS := tests/test_field.py tests/test_pipeline.py tests/test_schemas.py tests/export tests/inference/test_backends.py \
	tests/models/test_pose_estimator.py tests/models/test_saving.py tests/data/tfrecords/test_tutorial.py tests/training
# Installs the packages of extras of pyproject.toml, and not the project, whose TensorFlow has another name here.
INSTALL = echo "installing $(1) into $(VENV)"; $(VENV)/bin/python -c 'import sys; from importlib.metadata import requires; \
	print(*(r.split(";")[0] for r in requires("hourglass") if r.split("extra == ")[-1].strip("\"") in sys.argv), sep="\n")' \
	$(1) | $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-warn-conflicts -r /dev/stdin

# Each file of a DVC cache is named after its MD5. In `folder`: removes those that are not, says how many, fails if any.
CHECK_CACHE = cd "$$folder" && cd "$$(dvc cache dir)/files/md5" || exit 0; \
	find . -path './??/*' -type f ! -name '.*' -exec md5sum {} + | awk -v folder="$$folder" ' \
		{name = $$2; gsub(/[.\/]|dir$$/, "", name); if (name != $$1) {system("rm -f " $$2); damaged++}} \
		END {printf "%s: %d files, %d of them damaged and removed\n", folder, NR, damaged; exit damaged > 0}'

NEXT := next: source $(VENV)/bin/activate (once in each terminal), then make demo

.PHONY: help setup demo quick test page-test faults lint docs repro bench field gpu-check check-cache clean lock
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/installed ## install everything into .venv: 2 GB, two to five minutes (Python 3.10-3.13)
	@$(if $(filter setup,$(MAKECMDGOALS)),echo "$(NEXT)")

$(VENV)/installed: $(LOCK) pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.10-3.13 found; install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "installing the packages of $(LOCK) into $(VENV): about 2 GB, two to five minutes without a word"
	"$(PYTHON)" -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## run the whole pipeline on drawn figures: 3 to 4 minutes on two CPU cores
	cd demo && dvc repro
	@echo && echo "the scores: demo/reports/pckh.md; look at demo/reports/figures/contact_sheet.jpg, and open demo/reports/index.html in a browser"
	@git diff --quiet -- demo || echo "they are not the committed ones, as is to be expected on another kind of CPU, or number of cores: cd demo && dvc metrics diff"

test: setup $(if $(EXTRAS),$(VENV)/extras) ## run all tests except the slow ones; EXTRAS=1: those of optional packages; WORKERS=2
	pytest --numprocesses $(WORKERS) --dist loadfile $(if $(EXTRAS),-m "slow or not slow" -rs $(EXTRA_TESTS) $(SLOW_TESTS))

$(VENV)/extras: $(VENV)/installed
	@$(call INSTALL,docs extras heic parquet s3)
	@touch $@

quick: setup ## run the tests that take under 3 minutes together
	pytest --numprocesses $(WORKERS) --dist loadfile $(QUICK_TESTS)

page-test: setup ## test the web page in Chromium (needs npm and chromium)
	pytest tests/apps/page tests/faults/test_page_faults.py -m browser -rs

faults: setup ## try every fault and bad input; TABLE=docs/faults.md writes the table
	pytest tests/faults -m "slow or not slow" $(if $(TABLE),--faults-table "$(TABLE)")

lint: setup ## style, formatting and types
	ruff check .
	ruff format --check .
	mypy

docs: $(VENV)/docs ## write the pages of the package, from its docstrings, to build/docs
	python docs/api.py build/docs
	@echo "open build/docs/index.html in a browser"

$(VENV)/docs: $(VENV)/installed
	@$(call INSTALL,docs)
	@touch $@

repro: setup ## run the full MPII recipe: 13 GB of downloads, hours on a GPU
	dvc repro

bench: setup ## measure speed; BASELINE=DIR compares with the tutorial's scripts in DIR
	python benchmarks/bench.py $(if $(BASELINE),--baseline $(BASELINE)) $(if $(ONLY),--only $(ONLY)) $(if $(BEFORE),--before $(BEFORE))

field: setup ## compare the shipped network with BlazePose and MoveNet; FOLDER=lspet (needs npm)
	python benchmarks/field.py "$(or $(FOLDER),lspet)" $(if $(MODEL),--model "$(MODEL)") $(if $(BLAZEPOSE),--blazepose "$(BLAZEPOSE)") $(if $(MOVENET),--movenet "$(MOVENET)")

gpu-check: setup $(GPU_WHEEL)/installed ## ask TensorFlow whether a GPU has every kernel; needs no GPU, downloads 600 MB
	PYTHONPATH=$(GPU_WHEEL) TF_CPP_MIN_LOG_LEVEL=3 python benchmarks/gpu_check.py

$(GPU_WHEEL)/installed: requirements/gpu.txt | setup
	rm -rf $(GPU_WHEEL) && mkdir $(GPU_WHEEL)
	awk '/^[a-z]/ {keep = /^tensorflow==/} keep' $< > $(GPU_WHEEL)/tensorflow.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--target $(GPU_WHEEL) -r $(GPU_WHEEL)/tensorflow.txt
	@touch $@

check-cache: setup ## remove what is damaged in DVC's caches, of this folder and the other recipes
	@failed=; for folder in . demo lspet photographs; do ($(CHECK_CACHE)) 2>/dev/null || failed="$$failed $$folder"; done; \
		test -z "$$failed" || { echo "run \`dvc repro --force\` in:$$failed; results of the damaged files may be wrong too"; exit 1; }

clean: ## remove what runs have made, except downloads and DVC's cache
	rm -rf build page $(foreach d,. demo lspet photographs,$(addprefix $(d)/,logs poses stickers dvc_plots data/annotations \
		data/tfrecords data/.chunks models/*.keras models/*.onnx reports/figures reports/predictions.json reports/index.html))
	find . -name __pycache__ -not -path './$(VENV)*/*' -prune -exec rm -rf {} +

LOCKED := uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.10 \
	--generate-hashes --no-emit-index-url --no-header pyproject.toml --extra dev

lock: ## lock what pyproject.toml names; UPGRADE=1 takes the newest versions (needs uv)
	$(LOCKED) requirements/cpu.in --override requirements/cpu.in -o requirements/cpu.txt
	$(LOCKED) --extra gpu -o requirements/gpu.txt
