"""The OpenAPI 3.1 document of the terminals' endpoint, made from the table of operations, the messages and the problems."""
