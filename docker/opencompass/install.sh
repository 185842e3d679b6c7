#!/bin/sh
# Installs the evaluation environment into /opt/ftbench, inside the image's build stage.
#   install.sh cpu|cuda
set -eu
variant=$1
cd /build
export PIP_CONFIG_FILE=/build/pip/pip.conf PIP_NO_CACHE_DIR=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1
# Source packages build in a pip of their own, which reads this and not the configuration file.
if [ -s pip/ca.crt ]; then export PIP_CERT=/build/pip/ca.crt SSL_CERT_FILE=/build/pip/ca.crt; fi

# The base image's torch shows through; its pip installs, so that the environment needs none.
python3 -m venv --system-site-packages --without-pip /opt/ftbench
python=/opt/ftbench/bin/python
# An option, not the variable: that would replace the configuration's own places.
install() { python3 -m pip --python "$python" install --find-links /build/wheels "$@"; }

if [ "$variant" = cpu ]; then
  # pip's own settings first: the official index is not reachable from everywhere.
  install --no-deps -r torch.txt ||
    install --no-deps -r torch.txt --extra-index-url https://download.pytorch.org/whl/cpu
elif ! "$python" -c 'import torch' 2>/dev/null; then
  install -r torch.txt
fi
install --no-deps --require-hashes -r requirements.lock

# Never imported in an evaluation. torch/include stays on CUDA, where it serves the compiler.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for package in pandas scipy sklearn sympy networkx numpy pyarrow nltk joblib torch; do
  [ -d "$site/$package" ] || continue
  find "$site/$package" -depth -type d \( -name tests -o -name test \) -exec rm -rf {} +
done
# NLTK's sentence models for other languages than English.
find "$site"/punkt/data -name '*.py' -size +100k ! -name english.py -delete
rm -rf "$site"/pyarrow/include "$site"/pyarrow/src
# The same libraries again, under the names that only a linker asks for.
rm -f "$site"/pyarrow/libarrow_python*.so "$site"/pyarrow/libarrow_python*.so.*.*.*
find "$site" -type f \( -name '*.pyx' -o -name '*.pxd' \) -delete
if [ "$variant" = cpu ]; then
  rm -rf "$site"/torch/include
  rm -f "$site"/torch/lib/lib*_test.so
  find "$site"/torch/bin -type f ! -name torch_shm_manager -delete
fi
# Bytecode that pip made of what is deleted above.
find "$site" -name '*.pyc' -delete

# The root file system is read-only later: without bytecode every start would compile again.
# (Some packages carry templates that are no Python; they are not imported either.)
"$python" -m compileall -q -j 0 "$site" >/dev/null || true

"$python" - "$(grep '^torch==' torch.txt | head -n 1)" <<'PYTHON'
import sys

import datasets, opencompass.datasets, opencompass.models, opencompass.tasks, peft, torch, transformers

wanted = sys.argv[1].partition("==")[2].partition(" ")[0].partition("+")[0]
found = torch.__version__.partition("+")[0]
if found != wanted:
    sys.exit(f"the base image has torch {found}, and the lock is made for torch {wanted}")
PYTHON
