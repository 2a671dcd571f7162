# Two environments of the repository's own: .venv for the demo, .venv-test for the tests. Each is
# made again only when what it installs has changed.

PYTHON ?= python3
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# A sourced ROS would shadow the environments' own rclpy, and the wheels' start-up hook must run
# again in an environment that is not the one it ran in.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH COLCON_PREFIX_PATH CMAKE_PREFIX_PATH ROS_DISTRO
unexport LD_LIBRARY_PATH VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE

PACKAGING := setup.py setup.cfg pyproject.toml requirements/constraints.txt requirements/demo.txt
LINTED := ssd_depth_core ssd_depth_ros training bench

.PHONY: help demo test test-slow lint bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /'

demo: .venv/installed  ## replay a night drive through the real node; see demo_out/
	.venv/bin/depth_demo --bag demo/night_drive.mcap --out demo_out

test: lint  ## check the style and run the tests
	.venv-test/bin/python -m pytest -m 'not slow'

test-slow: .venv-test/installed  ## run the tests that take longer
	.venv-test/bin/python -m pytest -m slow

lint: .venv-test/installed  ## check style, docstrings and types
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/pydoclint --quiet $(LINTED)
	.venv-test/bin/mypy

bench: .venv-test/installed  ## measure again, and render docs/results.md
	.venv-test/bin/python bench/real_frames.py --json docs/results/real_frames.json
	.venv-test/bin/python bench/synthetic_frames.py --json docs/results/synthetic_frames.json
	.venv-test/bin/python bench/predictor_speed.py --json docs/results/predictor_cpu.json
	.venv-test/bin/python bench/engine_speed.py --json docs/results/engine_cpu.json
	.venv-test/bin/python bench/node_speed.py --json docs/results/node_cpu.json
	.venv-test/bin/python bench/node_speed.py --cameras 1 --rate 30 --seconds 20 --json docs/results/node_30hz_cpu.json
	.venv-test/bin/python bench/node_cost.py --json docs/results/node_cost_cpu.json
	.venv-test/bin/python bench/node_endurance.py --json docs/results/node_endurance_cpu.json
	.venv-test/bin/python bench/publish_speed.py --json docs/results/publish_cpu.json
	.venv-test/bin/python bench/synthdrive_speed.py --json docs/results/synthdrive_cpu.json
	.venv-test/bin/python bench/loader_speed.py --json docs/results/loader.json
	.venv-test/bin/python bench/train_step.py --json docs/results/train_step.json
	.venv-test/bin/python -m bench.gdt_cost --json docs/results/gdt_cost.json
	.venv-test/bin/python bench/evaluator_speed.py --json docs/results/evaluator.json
	rm -rf experiments/ssd_tiny
	.venv-test/bin/python -m training.experiment --config config/experiment/ssd.yaml --preset tiny --out experiments/ssd_tiny
	.venv-test/bin/python -m bench.render_results

clean:  ## remove environments and everything built
	rm -rf .venv .venv-test build install log demo_out *.egg-info
	rm -rf .pytest_cache .ruff_cache .mypy_cache

.venv/installed: $(PACKAGING)
	$(call make_environment,.venv,requirements/demo.txt)

.venv-test/installed: $(PACKAGING) requirements/test.txt requirements/devkit.txt
	$(call make_environment,.venv-test,requirements/test.txt)
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		-r requirements/devkit.txt

# $(1): the environment, $(2): what to install there besides this package.
define make_environment
@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	echo "Python 3.10 to 3.13 is needed, as rclpy's wheels are for these, but '$(PYTHON)' is" \
	"$$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip' || { \
	echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
	exit 1; }
$(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install --quiet --disable-pip-version-check -r $(2)
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
touch $@
endef
