"""Who the subscribers are: numbers, the stored record, and the rules of the access code. Pure."""
