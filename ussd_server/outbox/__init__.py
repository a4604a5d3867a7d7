"""The outbox: what happens after the commit, at least once each."""
