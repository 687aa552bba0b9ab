"""What only a person can say for a card, and how it joins what is known already."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from ganhub.card import Facts


@dataclass(frozen=True, kw_only=True)
class Said:
    """Options of `export`, `convert` and `publish`; left out, the texts of a named preset on its own data stand."""

    summary: str = ""
    """One sentence for the card."""
    license: str = ""
    """Licence of the weights, as the Hub spells it: mit, cc-by-4.0, other, ..."""
    license_name: str = ""
    """What to call the licence where that is "other"."""
    license_link: str = ""
    """Where the licence can be read where it is "other"."""
    data_citation: str = ""
    """Name and citation of the data set."""
    data_terms: str = ""
    """Under which terms the data may be used."""
    limits: str = ""
    """What the model can't do."""
    bias: str = ""
    """Whom or what the data shows too often, too seldom or unfairly."""


def with_said(facts: Facts, options: Said) -> Facts:
    """The facts with what was said in place of what was known.

    Another licence comes without the name and link of the old one, and other terms of the data don't allow a card to
    show its pictures.
    """
    given: dict[str, Any] = {item.name: getattr(options, item.name) for item in dataclasses.fields(Said)}
    given["data"] = given.pop("data_citation")
    given = {name: text for name, text in given.items() if text}
    if any(given.get(name, getattr(facts, name)) != getattr(facts, name) for name in ("license", "license_name")):
        given = {"license_name": "", "license_link": "", **given}
    if given.get("data_terms", facts.data_terms) != facts.data_terms:
        given["show_data"] = False
    return dataclasses.replace(facts, **given)
