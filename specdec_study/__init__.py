"""Studies of speculative decoding with the extension module specdec."""
