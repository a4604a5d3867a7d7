"""docs/scaling.md: its tables, the sentences with figures in them, and its pictures, all of the capacity model."""
