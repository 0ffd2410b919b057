# make help lists what there is. Everything runs in .venv, which the first target makes.

PYTHON ?= python3
# the build of torch: another version, an index of its own, or nothing to keep the one in .venv
TORCH ?= $(shell grep '^torch==' constraints.txt)
PY := .venv/bin/python
STAMP := .venv/.installed
TESTS ?= tests

.DEFAULT_GOAL := help
.PHONY: help install demo demo-train docs gallery test test-all lint types fast bench weights clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## the environment: .venv with torch, then posediff and its tools

$(STAMP): pyproject.toml setup.cfg constraints.txt
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(if $(strip $(TORCH)),$(PY) -m pip install -q $(TORCH))
	grep -v '^torch' constraints.txt > .venv/constraints.txt
	$(PY) -c "from importlib.metadata import version; print('torch==' + version('torch'))" >> .venv/constraints.txt
	$(PY) -m pip install -q -c .venv/constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: install  ## three photos and a video through the models that ship: pictures, page, film, figures
	$(PY) -m posediff demo --to runs/demo

demo-train: install  ## train, score and use a lifter on the synthetic body; prints figures and a picture
	$(PY) -m posediff.train experiment=lift3d_encoder dataset=synthetic trainer=demo
	$(PY) -m posediff.train task=lift3d dataset=synthetic trainer=demo
	$(PY) -m posediff.eval experiment=lift3d_encoder dataset=synthetic dataset.clips=13
	$(PY) -m posediff.eval task=lift3d dataset=synthetic dataset.clips=13
	$(PY) scripts/make_mini.py keypoints runs/demo-train
	$(PY) -m posediff.predict task=lift3d dataset=synthetic input=runs/demo-train/keypoints.json \
		layout=h36m17 image_size=[1000,1000] output=runs/demo-train

test: install lint types fast  ## format, lint, types and the fast tests

lint: install
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: install
	$(PY) -m mypy

fast: install
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 -m 'not slow' --durations=10 $(TESTS)

test-all: install lint types  ## the same with the slow tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -q --durations=20 $(TESTS)

bench: install  ## ours against the released network, and all speeds, on one thread
	OMP_NUM_THREADS=1 $(PY) benchmarks/speed_lift3d.py
	OMP_NUM_THREADS=1 $(PY) benchmarks/speed.py

weights: install  ## train all models that ship again, from data/, in hours; MORE= further overrides
	PY=$(PY) sh scripts/train_weights.sh $(MORE)

docs: install  ## guides and reference as pages in build/docs; a warning is an error
	$(PY) -m sphinx -q -W --keep-going -b html docs build/docs
	@echo build/docs/index.html

gallery: install  ## all pictures of the documents, by the models that ship; the sheet needs data/
	$(PY) scripts/document_pictures.py docs/pictures
	$(PY) scripts/gallery.py docs/gallery/sheet.jpg

clean:  ## remove the environment and caches; runs/ and data/ stay
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
