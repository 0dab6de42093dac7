"""The report: everything that an experiment has, escaped, inside one file, and readable without what it lacks."""

from __future__ import annotations

import base64
import csv
import dataclasses
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import matplotlib.image
import numpy as np
import pytest
import yaml

from opnorm import figures, provenance
from opnorm.claims.claim import OWN
from opnorm.errors import FileError
from opnorm.figures.context import FigureContext
from opnorm.report import claims, selection, tables
from opnorm.report.constants import constants
from opnorm.report.contents import Constant, Contents, ReportFigure
from opnorm.report.html import Html, element, join, prose, table
from opnorm.report.interval import draw
from opnorm.report.made_by import experiment_file
from opnorm.report.page import render, write_report
from opnorm.report.style import STYLE
from opnorm.settings import Experiment

ROOT = Path(__file__).parents[1]
VOID = {"br", "hr", "img", "meta"}
NASTY = '<b>"d.d." & SNR</b>'
CONFIG = {
    "experiment": "tiny",
    "seeds": [0, 1],
    "threat": {"norm": 2, "epsilon": 1.0, "step_size": "inf", "bounds": None},
    "methods": {"standard": {"label": NASTY, "objective": "standard"}},
    "analyses": {"spectrum": None, "robustness": {"l2": [0.5, 1e-07]}},
}
CLAIMS = [
    (
        "equal",
        "abstract, 5.1",
        NASTY,
        "gap",
        0.01,
        -0.01,
        0.03,
        "between -0.05 and 0.05",
        "supported",
        "robustness",
        3,
        360,
    ),
    ("damped", "5.2", "Dampens", "ratio", 1.4, 1.2, 1.6, "below 0.9", "refuted", "spectrum", 1, 200),
    ("flat", "5.3", "Is flat", "slope", -0.04, -0.08, 0.01, "above -0.05", "inconclusive", "no such figure", 1, 200),
    ("unknown", "5.2", "Cannot be said", "ratio", "", "", "", "below 1", "inconclusive", "", 1, 200),
]


