"""Stores: where the subscribers' records, the journal and the outbox are kept, behind one port."""
