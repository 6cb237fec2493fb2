"""References and helpers of the tests: slow, obvious, and independent of the C code."""
