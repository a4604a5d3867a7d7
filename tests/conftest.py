"""What every test runs under."""

pytest_plugins = ["pytester", "tests.leaks"]
