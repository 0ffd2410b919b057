"""All commands under one name: posediff train|eval|predict|report|check|export|demo, or FILE..."""

import sys
from importlib import import_module

from posediff import __version__, usage, use

COMMANDS = {
    **{
        name: f"posediff.{name}" for name in ("train", "eval", "predict", "report", "check", "demo")
    },
    "export": "posediff.exporting.export_model",  # posediff.export is the function
}


def main() -> None:
    first, *rest = sys.argv[1:] or ["--help"]
    if first == "help" and rest and rest[0] in COMMANDS:
        first, rest = rest[0], ["--help"]
    if first in ("-h", "--help", "help"):
        print(usage.GENERAL, end="")
    elif first == "--version":
        print(__version__)
    elif first == "demo":
        import_module("posediff.demo").main(rest)
    elif first in COMMANDS:
        sys.argv = [f"posediff {first}", *rest]
        import_module(COMMANDS[first]).main()
    else:
        use.main([first, *rest], [*COMMANDS])


if __name__ == "__main__":
    main()
