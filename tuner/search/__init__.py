"""Samplers and pruners: pure functions of the trials, with no clock, no writes, no I/O."""
