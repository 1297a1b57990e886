"""The claims of all chapters, in the order of the paper, and what the table says of a claim of any kind."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdlib.records import summarise
from qkdlib.study import claims, contents, robustness
from qkdlib.study.claims import Claim, Evidence, Lacking, in_order
from qkdlib.study.verdicts import IN_PART, MISSING, NOISE, NOT_REPRODUCED, NOT_SHOWN, REPRODUCED

ALL = [claim for chapter in contents.CHAPTERS for claim in chapter.claims]
V1 = [
    "A1", "A1m", "A2", "A2m", "A3", "A4", "A5", "C1", "C2", "C3", "C4a", "C4a2", "C4b", "C4c", "C5",
    "F1", "F2", "F3", "F4", "F5", "F6",
]  # fmt: skip
V2 = ["V1", "V1c", "V1a", "V1ac", "V2", "V2c", "V3", "V3c", "V4", "V5", "V6", "V6a"]
EXECUTED = {"C4a": "count", "C4a2": "gain", "V6": "no_loss", "V6a": "gain"}  # with noise, by their kinds
COLUMNS = ["id", "source", "claim", "printed", "recomputed", "ours", "ci_low", "ci_high", "verdict", "note"]
GAINS = np.array([1.0, 2.0, 4.0, 3.0])


def claim(name: str, kind: str = "gain", ours=None, **more) -> Claim:
    return Claim(name, "abstract", f"claim {name}", "", kind, ours=ours, **more)


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


def test_claims_on_noise_are_the_chapter_on_noises_and_need_its_executions(published):
    """tests/study/robustness has their numbers."""
    assert {each.id: each.kind for each in robustness.CHAPTER.claims} == EXECUTED
    assert all(each.claim and each.ours is not None for each in robustness.CHAPTER.claims)
    assert set(published.index[published.verdict == MISSING]) == set(EXECUTED) | set(V2) - {"V5"}
    shown = claims.readable(published.reset_index()).set_index("id")
    assert shown.ours["C4a"] == shown.recomputed["C4a"] == ""


def test_every_claim_that_another_follows_is_there_before_it():
    for place, each in enumerate(ALL):
        assert not each.after or each.after in [other.id for other in ALL[:place]], each.id
    assert len({each.id for each in ALL}) == len(ALL)


def test_the_rule_names_every_verdict(published):
    assert set(published.verdict) <= {REPRODUCED, NOISE, NOT_REPRODUCED, IN_PART, NOT_SHOWN, MISSING}
    for verdict in (REPRODUCED, NOISE, NOT_REPRODUCED, IN_PART, NOT_SHOWN, MISSING):
        assert f"`{verdict}`" in claims.RULE


def test_the_published_table_has_the_rule_and_on_the_page_what_was_measured(published):
    table = contents.CLAIMS
    assert (table.name, table.notes) == ("claims", (claims.RULE,))
    shown = table.readable(published.reset_index())
    in_readme = table.in_readme(shown)
    assert in_readme.columns.tolist() == ["source", "claim", "printed", "recomputed", "ours", "verdict"]
    assert len(in_readme) == published.ours.notna().sum() < len(published)
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
        ("gain", GAINS, REPRODUCED), ("gain", -GAINS, NOT_REPRODUCED), ("gain", GAINS - 2.5, NOISE),
        ("no_difference", GAINS - 2.5, REPRODUCED), ("no_difference", GAINS, NOT_REPRODUCED),
        ("no_loss", GAINS, REPRODUCED), ("no_loss", GAINS - 2.5, REPRODUCED), ("no_loss", -GAINS, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_a_number_per_seed_has_its_mean_its_interval_and_the_verdict_of_its_kind(workspace, kind, values, verdict):
    (row,) = claims.table([claim("a", kind, lambda _: values, note="said")], workspace).to_dict("records")
    found = summarise(values)
    assert (row["ci_low"], row["ci_high"]) == (found.low, found.high)
    assert (row["ours"], row["verdict"], row["note"]) == (f"{values.mean():+.2f}", verdict, "said")


@pytest.mark.parametrize(("found", "verdict"), [((3, 3), REPRODUCED), ((1, 3), IN_PART), ((0, 3), NOT_REPRODUCED)])
def test_a_count_is_text_and_has_the_verdict_of_a_count(workspace, found, verdict):
    one = claim("a", "count", lambda _: found, recomputed=(2, 3))
    (row,) = claims.table([one], workspace).to_dict("records")
    assert (row["ours"], row["recomputed"], row["verdict"]) == (f"{found[0]} of 3", "2 of 3", verdict)


def test_text_has_no_verdict_and_neither_has_what_was_not_tested(workspace):
    frame = claims.table([claim("a", "fact", lambda _: "7 gates"), claim("b", "fact")], workspace)
    assert frame.verdict.tolist() == [NOT_SHOWN] * 2
    assert frame.ours.fillna("").tolist() == ["7 gates", ""]


def test_a_claim_that_lacks_a_record_is_missing_and_says_which_and_the_others_are_there(workspace):
    some = [claim("a", ours=lacking, note="said", recomputed="0.759"), claim("b", ours=lambda _: GAINS)]
    frame = claims.table(some, workspace).set_index("id")
    assert frame.verdict.to_dict() == {"a": MISSING, "b": REPRODUCED}
    assert (frame.note["a"], frame.recomputed["a"]) == ("no record of this", "0.759")
    assert frame.loc["a", ["ours", "ci_low", "ci_high"]].isna().all()


def test_claims_see_their_workspace_and_share_what_is_made_of_it(workspace):
    made = []

    def make(place):
        made.append(place)
        return len(made)

    def ours(evidence):
        assert evidence.workspace is workspace
        return f"{evidence.once(make)} {evidence.once(make)}"

    frame = claims.table([claim("a", "fact", ours), claim("b", "fact", ours)], workspace)
    assert frame.ours.tolist() == ["1 1"] * 2 and made == [workspace]
    other = Evidence(workspace)
    assert other.once(make) == 2  # another table is made anew
    assert other.once(lambda place: "another") == "another"


def test_readable_text_has_the_interval_beside_our_number_and_no_gaps(workspace):
    some = [claim("a", ours=lambda _: GAINS), claim("b", "count", lambda _: (1, 2)), claim("c", ours=lacking)]
    frame = claims.table([*some, dataclasses.replace(some[0], id="d", ours=None)], workspace)
    shown = claims.readable(frame)
    assert shown.columns.tolist() == [name for name in COLUMNS if name not in ("ci_low", "ci_high")]
    interval = f"[{frame.ci_low[0]:+.2f}, {frame.ci_high[0]:+.2f}]"
    assert shown.ours.tolist() == [f"+2.50 {interval}", "1 of 2", "", ""]
    assert not shown.map(lambda cell: "nan" in str(cell).lower().split()).any(axis=None)
    assert claims.tested(shown).claim.tolist() == ["claim a", "claim b"]


def test_a_fault_in_a_test_is_no_missing_record(workspace):
    def faulty(_):
        return {}["no such arm"]

    with pytest.raises(KeyError, match="no such arm"):
        claims.table([claim("a", ours=faulty)], workspace)
