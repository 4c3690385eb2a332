"""Models and data that come along: enough for a lab, and for the tests."""
