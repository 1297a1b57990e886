#!/bin/sh
# A machine with a GPU for a few minutes, which may lack a network and all but PyTorch:
#   scripts/gpu.sh pack [SET ...]     here: small archives of data sets and teachers' logits, into build/gpu/pack
#   scripts/gpu.sh run [--toy]        there: tests, benchmarks, teachers and students, as far as MINUTES (12) go
#   scripts/gpu.sh merge FOLDER       here: what was made there, into results/ and results/gpu
# PYTHON names the interpreter (default: .venv's, else python3). Of `run` what is made lies in OUT (build/gpu/out).
set -eu
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then PYTHON=python3; [ ! -x .venv/bin/python ] || PYTHON=.venv/bin/python; fi
site=build/gpu/site
if [ -d build/gpu/pack/wheels ] && [ ! -d "$site" ]; then
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" build/gpu/pack/wheels/*.whl
fi
# Not the portable mode: no number of a GPU is.
PYTHONPATH="$PWD/scripts:$PWD:$PWD/$site${PYTHONPATH:+:$PYTHONPATH}" QKD_PORTABLE=0 PYTHONUNBUFFERED=1 \
    exec "$PYTHON" scripts/gpu.py "$@"
