"""Options of the commands that are not composed by Hydra."""

import argparse
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` with this text as --help, whose errors are ValueErrors."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, add_help=False, allow_abbrev=False)
        self.text = text
        self.add_argument("-h", "--help", action="help")

    def format_help(self) -> str:
        return self.text

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options and the words that are left. A word that names a file and no option is the
        file, with leading dashes, too."""
        known = {name for action in self._actions for name in action.option_strings}
        words = sys.argv[1:] if args is None else args
        files = {word for word in words if word[:1] == "-" and Path(word).exists()} - known
        return super().parse_known_args(
            [f"./{word}" if word in files else word for word in words], namespace
        )

    def error(self, message: str) -> NoReturn:
        known = [name for action in self._actions for name in action.option_strings]
        wrong = [
            word.partition("=")[0].rstrip(":,") for word in message.split() if word[:2] == "--"
        ]
        meant = get_close_matches(wrong[0], known, 1) if wrong and wrong[0] not in known else []
        hint = f" (did you mean {meant[0]}?)" if meant else ""
        raise ValueError(f"{message}{hint}; {self.prog} --help lists the options")
