"""Lets the tests here import the helper module beside them (sounds), in any import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
