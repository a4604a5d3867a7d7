"""What must not be read by others: values that cannot be printed, keys, and what is sealed with them."""
