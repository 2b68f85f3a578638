"""An installation with example data of real runs: for pictures, and for tests of all pages."""
