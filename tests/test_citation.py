"""CITATION.cff: what the Citation File Format 1.2.0 asks for, and the same version and licence as the package."""

import re
from pathlib import Path

import pytest
import yaml

import opnorm

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PAPER = CITATION["references"][0]

# The format's schema: https://github.com/citation-file-format/citation-file-format, schema.json of 1.2.0.
REQUIRED = {"authors", "cff-version", "message", "title"}
KNOWN = REQUIRED | {
    "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url",
    "preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url",
    "version",
}  # fmt: skip
PAPER_KEYS = {
    "authors", "collection-title", "collection-type", "conference", "identifiers", "notes", "title", "type", "url",
    "volume", "year",
}  # fmt: skip
PERSON = {"family-names", "given-names"}
ENTITY = {"name"}


def test_the_software_has_what_the_format_requires():
    assert REQUIRED <= CITATION.keys() <= KNOWN
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert len(set(CITATION["keywords"])) == len(CITATION["keywords"])


def test_the_paper_has_what_the_format_requires():
    assert {"authors", "title", "type"} <= PAPER.keys() <= PAPER_KEYS
    assert PAPER["type"] == "conference-paper"
    assert isinstance(PAPER["year"], int)
    assert re.fullmatch(r"https://\S+", PAPER["url"])
    assert PAPER["conference"].keys() == ENTITY
    assert all({"type", "value"} <= identifier.keys() for identifier in PAPER["identifiers"])


@pytest.mark.parametrize("cited", [CITATION, PAPER], ids=["software", "paper"])
def test_every_author_is_a_person_or_an_entity(cited):
    assert cited["authors"]
    assert all(author.keys() in (PERSON, ENTITY) for author in cited["authors"])


def test_version_and_licence_are_the_packages():
    assert CITATION["version"] == opnorm.__version__
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{CITATION['license']} License")


def test_the_papers_title_is_the_readmes():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert PAPER["title"] in readme
    assert PAPER["identifiers"][0]["value"].removeprefix("arXiv:") in readme
