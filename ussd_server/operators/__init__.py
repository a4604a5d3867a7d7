"""Operators: the billing system (BSS) behind one small port, and the embedded one for a start without any."""
