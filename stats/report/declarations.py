"""Slots that a human fills in, by the rules of a court. Nothing here declares anything.

Which slots: FRCP 26(a)(2)(B) and FRE 902(13), (14); CPR Part 35 and its practice direction; CrimPR 19.4;
for the European Union no common rule on experts exists, so the slots are those that such rules share.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DECLARATIONS", "Declaration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What one set of rules asks of the expert.

    Attributes:
        rules: Their name.
        lead: What the slots are for.
        slots: What is to be filled in, and where in the report something helps; `{}` is a reference.
        notes: What else the author must see to.
        certificate: Whether a draft certificate of authenticity follows.
    """

    rules: str
    lead: str
    slots: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    certificate: bool = False


_SIGNATURE = ("Signature, name, date and place", "")

DECLARATIONS: Mapping[str, Declaration] = {
    "none": Declaration(
        rules="no particular rules",
        lead="No set of rules was chosen. Whoever takes responsibility for this report fills in the slots.",
        slots=(
            ("Name, position and qualifications", ""),
            ("Which parts the author adopts as an opinion, and on what grounds", "answers"),
            ("Interests in the outcome", "opinions"),
            _SIGNATURE,
        ),
    ),
    "frcp26": Declaration(
        rules="Federal Rules of Civil Procedure, rule 26(a)(2)(B); Federal Rules of Evidence 702, 902",
        lead="Rule 26(a)(2)(B) lists six things that the written report of a retained expert holds. A "
        "program cannot give them; it can say where its material is.",
        slots=(
            ("1. All opinions the witness will express, with basis and reasons", "answers"),
            ("2. Facts or data considered in forming them", "examined"),
            ("3. Exhibits that will be used to summarise or support them", "exhibits"),
            ("4. Qualifications, with all publications of the previous 10 years", ""),
            ("5. Cases of the previous 4 years with testimony at trial or by deposition", ""),
            ("6. Compensation for study and testimony in this case", "opinions"),
            ("Signature of the witness who prepared the report", ""),
        ),
        notes=(
            "Under rule 702 the proponent shows that it is more likely than not that the testimony helps, "
            "rests on sufficient facts or data, is the product of reliable principles and methods, and "
            "reflects a reliable application of them to the facts of the case.",
        ),
        certificate=True,
    ),
    "cpr35": Declaration(
        rules="Civil Procedure Rules, Part 35, and Practice Direction 35",
        lead="Paragraph 3.2 of the practice direction lists what an expert's report holds. A program cannot "
        "give it; it can say where its material is.",
        slots=(
            ("Qualifications", ""),
            ("Literature and other material relied on", "method"),
            ("Substance of all facts and instructions that are material", "examined"),
            ("Which of the facts stated are within the expert's own knowledge", ""),
            (
                "Who carried out examinations and tests, their qualifications, and who supervised",
                "custody",
            ),
            ("Range of opinion, and reasons for the expert's own", "opinions"),
            ("Summary of the conclusions reached", "answers"),
            ("Any qualification of the opinion", "limits"),
            ("Statement of the duty to the court, and that it has been complied with", ""),
            ("Statement of truth, in the words that the practice direction prescribes", ""),
            _SIGNATURE,
        ),
    ),
    "crimpr19": Declaration(
        rules="Criminal Procedure Rules, rules 19.3 and 19.4, and Criminal Practice Directions",
        lead="Rule 19.4 lists what an expert's report holds. A program cannot give it; it can say where its "
        "material is.",
        slots=(
            ("Qualifications, relevant experience and accreditation", ""),
            ("Literature and other information relied on", "method"),
            ("Substance of all facts given to the expert that are material", "examined"),
            ("Which of the facts stated are within the expert's own knowledge", ""),
            (
                "Who carried out examinations and tests, their qualifications, and who supervised",
                "custody",
            ),
            ("Range of opinion, and reasons for the expert's own", "opinions"),
            ("Any qualification of the opinion", "limits"),
            (
                "What the court needs to decide whether the opinion is reliable enough to be admitted",
                "method",
            ),
            ("Summary of the conclusions reached", "answers"),
            ("Code of practice followed, and any departure from it", ""),
            ("Statement of understanding of, and compliance with, the duty to the court", ""),
            ("Declaration of truth, in the words that the practice direction prescribes", ""),
            _SIGNATURE,
        ),
        notes=(
            "Rule 19.3(3)(c) asks the party who serves the report to give notice of anything that may "
            "undermine the expert's reliability or impartiality.",
        ),
    ),
    "eu": Declaration(
        rules="national rules on experts within the European Union",
        lead="Rules on experts differ between member states and were not looked into. The slots are what "
        "such rules commonly ask.",
        slots=(
            ("Name, position, qualifications, and entry in a register of experts", ""),
            ("Who appointed or instructed the expert, and with what questions", "examined"),
            ("Independence, and interests in the outcome", "opinions"),
            ("Conclusions that the expert adopts, and on what grounds", "answers"),
            ("Oath or declaration that the national rules prescribe", ""),
            _SIGNATURE,
        ),
        notes=(
            "Under article 41 of Regulation (EU) No 910/2014 a time stamp is not refused as evidence merely "
            "for being electronic or not qualified; a qualified one carries a presumption of its time and of "
            "the integrity of its data. Whether the time stamps named in this report are qualified must be "
            "looked up in the trusted lists.",
            "A signature with a key that somebody made alone is not a qualified electronic signature.",
        ),
    ),
}
