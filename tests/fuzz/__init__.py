"""Arbitrary octets at all that receives them: targets, the corpus that a fuzzer has found, and its runner."""
