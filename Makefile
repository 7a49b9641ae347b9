# make demo   a talking video from examples/, in out/demo.mp4   make test   the tests
# make app    the page, on this machine                         make lint   ruff, mypy
# make bench  time and memory, end to end and by stage          make clean  all that make made
# make videos  the ready videos of the page's examples, again
# make train-tiny  clips made on the fly -> prepare -> train -> export -> out/tiny/video.mp4
# PYTHON=python3.12 make demo  picks the interpreter (3.11 to 3.14); VENV=dir picks another environment.
# WORKERS=1 make test  takes one process for the tests instead of two.

VENV ?= .venv
RUN := $(VENV)/bin/python
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(FITS)' 2>/dev/null && { echo $$p; break; }; done)
PIP := $(RUN) -m pip install -qq --disable-pip-version-check
CHECK_CV2 := $(RUN) -c "import cv2" || { echo "OpenCV misses a system library; on Debian or Ubuntu:" \
	"sudo apt-get install libgl1 libglib2.0-0" >&2; exit 1; }
PORTRAIT ?= examples/astronaut.jpg
RECORDING ?= examples/hello_world.flac
DEMO ?= out/demo.mp4
WORKERS ?= 2

.PHONY: demo test app lint bench videos train-tiny install clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	@$(RUN) -m atldiff generate $(PORTRAIT) $(RECORDING) -o $(DEMO)

test: $(VENV)/.installed-dev
	@PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder

app: $(VENV)/.installed
	@$(RUN) app.py

lint: $(VENV)/.installed-dev
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy --num-workers 2

bench: $(VENV)/.installed
	@$(RUN) -m atldiff benchmark

videos: $(VENV)/.installed
	@$(RUN) tools/make_videos.py

train-tiny: $(VENV)/.installed-dev
	@$(RUN) examples/train_tiny.py out/tiny

install: $(VENV)/.installed

# The stamps remember what was installed, so that a second call goes straight to work.
$(VENV)/.installed: requirements.txt | $(RUN)
	@echo "Installing requirements.txt into $(VENV) (about 2.5 minutes and 2.2 GB the first time, more with CUDA) ..."
	@$(PIP) -r requirements.txt
	@$(CHECK_CV2)
	@touch $@

$(VENV)/.installed-dev: requirements.txt pyproject.toml | $(RUN)
	@echo "Installing requirements.txt and what the tests need into $(VENV) (about 3.5 minutes the first time) ..."
	@$(PIP) --no-compile -r requirements.txt --editable ".[dev]"
	@# What the tests import is compiled now, on all cores; librosa's functions compile at the first call.
	@$(RUN) -c "import librosa, numpy; librosa.resample(numpy.zeros(9), orig_sr=3, target_sr=1)" & \
		$(RUN) -m compileall -qq -j 0 -x '/(tests?|transformers/models|rllib)/' $(VENV)/lib; wait
	@$(CHECK_CV2)
	@command -v npm >/dev/null && npm install --prefix tests/provenance/reader --no-package-lock --omit=optional \
		--ignore-scripts --no-audit --no-fund \
		>/dev/null || echo "Without npm's packages the independent reader's test is skipped."
	@touch $(VENV)/.installed $@

$(RUN):
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(FITS)' || { \
		echo "Python 3.11 to 3.14 is needed; name one: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

clean:
	rm -rf out build atldiff.egg-info .pytest_cache .ruff_cache .mypy_cache
