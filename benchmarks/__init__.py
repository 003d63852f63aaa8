"""Side-by-side timings against the libraries people would otherwise use. See README.md."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # read when the libraries are loaded, so it stands here
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # where there are two threads: CPU time must not count waiting
