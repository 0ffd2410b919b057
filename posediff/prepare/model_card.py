"""Cards of models that ship: what the files of a training say, and what its author writes.

# <name>             a sentence, and how the model is loaded
## Training          facts and the command, written again every time
## Data and licences, ## Scores, ## Not good for, ## Calibration, and any other heading
                     kept as they are in the card that there was
"""

import re
from collections.abc import Mapping

TRAINING = "Training"
WRITTEN = {
    "Data and licences": "what it was trained on, whose that is, and on which terms",
    "Scores": "figures on people that nothing was trained or selected on, each with its command",
    "Not good for": "where it fails, and what it was not made for",
    "Calibration": "whether the spread can be trusted, and what it was scaled on",
}
SOURCE = "This section is written by scripts/publish.py from the files of the training."
MISSING = "Not written yet: "


def card(name: str, task: str, facts: Mapping[str, str], command: str, before: str = "") -> str:
    """The text of a card. `before` is the card that it replaces.

    Raises ValueError for a fact that is empty.
    """
    for fact, value in facts.items():
        if not value.strip():
            raise ValueError(f"{name}: the fact {fact!r} is missing")
    kept = sections(before)
    kept.pop(TRAINING, None)
    texts = {title: kept.pop(title, f"{MISSING}{what}.") for title, what in WRITTEN.items()} | kept
    table = "\n".join(f"| {fact} | {value} |" for fact, value in facts.items())
    texts = {TRAINING: f"{SOURCE}\n\n| | |\n|---|---|\n{table}\n\n    {command}", **texts}
    use = f'`posediff.load("{name}")`, or `task={task} checkpoint={name}` behind the commands.'
    body = (f"## {title}\n\n{text}\n" for title, text in texts.items())
    return "\n".join([f"# {name}\n\n{use}\n", *body])


def sections(text: str) -> dict[str, str]:
    """The texts below the headings of second level of a card."""
    parts = re.split(r"^## +(.+?) *$", text, flags=re.MULTILINE)
    return {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def unwritten(text: str) -> list[str]:
    """The headings that a card must have, and below which nothing has been written."""
    found = sections(text)
    return [x for x in WRITTEN if not found.get(x) or found[x].startswith(MISSING)]
