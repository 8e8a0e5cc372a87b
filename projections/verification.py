"""What a report of verification says in words, and what it cannot tell.

Rule: nobody reads "intact" as "true" or "complete" here: what a log cannot show is said each time.
"""

from __future__ import annotations

from ledger.verdict import Finding, Report


def integrity_line(report: Report) -> str:
    """Return the one line about the log itself."""
    events = f"{report.checked:,} events"
    if report.stream is not None:
        events += f" of run {report.stream}"
    elif report.since:
        events += f" from position {report.since} on"
    held = f"{events} held against a tree of {report.size:,} and {report.kept:,} kept heads"
    match report.integrity:
        case "INTACT":
            known = f", and the head of {report.known:,} that you kept" if report.known else ""
            return f"INTACT: {held}{known}"
        case "MISSING":
            return f"MISSING: {report.counted['missing']:,} of what {held} name is gone"
        case "INVALID":
            return f"INVALID: {report.counted['invalid']:,} things are wrong with {held}"
        case "DIVERGED":
            return f"DIVERGED: {held} are not the history that you know"


def assurance_line(report: Report) -> str:
    """Return the one line about who vouches for the log."""
    cosigned = report.cosigned
    match report.assurance:
        case "NONE":
            said = "NONE: nobody vouches for this log as it is"
        case "SELF-CHECKED":
            said = "SELF-CHECKED: signed by the key that lies beside the ledger"
        case "SIGNED":
            said = "SIGNED: by a key that you brought"
        case "WITNESSED":
            assert cosigned is not None
            said = (
                f"WITNESSED {cosigned.witnesses}/{cosigned.known}: up to {cosigned.size:,} events"
            )
    if cosigned is None or report.assurance == "WITNESSED":
        return said
    named = "your policy" if cosigned.brought else "this home's policy"
    return (
        f"{said}; {cosigned.witnesses} of {cosigned.known} witnesses of {named} cosigned the head "
        f"of {cosigned.size:,} events{'' if cosigned.quorum else ', which is no quorum'}"
    )


def finding_line(finding: Finding) -> str:
    """Return one line for what is wrong, with where it is."""
    where = "" if finding.position is None else f"position {finding.position}"
    if finding.stream is not None:
        where += f", run {finding.stream}, version {finding.version}"
    return f"{where}: {finding.what}" if where else finding.what


def reach_line(report: Report) -> str:
    """Return whether commands could have reached the record of themselves."""
    reach = report.reach
    runs = reach.reachable + reach.out_of_reach
    if not runs:
        return "no run with a sandbox was checked"
    if report.stream is not None:
        within = "within" if reach.reachable else "out of"
        return f"the record was {within} the reach of the run's commands"
    return f"within the reach of the commands of {reach.reachable:,} of {runs:,} runs"


def cannot_tell(report: Report) -> tuple[str, ...]:
    """Return what this verification cannot tell, the widest first."""
    said = [
        "whether what was recorded is true, and whether anything was never recorded",
        _rewriting(report),
    ]
    if report.stream is not None:
        said.append("anything about other runs, or whether events of this one stand among theirs")
    if report.since:
        said.append(
            f"anything new about the {report.since:,} events before; you verified them then"
        )
    if report.blobs is None:
        said.append("whether outputs, patches and files are there and unchanged (--blobs)")
    if not report.views:
        said.append(
            "whether views, which runs, show and audit print, are what events say (--views)"
        )
    if report.signatures < report.kept:
        said.append(
            f"whether all signatures of kept heads are right: {report.signatures:,} were checked "
            "(--signatures)"
        )
    return tuple(said)


def _rewriting(report: Report) -> str:
    bound = report.known or 0
    if report.assurance == "WITNESSED":
        assert report.cosigned is not None
        bound = max(bound, report.cosigned.size)
    after = f" after the first {bound:,}" if bound else ""
    match report.assurance:
        case "SIGNED" | "WITNESSED":
            who = "whoever has the signing key"
        case _:
            who = "whoever can write into this home"
    return f"whether {who} rewrote events{after}, and signed them again, or cut off the newest"
