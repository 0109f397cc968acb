# Engram: `make demo` is the main job, `make test` passes the tests; both prepare what they need.
SHELL := /bin/sh
PYTHON ?= python3
UV = $(or $(wildcard .uv/bin/uv),uv)
COMPILE = $(UV) pip compile -q --generate-hashes --custom-compile-command "make lock"

.PHONY: help setup demo test lint types format lock doctor clean

help:           ## list the targets
	@sed -n 's/^\([a-z]*:\).*##/\1/p' Makefile | column -t -s:

setup:          ## both environments, the C runtime, the magnum module (nothing to do when they are there)
	@$(PYTHON) tools/setup.py

demo: setup     ## main job: make houses, train a navigation policy in Habitat, evaluate it, write a report
	@.venv/bin/embodied demo

test: setup lint types ## lint, types and all tests
	@.sim/python -m pytest -q native/magnum/tests
	@.venv/bin/python -m pytest -n 2 --dist loadfile

lint:           ## ruff, check and format
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q .

types:          ## mypy
	@.venv/bin/mypy

format:         ## let ruff mend what it can
	@.venv/bin/ruff check -q --fix . ; .venv/bin/ruff format -q .

doctor: setup   ## check every piece and say how to mend what is wrong
	@.venv/bin/embodied doctor

lock:           ## resolve the two environments anew
	$(COMPILE) --universal --python-version 3.11 --no-strip-extras --overrides locks/main.overrides pyproject.toml --extra ros --extra metaworld --extra popgym --extra view --group dev -o locks/main.txt
	$(COMPILE) --python-version 3.13 --python-platform x86_64-manylinux_2_39 --overrides locks/sim.overrides locks/sim.in -o locks/sim.txt

clean:          ## remove both environments (data/ and runs/ stay)
	rm -rf .venv .sim .uv
