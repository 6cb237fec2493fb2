#!/usr/bin/env python3
"""Runs several configurations over one benchmark: see specdec_study/batch.py."""

import sys

from specdec_study.batch import console

sys.exit(console())
