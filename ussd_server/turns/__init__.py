"""The turn: an input on its way through the engine, committed before it is answered."""
