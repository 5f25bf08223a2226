"""Lets the tests here import the helper modules beside them (scenes, carried_units), in any import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
