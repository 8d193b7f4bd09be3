from gsv2.data.verify.findings import Findings, Problem


def test_problems_are_counted_by_kind_with_their_first_examples():
    findings = Findings("a")
    for number in range(5):
        findings.add("lost", f"k{number}")
    findings.add("torn", "x", count=7)
    assert list(findings) == [
        Problem("a", "lost", 5, ("k0", "k1", "k2")),
        Problem("a", "torn", 7, ("x",)),
    ]


def test_only_floats_may_differ_by_their_rounding():
    findings = Findings("a")
    findings.expect("sum", 0.1 + 0.2, 0.3)
    findings.expect("sum", 1.0, 1)
    findings.expect("count", 10_000_000, 10_000_001)
    findings.expect("hours", float("nan"), 1.0)
    findings.expect("hash", None, "f")
    assert [problem.kind for problem in findings] == ["count", "hours", "hash"]
