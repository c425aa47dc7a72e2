"""The phrases in which a word keeps its place: "allow" may be "permit", but not in "allow for".

A reader found them beside the accepted pairs. Each line names surface forms and, behind a bar, rules
about the next word of the text on either side:

    next a b    only before one of these        prev a b    only after one of these
    next! a b   never before one of these       prev! a b   never after one of these

Apart from words, "." is punctuation or an end of the text, "#" a number, "`" anything else.
"""

from dataclasses import dataclass
from functools import cache

__all__ = ["Context", "written_contexts"]

_LISTED = """
allow allows allowed allowing permitted permitting | next! for of
almost | next! as like no never nothing none nobody certainly seems seem seemed feels makes
  wish too anything immediately instantly surely sure
alter | next! ego egos
altered | next! state states
appear appears appeared seem seems seemed | next to that; prev! can't cannot can couldn't
assist assists | prev! an the
attorney | next! general; prev! district
awful | next! lot nice long good much
battlefield | next! earth
because | next! of; prev! is are was were just simply only not precisely partly merely
  mostly mainly probably perhaps maybe largely primarily especially possibly that's it's and
  but exactly either or
begin | next! with end and or
beginning | prev the; next of
bought purchased | next! into out off up in
brief | prev! in the to most more be very; next! . and
calculated | next! risk risks assault move gamble attempt effort manner
calculation calculations | prev! rational political cold own his her their
certainly | prev! almost
chose | next! to not between instead
chosen | next! to one ones people; prev! well
computation | next! graph graphs resources; prev! and communication scientific parallel
  evolutionary distributed neural
compute | next the a an this that its their all each it them both one two these those some
  any `
computing | next! research power device devices environment environments resources
  capability platform and .; prev! parallel cloud scientific distributed quantum personal
  numerical performance statistical symbolic in
concerning | prev! is are was were be more very
construct | next a an the this each its new your our it them; prev! a the this language each
constructs | next a an the this each its new it
courage | next! to under
deserve deserves | next! to better it
difficult | prev! more most less
disaster disasters | next! area areas relief movie movies film films flick flicks assistance
  response recovery prone related
discover discovers discovering | next! if whether
due | next to; prev! is are was were be been being isn't
entirely | next! of on in from by for up to
every | next! ` n k x couple taste other few two three four five ten single bit now so once
  one third second last little # reason effort right chance kind sort type means confidence
  opportunity hope possible conceivable imaginable intention indication inch ounce way sense
  respect; prev! almost nearly virtually practically not and just absolutely
exactly | prev! not isn't wasn't aren't
example instance | prev for; next . ` # a an the if when in by to it this we you they he she
  there some one most many consider suppose let
extra | next! special careful long hard large mile terrestrial credit .
famous | next! last; prev! almost
film | prev the this a that his her every entire whole any each same; next! noir stock
  school making industry maker festival festivals critic thickness
films | prev! thin short
flick flicks | next! of through; prev! to chick
frequently | next! asked
goal | prev! field precision; next! posts line of
greater | next than
happen happened happens occurred | next! to upon on; prev! so what whatever what's
happening | prev is are was were be been keep keeps that's what's it's; next! to upon on
hard | next to; prev is was be it's isn't are seems very pretty
hence | next! the forth a an; prev! years months weeks days year
if | prev check checks checking determine determines determining see; next! not so and
improve | next the a an this its our their your his her
initial | next value values guess guesses point points estimate estimates position
inside | next the a an this that each its your another any these those their his her; prev!
  from the of an
kids kid | prev! college school
kind | next of; prev! first second third in be so very too more
kinds | next of
large | next! number numbers amount amounts extent part parts scale degree quantity
  quantities proportion majority portion percentage sample language deviation; prev! at by
largely | prev! and
lengthy | prev! more most
manner | prev! all; next! of
many | prev! however the this that how as so too very not great good; next! of more times a
  years . who are were have had would will
may | next be need want cause also require contain result lead help take change differ raise
might | next be need want not cause also require contain result lead help take change differ
  fail raise; prev! the our full own his their its all of
modified | next! bessel gram newton cholesky
mom moms dad dads | prev! soccer and; next! and
more further | prev for; next details information
movie | next! theater theaters theatre theatres house houses
movies | prev! the
multiple | prev! a an integer the of exact least common; next! of choice roots root poles
  eigenvalues zeros regression testing comparison comparisons linear imputation correlation
  personality personalities sclerosis precision inheritance hypothesis dispatch seasonal
  instance sequence and .
nation | next! state states building wide
nations | prev! united
nearly | prev! not very so pretty more; next! so enough
necessary | next! to evil that condition conditions and but or for; prev! it
needed | next! to it him her them me us; prev! much badly sorely most i you we they he she
noon | prev! high
normally | next! distributed .
note | next that; prev . also
numerous | prev! too more most very so are were as and; next! and but .
occur occurs | next . when if before after during because while as; prev! not
often | next! than
particular | prev! in of no very; next! . interest importance concern attention note care
  about emphasis
particularly | prev! more
permit permits | next! for of; prev! a an the work building this no each travel
portions | next! size sizes
possibly | prev! can could cannot can't couldn't not as quite
precisely | prev! more most
previous | next! to
provided | next! that for the there it you we they he she a an this all no its his her their
  one each both
provides | next! for that
rapid | next! transit fire response eye deployment; prev! more most
regarding | prev! is are was were be keep highly
regardless | next of
rely relies relied relying | next on upon
require requires | next a an at more less only no some both two
retaining | next! wall walls
roughly | prev! treated; next! .
select | next! few committee committees group statement statements query; prev! a the multi
several | next! of hundred thousand million billion dozen more years months weeks days
  minutes hours .; prev! last past next the these
shortly | next! before
sickness | prev! motion morning sea travel
similar | next to; prev! more most very quite so somewhat too rather pretty fairly eerily
  strikingly remarkably not
similarly likewise | prev .; next .
simply | next! put
sort sorts | next of; prev! to
specific | prev a the any some this these those for each every with no one that; next! to
  gravity about heat and enough .
subsequent | next! to
thus | next! far
till | next! . the; prev! the
truly | prev! yours
try tries tried trying attempted attempting | next to
united | next! states nations kingdom artists airlines
unnecessary | next! to
upon | prev! once put came come comes coming happen happened happens thousands millions
  hundreds layer layers; next! a thousands millions hundreds
useful | next! life idiot work jobs job citizens citizen lives purpose employment
various | next! other and .; prev! many
via | next! .
vital | next! signs statistics organs sign
whether | prev check checks checking determine determines determining decide decides know
  see test tests testing ask asks asked; next! to or
whole | prev! a on as in; next! of lot bunch new numbers number slew host heap other is and
  . wheat milk grain
wish | next to; prev! a the no his her their our my dying
wonderful | next! life
"""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a word may be replaced; each set holds neighbours in lower case.

    Attributes:
        before: If not empty, the next word must be one of these.
        not_before: The next word must be none of these.
        after: If not empty, the word before must be one of these.
        not_after: The word before must be none of these.
    """

    before: frozenset[str] = frozenset()
    not_before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    not_after: frozenset[str] = frozenset()

    @classmethod
    @cache
    def read(cls, rules: str) -> "Context":
        """Read the rules of one line, as the module describes them.

        Raises:
            ValueError: If a rule is none of these.
        """
        found: dict[str, frozenset[str]] = {}
        for rule in rules.split(";"):
            name, *words = rule.split() or [""]
            if name not in _FIELDS or not words:
                raise ValueError(f"expected a rule such as 'next! for of', got {rule!r}")
            found[_FIELDS[name]] = frozenset(words)
        return cls(**found)

    @property
    def looks_ahead(self) -> bool:
        """Whether the next word matters."""
        return bool(self.before or self.not_before)

    @property
    def looks_back(self) -> bool:
        """Whether the word before matters."""
        return bool(self.after or self.not_after)

    def admits_before(self, word: str) -> bool:
        """Whether a word may be replaced before this one."""
        return word not in self.not_before and (not self.before or word in self.before)

    def admits_after(self, word: str) -> bool:
        """Whether a word may be replaced after this one."""
        return word not in self.not_after and (not self.after or word in self.after)


_FIELDS = {"next": "before", "next!": "not_before", "prev": "after", "prev!": "not_after"}


def written_contexts() -> dict[str, str]:
    """The rules of each form that has some, as they are written above."""
    contexts = {}
    for line in _LISTED.replace("\n  ", " ").strip().splitlines():
        forms, _, rules = line.partition(" | ")
        Context.read(rules)  # refuses what it cannot read
        contexts.update(dict.fromkeys(forms.split(), rules))
    return contexts
