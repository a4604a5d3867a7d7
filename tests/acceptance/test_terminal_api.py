"""The terminals' endpoint as schemathesis meets it: requests that the OpenAPI document allows, and that it forbids."""