class Page(HTMLParser):
    """Checks that elements nest, and keeps what they say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    """An experiment with three figures, claims, a selection, and names that would break a page."""
    made = []
    for number, name in enumerate(("spectrum", "robustness", "accuracies")):
        matplotlib.image.imsave(tmp_path / f"{name}.png", np.full((30 + number, 40), 0.5))
        made.append(ReportFigure(name, ("figure2",), f"``{name}`` & its\ncaption.\n\nMore.", *files(tmp_path, name)))
    write(tmp_path / "spectrum.csv", [("method", "rank", "mean"), *(("standard", r, 1 / (r + 1)) for r in range(300))])
    write(tmp_path / "robustness.csv", [("method", "norm", "mean"), ("standard", "inf", ""), ("standard", 2, -0.12345)])
    write(
        tmp_path / "accuracies.csv",
        [
            ("method", "epsilon", "mean", "standard_error", "n", "seed_std"),
            ("standard", 0.0, 0.973, 0.0051, 360, 0.01),
            ("standard", 1.0, 0.25, 0.02, 360, ""),
        ],
    )
    write(tmp_path / "claims.csv", [claims.COLUMNS, *CLAIMS])
    write(tmp_path / "weight.csv", [("method", "weight", "chosen"), ("standard", 0.5, "yes"), ("standard", 1, "no")])
    (tmp_path / "train").write_bytes(b"data")
    return Contents(
        experiment="tiny",
        context=FigureContext(("standard",), {"standard": NASTY}, 2.0, 1.0, "digits"),
        figures=tuple(made),
        provenance=provenance.record(CONFIG, data={"train": tmp_path / "train"}),
        claims=tmp_path / "claims.csv",
        constants=(
            Constant("Radius", 0.25),
            Constant(f"{NASTY}: weight", 0.5, "closest to it", (0.5, 1.0), recorded=False, table="weight"),
        ),
        selection=(tmp_path / "weight.csv",),
    )


def files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.png", folder / f"{name}.csv"


def write(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def decoded(uri: str | None) -> bytes:
    assert uri is not None
    return base64.b64decode(uri.partition(";base64,")[2], validate=True)


def test_elements_nest_and_sections_come_in_order(contents: Contents) -> None:
    page = Page(render(contents))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    order = ["claims", "figures", "accuracies", "selection", "provenance"]
    assert [found["id"] for found in page.all("section") if found.get("id") in order] == order
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_names_are_words_and_never_elements(contents: Contents) -> None:
    text = render(contents)
    assert NASTY not in text
    assert NASTY in Page(text).words
    assert "<b>&quot;" not in text


def test_nothing_is_loaded_from_elsewhere(contents: Contents) -> None:
    page = Page(render(contents))
    outside = [
        (tag, value)
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action") and not (value or "").startswith(("data:", "#"))
    ]
    assert outside == [("a", "https://arxiv.org/abs/1906.01527")]
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert not page.all("script")
    assert {"default-src 'none'; img-src data:; style-src 'unsafe-inline'"} <= {
        m.get("content") for m in page.all("meta")
    }


def test_links_in_the_page_lead_somewhere(contents: Contents) -> None:
    page = Page(render(contents))
    places = [found["id"] for _, found in page.elements if "id" in found]
    assert len(set(places)) == len(places)
    links = {found["href"] for found in page.all("a") if (found["href"] or "").startswith("#")}
    assert {"#claims", "#figure-spectrum", "#figure-robustness"} <= links
    assert {link[1:] for link in links if link} <= set(places)


def test_every_figure_is_there_with_its_picture_caption_and_numbers(contents: Contents) -> None:
    page = Page(render(contents))
    images = page.all("img")
    assert [decoded(image["src"]) for image in images] == [Path(f.png).read_bytes() for f in contents.figures]
    assert [(int(i["height"] or 0), int(i["width"] or 0)) for i in images] == [
        (round(h * 0.448), round(40 * 0.448)) for h in (30, 31, 32)
    ]
    for figure, image in zip(contents.figures, images, strict=True):
        assert figure.title in (image["alt"] or "")
        assert f"{figure.name} & its caption." in page.words
    downloads = {found["download"]: decoded(found["href"]) for found in page.all("a") if "download" in found}
    for path in [
        *(Path(figure.csv) for figure in contents.figures),
        Path(contents.selection[0]),
        Path(contents.claims or ""),
    ]:
        assert downloads[path.name] == path.read_bytes()


def test_long_tables_are_for_downloading_alone(contents: Contents) -> None:
    page = Page(render(contents))
    captions = [attributes["aria-label"] for attributes in page.all("div") if "aria-label" in attributes]
    assert "Numbers of the figure Robustness" in captions
    assert "Numbers of the figure Spectrum" not in captions
    assert "(300 rows)" in page.words


def test_verdicts_are_words_and_counted(contents: Contents) -> None:
    page = Page(render(contents))
    kinds = [c for found in page.all("span") if (c := found.get("class") or "").startswith("verdict")]
    assert kinds[6:] == ["verdict supported", "verdict refuted", "verdict inconclusive", "verdict inconclusive"]
    assert re.search(r"1 ✓ supported\s*1 ✗ refuted\s*2 \? inconclusive", page.words)
    assert "1.4 [1.2,\u00a01.6]" in page.words
    assert "−0.04 [−0.08,\u00a00.01]" in page.words
    assert "– [–,\u00a0–]" in page.words


@pytest.mark.parametrize(
    ("criterion", "shade"),
    [
        # Of 150 points the numbers from 1 to 5 take those from 12 to 138.
        ("above 1", (12.0, 138.0)),
        ("below 5", (0.0, 138.0)),
        ("at most 5", (0.0, 138.0)),
        ("between 1 and 5", (12.0, 126.0)),
        ("between 1 and 1e+00", (12.0, 0.0)),
        ("like nothing else", None),
    ],
)
def test_intervals_are_drawn_over_where_they_have_to_be(criterion: str, shade: tuple[float, float] | None) -> None:
    page = Page(draw(2.0, 1.0, 5.0, criterion) or "")
    assert [(float(r["x"] or 0), float(r["width"] or 0)) for r in page.all("rect")] == ([shade] if shade else [])
    line, dot = page.all("line")[0], page.all("circle")[0]
    assert (line["x1"], line["x2"], dot["cx"]) == ("12.0", "138.0", "43.5")


def test_what_is_not_finite_is_not_drawn() -> None:
    assert draw(1.0, -math.inf, 2.0, "above 0") is None
    assert draw(math.nan, 0.0, 2.0, "above 0") is None
    assert draw(1.0, 1.0, 1.0, "above 1") is not None


def test_claims_are_grouped_by_the_papers_sections_in_its_order(contents: Contents, tmp_path: Path) -> None:
    others = [(name, section, *CLAIMS[1][2:]) for name, section in (("own", OWN), ("old", "earlier version"))]
    write(tmp_path / "claims.csv", [claims.COLUMNS, *others, *reversed(CLAIMS)])
    text = claims.section(contents)
    titles = ["Abstract, Section 5.1", "Section 5.2", "Section 5.3", "Earlier version", "Beyond the paper"]
    assert re.findall(r"<h3 id.*?>(.*?)</h3>", text) == titles
    assert text.index("Cannot be said") < text.index("Dampens") < text.index("Is flat")


def test_verdicts_are_counted_by_section(contents: Contents, tmp_path: Path) -> None:
    write(tmp_path / "claims.csv", [claims.COLUMNS, *CLAIMS, ("odd", "5.2", *CLAIMS[1][2:8], "odd", *CLAIMS[1][9:])])
    text = claims.section(contents)
    overview = text[text.index('class="overview"') :]
    rows = re.findall(r"<tr>(.*?)</tr>", overview[: overview.index("</table>")])
    cells = [re.findall(r">([^<>]+)</(?:th|td|a)>", row) for row in rows[1:]]
    assert re.findall(r"</span> (\w+)</span>", rows[0]) == ["supported", "refuted", "inconclusive", "odd"]
    assert [[name, sum(map(int, counts))] for name, *counts in cells] == [
        ["Abstract, Section 5.1", 1], ["Section 5.2", 3], ["Section 5.3", 1],
    ]  # fmt: skip
    assert [counts[-1] for _, *counts in cells] == ["0", "1", "0"]


def test_accuracies_are_in_percent_by_method_and_attack(contents: Contents) -> None:
    words = Page(render(contents)).words
    assert "clean" in words
    assert "l2, ε = 1" in words
    assert "97.3 ± 0.5 (seeds 1.0)" in words
    assert "25.0 ± 2.0" in words


CHECKS = [
    ("method", "check", "norm", "epsilon", "threshold", "mean"),
    ("standard", "zero_gradients", "network", 0.0, 0.0, 0.0),
    ("standard", "more_iterations_50", 2, 1.0, 0.02, 0.104),
    ("standard", "black_box", "inf", 0.1, 0.002, ""),
    ("standard", "monotone", "inf", 0.0, 0.02, 0.5),
    ("standard", "large_epsilon", 2, 8.0, 0.1, 0.1),
]


def test_doubts_stand_before_claims_and_accuracies(contents: Contents, tmp_path: Path) -> None:
    unchecked = Page(render(contents)).words
    assert "not pass" not in unchecked
    assert unchecked.count("Accuracies under attack were not checked") == 2
    write(tmp_path / "sanity.csv", CHECKS)
    shutil.copy(contents.figures[0].png, tmp_path / "sanity.png")
    checked = dataclasses.replace(
        contents, figures=(*contents.figures, ReportFigure("sanity", (), "Checks.", *files(tmp_path, "sanity")))
    )
    words = Page(render(checked)).words
    expected = (
        "Accuracies under attack may be too high: of 5 checks (sanity) 3 do not pass."
        f"{NASTY}: more iterations 50 (l2, ε = 1): 0.104, at most 0.02 expected"
        f"{NASTY}: black box (linf, ε = 0.1): –, at most 0.002 expected"
        f"{NASTY}: monotone (linf): 0.5, at most 0.02 expected"
    )
    assert words.count(expected) == 2
    first, second = (match.start() for match in re.finditer("may be too high", words))
    assert first < words.index("Dampens")
    assert second < words.index("97.3 ± 0.5")
    write(
        tmp_path / "sanity.csv",
        [row for row in CHECKS if row[1] not in ("more_iterations_50", "black_box", "monotone")],
    )
    assert "Of 2 checks (sanity) of the attacks none gives reason to doubt" in Page(render(checked)).words


EVALUATED = [
    ("method", "norm", "epsilon", "attack", "mean"),
    *(("standard", 2, 1.0, attack, mean) for attack, mean in (
        ("clean", 0.9), ("pga_10", 0.5), ("pga_200", 0.48), ("pga_200x5", 0.45), ("apgd_ce", 0.44), ("fab_t", 0.43),
        ("square", 0.427), ("autoattack", 0.427), ("worst_case", 0.427),
    )),
]  # fmt: skip


def test_what_stronger_attacks_gain_is_a_doubt_in_every_group(contents: Contents, tmp_path: Path) -> None:
    shown = []
    for name, rows in (("evaluation", EVALUATED[:2]), ("evaluation_linf", EVALUATED)):
        write(tmp_path / f"{name}.csv", rows)
        shutil.copy(contents.figures[0].png, tmp_path / f"{name}.png")
        shown.append(ReportFigure(name, (), "Attacks.", *files(tmp_path, name)))
    words = Page(render(dataclasses.replace(contents, figures=(*contents.figures, *shown)))).words
    expected = (
        "Accuracies under attack may be too high: of 4 checks (evaluation) 3 do not pass."
        f"{NASTY}: PGA-200, 5 starts after PGA-200 gains (l2, ε = 1): 0.03, at most 0.02 expected"
        f"{NASTY}: AutoAttack after PGA-200, 5 starts gains (l2, ε = 1): 0.023, at most 0.02 expected"
        f"{NASTY}: Square after FAB-T gains (l2, ε = 1): 0.003, at most 0.002 expected"
    )
    assert words.count(expected) == 2


def test_many_doubts_are_in_a_list_that_opens(contents: Contents, tmp_path: Path) -> None:
    write(tmp_path / "sanity.csv", [CHECKS[0], *[("standard", "monotone", 2, 1.0, 0.02, 0.5)] * 9])
    shutil.copy(contents.figures[0].png, tmp_path / "sanity.png")
    sanity = ReportFigure("sanity", (), "Checks.", *files(tmp_path, "sanity"))
    closed = re.findall(
        r'<div class="doubts">.*?<details>.*?</details></div>',
        render(dataclasses.replace(contents, figures=(*contents.figures, sanity))),
        re.S,
    )
    assert len(closed) == 2
    assert closed[0].count("<li>") == 9
    assert "9 do not pass" in closed[0]


def test_rows_say_of_how_many_seeds_and_samples_they_are(contents: Contents) -> None:
    words = Page(render(contents)).words
    assert "3 seeds, 360 samples" in words
    assert "1 seed, 200 samples" in words


def test_a_check_of_networks_has_no_interval_and_no_samples(contents: Contents, tmp_path: Path) -> None:
    check = ("passed", OWN, "No doubt", "share", 1.0, 1.0, 1.0, "above 0.99", "supported", "sanity", 3, "")
    write(tmp_path / "claims.csv", [claims.COLUMNS, check])
    row = str(claims.section(contents)).split("No doubt")[1]
    assert ">1</span>" in row
    assert "[" not in row
    assert ">3 seeds</small>" in row


def test_provenance_is_complete(contents: Contents) -> None:
    made = {
        **contents.provenance,
        "commit": {"hash": "0123abcd", "changed": ["src/<x>.py"]},
        "machines": ["Epyc & Sons, 2 cores"],
        "stages": [
            {"stage": "train standard", "jobs": 1, "seconds": 61.25, "memory_mib": 700.4},
            {"stage": "attack", "jobs": 2, "seconds": 2.0, "memory_mib": 500.0},
        ],
    }
    text = render(dataclasses.replace(contents, provenance=made))
    words = Page(text).words
    for expected in ("0123abcd", "src/<x>.py", "1 changed since", "Epyc & Sons, 2 cores", made["data"]["train"]):
        assert expected in words
    assert all(f"{name}{version}" in words for name, version in provenance.versions().items())
    assert "train standard161.2700" in words
    assert "all363.2700" in words
    assert "unknown" in Page(render(dataclasses.replace(contents, provenance={**made, "commit": None}))).words
    some = [{key: row[key] for key in ("stage", "jobs", "seconds")} for row in made["stages"]]
    assert "all363.2–" in Page(render(dataclasses.replace(contents, provenance={**made, "stages": some}))).words
    assert (
        "all363.2700"
        in Page(
            render(dataclasses.replace(contents, provenance={**made, "stages": [made["stages"][0], some[1]]}))
        ).words
    )


def test_the_experiment_file_can_be_run_again(contents: Contents) -> None:
    assert yaml.safe_load(experiment_file(CONFIG)) == CONFIG
    assert experiment_file(CONFIG).splitlines()[:3] == ['experiment: "tiny"', "seeds: [0, 1]", "threat:"]


def test_what_an_experiment_lacks_is_said(contents: Contents, tmp_path: Path) -> None:
    bare = dataclasses.replace(contents, figures=(), claims=None, constants=contents.constants[:1], selection=())
    page = Page(render(bare))
    for words in ("no table of claims", "no figures", "does not measure accuracies", "was chosen by a rule"):
        assert words in page.words
    write(tmp_path / "empty.csv", [claims.COLUMNS])
    empty = dataclasses.replace(contents, claims=tmp_path / "empty.csv")
    assert "None of the paper's claims can be judged" in Page(render(empty)).words


def test_claims_that_are_not_judged_are_listed_by_reason(contents: Contents) -> None:
    assert "Not judged" not in Page(render(contents)).words
    reasons = {"more_linear": "no l2 & no more", "theorem_exact": "no theorem", "linear_in_ball": "no l2 & no more"}
    for claims_of in (contents.claims, None):
        words = Page(render(dataclasses.replace(contents, not_judged=reasons, claims=claims_of))).words
        assert ("Not judged: 3 claims" in words) == (claims_of is not None)
        assert ("more linear, linear in ball: no l2 & no more." in words) == (claims_of is not None)


def rows_of(text: str) -> list[str]:
    """The words of each row of a table, with bars between its cells."""
    return [Page(row.replace("</t", "|</t")).words for row in re.findall(r"<tr>(.*?)</tr>", text)]


def test_constants_say_who_chose_them_and_from_what(contents: Contents) -> None:
    text = selection.section(contents)
    assert rows_of(text)[:3] == [
        "Constant|Value|Chosen|Rule|",
        "Radius|0.25|given||",
        f"{NASTY}: weight|0.5|in this run: candidates|closest to it; out of 0.5, 1|",
    ]
    assert 'href="#selection-weight"' in text
    assert 'id="selection-weight"' in text
    assert "earlier" not in text


def test_what_was_chosen_earlier_says_how_to_choose_again(contents: Contents) -> None:
    recorded = dataclasses.replace(contents.constants[1], recorded=True)
    text = selection.section(dataclasses.replace(contents, constants=(recorded,), selection=()))
    assert rows_of(text)[1].endswith("|recorded|closest to it; out of 0.5, 1|")
    assert "The target <code>selection</code> of the workflow" in text
    assert "#selection-" not in text
    # Where another choice is open, the workflow compares the candidates of all rules.
    again = selection.section(dataclasses.replace(contents, constants=(recorded,)))
    assert rows_of(again)[1].endswith("|recorded: candidates|closest to it; out of 0.5, 1|")


def test_constants_are_those_of_the_experiment_file() -> None:
    config = yaml.safe_load((ROOT / "config/digits.yaml").read_text(encoding="utf-8"))
    config["methods"]["extra"] = {"objective": "adversarial", "threat": {"norm": "inf", "epsilon": 0.1}}
    del config["methods"]["dd_snr"]["weight"]["chosen"]
    experiment = Experiment.from_config(config, None, "digits.yaml").with_choices({"methods.dd_snr.weight": 3.0})
    radius, other, exact, power, extra = constants(experiment)
    assert (radius.value, radius.recorded, radius.table) == (1.0, True, "epsilon")
    assert radius.rule == (
        "smallest radius at which 99 % of the test inputs to Standard are misclassified, "
        "in steps of 0.5 times the radius"
    )
    assert other == Constant("Global SNR: weight", 3e-4)
    assert exact == Constant(
        "d.d. SNR (exact): weight",
        3.0,
        "clean accuracy closest to that of Adversarial (AT), on 20 % of the training data, held out",
        (0.3, 1.0, 1.5, 2.0, 3.0, 10.0),
        recorded=False,
        table="dd_snr",
    )
    assert power == dataclasses.replace(exact, name="d.d. SNR (power): weight", rule="that of d.d. SNR (exact)")
    assert extra == Constant("extra: radius ε, linf", 0.1)


def test_the_same_contents_give_the_same_bytes(contents: Contents, tmp_path: Path) -> None:
    write_report(contents, tmp_path / "a.html")
    write_report(contents, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes() == render(contents).encode()
    later = dataclasses.replace(contents, provenance={**contents.provenance, "time": "2000-01-01T00:00:00+00:00"})
    changed = [a for a, b in zip(render(contents).split("<dd>"), render(later).split("<dd>"), strict=True) if a != b]
    assert len(changed) == 1


@pytest.mark.parametrize("name", ["claims.csv", "accuracies.csv", "spectrum.csv", "spectrum.png"])
def test_a_missing_or_damaged_file_is_named(name: str, contents: Contents, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe damaged")
    with pytest.raises(FileError, match=name):
        render(contents)
    (tmp_path / name).unlink()
    with pytest.raises(FileError, match=name):
        render(contents)


def test_elements_escape_text_and_leave_html() -> None:
    assert element("a", "x < y & z", Html("<i>"), None, href='"&', class_="c", open=True, hidden=False) == Html(
        '<a href="&quot;&amp;" class="c" open>x &lt; y &amp; z<i></a>'
    )
    assert element("img", alt="") == '<img alt="">'
    assert isinstance(join(["a", "b"]), Html)


def test_tables_have_headers_and_a_caption() -> None:
    found = Page(table(["Name", "Value"], [["a", "1"], ["b", "2"]], caption="Things"))
    assert [cell["scope"] for cell in found.all("th")] == ["col", "col", "row", "row"]
    assert found.all("td") == [{"class": "number"}] * 2
    assert len(found.all("caption")) == 1
    assert found.words == "ThingsNameValuea1b2"


def test_prose_is_read_as_the_captions_write_it() -> None:
    assert prose("A ``x < y``\nand **more**,\n*so*.\n\nB\n") == (
        "<p>A <code>x &lt; y</code> and <strong>more</strong>, <em>so</em>.</p><p>B</p>"
    )


@pytest.mark.parametrize("name", figures.REGISTRY)
def test_captions_have_no_markup_that_prose_does_not_know(name: str) -> None:
    words = Page(prose((ROOT / f"workflow/report/{name}.rst").read_text(encoding="utf-8"))).words
    assert words
    assert not re.search(r"`|\*|::|^\.\.|_\b *$", re.sub(r"\|.*?\|", "", words))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("0.123456", "0.123"),
        ("-3", "−3"),
        ("360.0", "360"),
        ("1e-05", "1e−05"),
        ("", "–"),
        ("nan", "–"),
        (math.nan, "–"),
        ("inf", "∞"),
        ("clean", "clean"),
        ("True", "yes"),
    ],
)
def test_numbers_are_short(field: str | float, expected: str) -> None:
    assert tables.written(field) == expected


def contrast(first: str, second: str) -> float:
    """WCAG's ratio of the luminances of two colours #rrggbb."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_colours_are_readable_by_day_by_night_and_on_paper() -> None:
    themes = [dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)]
    assert len(themes) == 3
    for theme in themes:
        for name in ("ink", "quiet", "link", "supported", "refuted", "inconclusive"):
            assert contrast(theme[name], theme["paper"]) >= 4.5, name
            assert contrast(theme[name], theme["shade"]) >= 4.5, name


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1366])
def test_a_browser_shows_the_report_without_scrolling_sideways(width: int, contents: Contents, tmp_path: Path) -> None:
    write_report(contents, tmp_path / "report.html")
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<iframe src="report.html" width="{width}" height="800"></iframe><script>onload = () => {{'
        "const inner = document.querySelector('iframe').contentDocument, page = inner.documentElement;"
        "for (const folded of inner.querySelectorAll('details')) folded.open = true;"
        "const images = [...page.querySelectorAll('img')].every(image => image.complete && image.naturalWidth > 0);"
        "const overview = page.querySelector('.overview').closest('.scroll');"
        "const whole = overview.scrollWidth <= overview.clientWidth;"
        "document.title = [page.scrollWidth, page.clientWidth, images, whole].join(' '); }</script>"
    )
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--allow-file-access-from-files",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        outer.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    title = re.search(r"<title>(\d+) (\d+) (\w+) (\w+)</title>", done.stdout)
    assert title, unquote(done.stdout[:500])
    assert int(title[1]) <= int(title[2]) <= width
    assert title[3] == title[4] == "true"
