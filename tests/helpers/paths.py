"""Where things lie in a clone."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
HELPERS = TESTS / "helpers"
GOLDENS = TESTS / "goldens"
