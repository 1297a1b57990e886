"""The claims of all chapters, in the order of the paper, and what the table says of a claim of any kind."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from intervals import near_interval, near_p
from synthetic import holm

from qkdlib.records import paired_gain
from qkdlib.study import claims, contents, controlled, robustness, verdicts
from qkdlib.study.claims import Cases, Chance, Claim, Evidence, Lacking, in_order
from qkdlib.study.verdicts import (
    CONTRADICTED,
    IN_PART,
    INCONCLUSIVE,
    MISSING,
    NO,
    NOT_AS_PUBLISHED,
    NOT_SHOWN,
    REPRODUCED,
    UNTESTED,
    YES,
)

ALL = [claim for chapter in contents.CHAPTERS for claim in chapter.claims]
V1 = [
    "RQ2", "I1", "RQ1r", "RQ1v", "RQ3r", "RQ3v", "A1", "A1m", "A1l", "A2", "A2m", "A2l", "A3", "A4", "A5r", "A5v",
    "R1", "R2", "C1", "C2", "C3", "C4a", "C4a2", "C4b", "C4c", "C4d", "C5r", "C5v", "F1", "F2", "F3", "F4", "F5", "F6",
]  # fmt: skip
V2 = ["V1", "V1c", "V1a", "V1ac", "V1k", "V1kc", "V2", "V2c", "V3", "V3c", "V4", "V5", "V6", "V6a"]
EXECUTED = {"C4a": "count", "C4a2": "gain", "V6": "no_loss", "V6a": "gain"}  # with noise, by their kinds
CONTROLLED = {"I1", "RQ1r", "RQ1v", "RQ3r", "RQ3v", "A5r", "A5v", "C5r", "C5v"}  # on students that train
COLUMNS = ["id", "source", "claim", "printed", "recomputed", "ours", "ci_low", "ci_high", "p", "p_holm", "verdict",
           "excluded", "note"]  # fmt: skip
READABLE = [*COLUMNS[:6], "p (Holm)", *COLUMNS[10:]]
GAINS = 1.0 + 0.1 * np.arange(12)  # all above 1 point
NEAR = 0.1 * np.arange(12) - 0.55  # all within a point of 0
WIDE = 3.0 * np.arange(12) - 16.5  # with mean 0


def claim(name: str, kind: str = "gain", ours=None, **more) -> Claim:
    return Claim(name, "abstract", f"claim {name}", "", kind, ours=ours, **more)


def says(found):
    """A test that gives this."""
    return lambda _evidence: found


def of(workspace, *asked) -> list[dict]:
    return claims.table(asked, workspace).to_dict("records")


def lacking(_evidence):
    raise Lacking("of this")


# Of all chapters


@pytest.fixture(scope="module")
def published(whole):
    """The table of all claims where only v1 has records, by id."""
    return contents.CLAIMS.make(whole).set_index("id")


def test_the_table_has_the_claims_of_all_chapters_in_the_order_of_the_paper(published):
    """Those on noise, which another chapter tests, are among the others of their contribution and abstract."""
    assert published.index.tolist() == V1 + V2
    assert published.reset_index().columns.tolist() == COLUMNS
    assert set(published.source[V2]) == {"v2, abstract"} and published.claim[V2].is_unique


def test_claims_of_other_chapters_need_their_records(published):
    """tests/study/robustness and tests/study/controlled have their numbers."""
    assert {each.id: each.kind for each in robustness.CHAPTER.claims} == EXECUTED
    assert {each.id for each in controlled.CHAPTER.claims} == CONTROLLED
    assert all(each.claim and each.ours is not None for each in robustness.CHAPTER.claims + controlled.CHAPTER.claims)
    assert set(published.index[published.verdict == MISSING]) == set(EXECUTED) | CONTROLLED | set(V2) - {"V5"}
    shown = claims.readable(published.reset_index()).set_index("id")
    assert shown.ours["C4a"] == shown.recomputed["C4a"] == ""


def test_every_claim_that_another_follows_is_there_before_it():
    for place, each in enumerate(ALL):
        assert not each.after or each.after in [other.id for other in ALL[:place]], each.id
    assert len({each.id for each in ALL}) == len(ALL)


def test_the_rule_names_every_verdict(published):
    every = {REPRODUCED, CONTRADICTED, INCONCLUSIVE, IN_PART, NOT_AS_PUBLISHED, NOT_SHOWN, UNTESTED, MISSING}
    assert set(published.verdict) <= every
    assert [verdict for verdict in sorted(every) if f"`{verdict}`" not in claims.RULE] == []
    assert "below 0.05" in claims.RULE and "within 1 point of 0" in claims.RULE


def test_p_is_corrected_over_all_claims_that_have_one(published):
    tested = published[published.p.notna()]
    assert {"A1", "A2", "R1", "R2", "F4"} <= set(tested.index) and len(tested) == 14
    assert tested.p_holm.tolist() == pytest.approx(holm(tested.p.astype(float).tolist()))


def test_the_published_table_has_the_rule_and_on_the_page_what_was_measured(published):
    table = contents.CLAIMS
    assert (table.name, table.notes) == ("claims", (claims.RULE,))
    shown = table.readable(published.reset_index())
    in_readme = table.in_readme(shown)
    assert in_readme.columns.tolist() == [name for name in READABLE if name not in ("id", "note")]
    assert len(in_readme) == published.ours.fillna("").ne("").sum() < len(published)
    assert MISSING not in set(in_readme.verdict) and "" not in set(in_readme.ours)


# Their order


def ids(found) -> str:
    return "".join(each.id for each in found)


def test_claims_without_a_place_stay_in_their_order():
    assert ids(in_order(map(claim, "cab"))) == "cab"
    assert in_order([]) == []


def test_a_claim_comes_after_the_one_that_it_names_and_after_those_that_did_before_it():
    first = [claim(name) for name in "abc"]
    late = [claim("x", after="a"), claim("y", after="a"), claim("z", after="c"), claim("w")]
    assert ids(in_order(first + late)) == "axybczw"
    assert ids(in_order([*first, claim("x", after="a"), claim("y", after="x")])) == "axybc"


@given(st.lists(st.sampled_from(["", *"abcd"]), max_size=8))
def test_every_claim_is_there_once_behind_its_own_and_the_others_keep_their_order(names):
    first = [claim(name) for name in "abcd"]
    late = [claim(str(place), after=name) for place, name in enumerate(names)]
    found = in_order(first + late)
    assert sorted(ids(found)) == sorted(ids(first + late))
    for name in ("", *"abcd"):
        assert [each for each in found if each.after == name] == [e for e in first + late if e.after == name]
    for one, two in itertools.pairwise(found):
        assert not two.after or two.after in (one.id, one.after)


# The table


@pytest.mark.parametrize(
    ("kind", "values", "verdict"),
    [
        ("gain", GAINS, REPRODUCED), ("gain", -GAINS, CONTRADICTED), ("gain", NEAR, CONTRADICTED),
        ("gain", WIDE, INCONCLUSIVE), ("gain", WIDE + 5, INCONCLUSIVE),
        ("no_difference", NEAR, REPRODUCED), ("no_difference", GAINS, CONTRADICTED),
        ("no_difference", -GAINS, CONTRADICTED), ("no_difference", WIDE, INCONCLUSIVE),
        ("no_loss", GAINS, REPRODUCED), ("no_loss", NEAR, REPRODUCED), ("no_loss", -GAINS, CONTRADICTED),
        ("no_loss", WIDE, INCONCLUSIVE),
    ],
)  # fmt: skip
def test_a_number_per_seed_has_its_mean_its_interval_its_p_and_the_verdict_of_its_kind(
    workspace, kind, values, verdict
):
    (row,) = of(workspace, claim("a", kind, says(values), note="said"))
    assert (row["ci_low"], row["ci_high"]) == near_interval(values)
    assert row["p"] == row["p_holm"] == near_p(values)
    assert (row["ours"], row["verdict"], row["note"]) == (f"{values.mean():+.2f}", verdict, "said")


def test_what_is_not_surprising_among_so_many_claims_is_inconclusive(workspace):
    values = WIDE / 3 + 3
    (alone,) = of(workspace, claim("a", "gain", says(values)))
    assert 0.05 / 15 < alone["p"] < 0.05 and alone["verdict"] == REPRODUCED
    others = [claim(str(place), "gain", says(WIDE)) for place in range(14)]
    among = of(workspace, *others, claim("a", "gain", says(values)))
    assert [row["p_holm"] for row in among] == pytest.approx(holm([row["p"] for row in among]))
    assert among[-1]["p_holm"] > 0.05 and among[-1]["verdict"] == INCONCLUSIVE
    assert among[-1]["ci_low"] == alone["ci_low"] > 0


@pytest.mark.parametrize(
    ("cases", "verdict"),
    [((3, 0, 3), REPRODUCED), ((1, 0, 3), IN_PART), ((0, 2, 3), CONTRADICTED), ((0, 0, 3), INCONCLUSIVE)],
)
def test_a_count_is_text_and_has_the_verdict_of_a_count(workspace, cases, verdict):
    (row,) = of(workspace, claim("a", "count", says(Cases(*cases)), recomputed=Cases(2, 1, 3)))
    assert (row["ours"], row["recomputed"], row["verdict"]) == (f"{cases[0]} of 3", "2 of 3", verdict)
    assert pd.isna([row["p"], row["p_holm"], row["ci_low"]]).all()


@pytest.mark.parametrize(("p", "verdict"), [(0.049, CONTRADICTED), (0.05, INCONCLUSIVE), (1.0, INCONCLUSIVE)])
def test_what_is_too_unlikely_as_draws_contradicts_and_nothing_else_is_said(workspace, p, verdict):
    (row,) = of(workspace, claim("a", "", says(Chance("0 of 24 runs", p))))
    assert (row["ours"], row["p"], row["p_holm"], row["verdict"]) == ("0 of 24 runs", p, p, verdict)
    among = of(workspace, claim("a", "", says(Chance("0 of 24 runs", p))), claim("b", "", says(Chance("1", 0.9))))
    assert among[0]["p_holm"] == pytest.approx(min(1, 2 * p)) and among[0]["verdict"] == INCONCLUSIVE


def test_text_has_no_verdict_and_what_nobody_measures_is_untested(workspace):
    frame = claims.table([claim("a", "", says("7 gates")), claim("b", "")], workspace)
    assert frame.verdict.tolist() == [NOT_SHOWN, UNTESTED]
    assert frame.ours.fillna("").tolist() == ["7 gates", ""]


# What has to hold besides


@pytest.mark.parametrize(
    ("premise", "verdict"), [(GAINS, REPRODUCED), (WIDE, INCONCLUSIVE), (NEAR, CONTRADICTED), (-GAINS, CONTRADICTED)]
)
def test_what_gains_more_has_to_gain(workspace, premise, verdict):
    """That less is lost than elsewhere is no larger gain."""
    (row,) = of(workspace, claim("a", "gain", says(GAINS), premise=says(premise)))
    assert row["verdict"] == verdict and row["p"] == near_p(GAINS)
    for values in (WIDE, NEAR, -GAINS):  # what is not shown is not shown by any premise
        with_it, without = of(
            workspace, claim("a", "gain", says(values), premise=says(premise)), claim("b", "gain", says(values))
        )
        assert with_it["verdict"] == without["verdict"] != REPRODUCED


@given(st.floats(-3, 3), st.floats(0, 5))
def test_more_than_another_is_reproduced_with_a_premise_that_is_a_gain_alone(middle, spread):
    premise = middle + spread * NEAR
    (row,) = claims.table([claim("a", "gain", says(GAINS), premise=says(premise))], None).to_dict("records")
    found = paired_gain(premise, np.zeros(12))
    assert (row["verdict"] == REPRODUCED) == (verdicts.gain(found, found.p) == verdicts.GAIN)
    assert middle > 0 or row["verdict"] != REPRODUCED


@pytest.mark.parametrize("found", [GAINS, -GAINS, WIDE, Cases(3, 0, 3), Cases(0, 3, 3), Chance("0 of 24", 0.001)])
def test_what_was_not_run_as_published_is_no_verdict(workspace, found):
    one = claim("a", "gain", says(found), value=5.4, as_published=False)
    (row,) = of(workspace, one)
    assert row["verdict"] == NOT_AS_PUBLISHED and row["excluded"] not in (YES, NO)
    (missing,) = of(workspace, dataclasses.replace(one, ours=lacking))
    assert missing["verdict"] == MISSING
    (fact,) = of(workspace, dataclasses.replace(one, ours=says("7 gates"), value=None))
    assert fact["verdict"] == NOT_SHOWN


@pytest.mark.parametrize(("value", "excluded"), [(1.5, NO), (5.4, YES), (-0.1, YES)])
def test_a_printed_number_is_excluded_or_not(workspace, value, excluded):
    rows = of(workspace, claim("a", "gain", says(GAINS), value=value), claim("b", "gain", says(GAINS)))
    assert rows[0]["excluded"] == excluded and rows[1]["excluded"] not in (YES, NO)


# Missing records


def test_a_claim_that_lacks_a_record_is_missing_and_says_which_and_the_others_are_there(workspace):
    some = [claim("a", ours=lacking, note="said", recomputed="0.759"), claim("b", ours=says(GAINS))]
    some += [claim("c", ours=says(GAINS), premise=lacking)]
    frame = claims.table(some, workspace).set_index("id")
    assert frame.verdict.to_dict() == {"a": MISSING, "b": REPRODUCED, "c": MISSING}
    assert (frame.note["a"], frame.recomputed["a"]) == ("no record of this", "0.759")
    assert frame.loc["a", ["ours", "ci_low", "ci_high", "p", "p_holm"]].isna().all()


def test_claims_see_their_workspace_and_share_what_is_made_of_it(workspace):
    made = []

    def make(place):
        made.append(place)
        return len(made)

    def ours(evidence):
        assert evidence.workspace is workspace
        return f"{evidence.once(make)} {evidence.once(make)}"

    frame = claims.table([claim("a", "", ours), claim("b", "", ours)], workspace)
    assert frame.ours.tolist() == ["1 1"] * 2 and made == [workspace]
    other = Evidence(workspace)
    assert other.once(make) == 2  # another table is made anew
    assert other.once(lambda place: "another") == "another"


def test_what_is_made_of_other_things_is_another(workspace):
    asked, evidence = [], Evidence(workspace)

    def make(name, place):
        asked.append((name, place))
        return name.upper()

    assert [evidence.once(make, name) for name in "aba"] == ["A", "B", "A"]
    assert asked == [("a", workspace), ("b", workspace)]


def test_readable_text_has_the_interval_beside_our_number_and_no_gaps(workspace):
    some = [claim("a", ours=says(GAINS)), claim("b", "count", says(Cases(1, 0, 2))), claim("c", ours=lacking)]
    frame = claims.table([*some, dataclasses.replace(some[0], id="d", ours=None)], workspace)
    shown = claims.readable(frame)
    assert shown.columns.tolist() == READABLE
    interval = f"[{frame.ci_low[0]:+.2f}, {frame.ci_high[0]:+.2f}]"
    assert shown.ours.tolist() == [f"+1.55 {interval}", "1 of 2", "", ""]
    assert shown["p (Holm)"].tolist() == [f"{frame.p_holm[0]:.3f}", "", "", ""]
    assert not shown.map(lambda cell: "nan" in str(cell).lower().split()).any(axis=None)
    assert claims.tested(shown).claim.tolist() == ["claim a", "claim b"]


def test_a_fault_in_a_test_is_no_missing_record(workspace):
    def faulty(_):
        return {}["no such arm"]

    with pytest.raises(KeyError, match="no such arm"):
        claims.table([claim("a", ours=faulty)], workspace)
