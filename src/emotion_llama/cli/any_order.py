"""An argument parser that takes positional arguments between the options and behind them too."""

from __future__ import annotations

import argparse
from typing import Any


class AnyOrder(argparse.ArgumentParser):
    """What argparse leaves over belongs to the positional argument that takes several, if there is one.

    argparse itself fills such an argument at the first place only; its "intermixed" parsing does not know sub-verbs.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # as argparse declares them
        """See `argparse`."""
        known, extras = super().parse_known_args(args, namespace)
        several = [a.dest for a in self._actions if not a.option_strings and a.nargs in ("+", "*")]
        if not several:
            return known, extras
        positional = [text for text in extras if text == "-" or not text.startswith("-")]
        getattr(known, several[-1]).extend(positional)
        return known, [text for text in extras if text not in positional]
