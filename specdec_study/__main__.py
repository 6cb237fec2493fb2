"""python -m specdec_study is python -m specdec_study.run_experiment."""

import sys

from specdec_study.run_experiment import console

sys.exit(console())
