"""What was found in a file, in words."""

from .credentials import Credentials
from .verify import Verification
from .watermark_reading import FALSE_ALARM_BOUND, WatermarkReading

_VERDICTS = {
    "marked": "marked as synthetic",
    "tampered": "changed after signing, or signed against the rules: do not rely on its credentials",
    "unmarked": "no mark found, which proves nothing: marks can be removed, and cameras make none",
    "unreadable": "not readable as mp4 or png",
}
_STATES = {
    "absent": "none",
    "trusted": "valid; nothing was changed since signing, and the authorities given vouch for the signer",
    "valid": "valid; nothing was changed since signing, but no authority given vouches for the signer",
    "tampered": "TAMPERED; something was changed after signing",
    "invalid": "INVALID; they break the rules of C2PA",
    "unreadable": "unreadable",
    "unknown": "not looked at",
}


def describe(found: Verification) -> str:
    """A few lines for people."""
    lines = [f"{found.path}: {_VERDICTS[found.verdict]}", *_credentials(found.credentials)]
    lines += _watermark(found.watermark, found.pictures)
    if found.watermark is not None:
        lines.append(_record(found))
    lines += [
        f"  plain metadata: {key} = {value} (anybody can write this)" for key, value in found.notices.items()
    ]
    return "\n".join(lines)


def _credentials(credentials: Credentials) -> list[str]:
    lines = [f"  Content Credentials: {_STATES[credentials.state]}"]
    if credentials.signer:
        own = ", a local certificate made on this machine" if credentials.signed_here else ""
        lines.append(f"    signed by: {credentials.signer}{own}")
    if credentials.generator:
        says = "says that it is synthetic" if credentials.synthetic else "does not say that it is synthetic"
        lines.append(f"    made with: {credentials.generator}, {credentials.created or 'no date'}; {says}")
    generation = credentials.generation
    if generation.get("model", {}).get("name"):
        lines.append(
            f"    model: {generation['model']['name']}, sha256 {generation['model'].get('sha256', '')}"
        )
    if generation.get("consent"):
        lines.append(f"    consent, as the maker says: {generation['consent']}")
    return lines + [f"    problem: {problem}" for problem in credentials.problems]


def _watermark(reading: WatermarkReading | None, pictures: str) -> list[str]:
    if reading is None:
        looked = "none found" if pictures == "read" else f"not looked for, pictures: {pictures}"
        return [f"  watermark: {looked}"]
    mirrored = "mirrored, " if reading.mirrored else ""
    changes = f"{mirrored}zoom {reading.zoom:.2f}, {reading.angle_degrees:+.1f} degrees"
    return [
        f"  watermark: found, payload {reading.payload:08x}; {changes}",
        f"    {reading.chip_agreement:.0%} of its chips agree, pilot {reading.score:.1f} deviations high",
        f"    an unmarked file gives a false alarm with a chance of {FALSE_ALARM_BOUND:.1e} or less",
    ]


def _record(found: Verification) -> str:
    if found.record is None:
        return "    no record of this payload on this machine"
    return f"    record of this machine: {found.record.get('title')}, {found.record.get('model_name')}"
