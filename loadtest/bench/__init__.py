"""The parts of the load test; `loadtest/run` puts them together."""
