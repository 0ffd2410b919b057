import pytest

from posediff.prepare.model_card import WRITTEN, card, sections, unwritten

FACTS = {"seed": "3", "parameters": "1,234"}


def test_a_first_card_has_the_facts_and_says_what_is_to_be_written():
    text = card("frame", "lift3d", FACTS, "python -m posediff.train task=lift3d")
    assert text.startswith('# frame\n\n`posediff.load("frame")`, or `task=lift3d checkpoint=frame`')
    assert "| seed | 3 |\n| parameters | 1,234 |\n\n    python -m posediff.train" in text
    assert list(sections(text)) == ["Training", *WRITTEN]
    assert unwritten(text) == list(WRITTEN)


def test_what_was_written_by_hand_is_kept_and_the_facts_are_new():
    text = card("frame", "lift3d", FACTS, "a")
    for title in WRITTEN:
        text = text.replace(sections(text)[title], f"All about {title}.\n\n### Below\n\n- one\n")
    text += "\n## More of it\n\nA remark.\n"
    assert unwritten(text) == []
    again = card("frame", "lift3d", FACTS | {"seed": "4"}, "b", text)
    assert "| seed | 4 |" in again
    assert "| seed | 3 |" not in again
    kept = {title: body for title, body in sections(text).items() if title != "Training"}
    assert {**sections(again), "Training": None} == {**kept, "Training": None}
    assert card("frame", "lift3d", FACTS | {"seed": "4"}, "b", again) == again


def test_an_empty_section_is_not_written():
    text = card("frame", "lift3d", FACTS, "a")
    scores = sections(text)["Scores"]
    assert "Scores" in unwritten(text.replace(scores, ""))
    assert "Scores" not in unwritten(text.replace(scores, "65.3 mm"))
    assert unwritten("# no card") == list(WRITTEN)


def test_a_missing_fact_is_refused():
    with pytest.raises(ValueError, match="frame: the fact 'seed' is missing"):
        card("frame", "lift3d", {"seed": ""}, "a")
