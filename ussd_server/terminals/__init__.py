"""Payment terminals: who they are, what they may ask, what is said to them, and how each of it is carried out."""
