#!/usr/bin/env python3
"""Runs the configurations of a group of models: see specdec_study/experiments.py."""

import sys

from specdec_study.experiments import console

sys.exit(console())
