"""Pairs that a reader of English accepted: all of the strict tier, and a few of the standard one.

Each was read in its contexts in technical prose, political speeches and film reviews, and accepted
where the two say the same in nearly all of them, in the same grammar and register. `contexts` holds
the phrases in which one of them must stay as it is.

`a = b`: either may stand for the other. `a > b`: b may stand for a. Lemmas bring all their inflected
forms; what stands under `FORMS` is a surface form, for itself alone.
"""

from collections.abc import Iterator, Mapping

__all__ = ["ACCEPTED", "ACCEPTED_AS_STANDARD", "FORMS", "pairs_in"]

FORMS = "x"  # in place of a part of speech

# Part of speech -> pairs.
ACCEPTED: Mapping[str, str] = {
    "v": """
    achieve = attain; allow = permit; alter = modify; assist > help;
    astonish = astound; calculate = compute; comprehend > understand; demonstrate > show;
    depict > portray; devote > dedicate; disappear = vanish; illustrate > show; obtain > get;
    outsmart = outwit; oversee = supervise; postpone > defer; select > choose;
    thrive > flourish; unite > unify; utilise > use; utilize > use
    """,
    "n": """
    accomplishment = achievement; assailant = attacker; attorney = lawyer;
    battlefield > battleground; boredom > tedium; calculation = computation;
    catastrophe = disaster; moviemaker > filmmaker; gangster = mobster; humankind = mankind;
    luggage > baggage; midday = noon; notion > idea; physician > doctor;
    standpoint = viewpoint; technique > method
    """,
    "a": """
    absurd > ridiculous; additional = extra; affluent > wealthy; amazing = astonishing;
    annual > yearly; awful = terrible; believable > credible; bizarre > strange;
    boring = tedious; brave = courageous; brief > short; considerable = substantial;
    costly = expensive; countless = innumerable; crucial = vital; dependable = reliable;
    difficult = hard; dreadful > terrible; enormous = huge; entire = whole;
    erroneous = incorrect; eternal = everlasting; evident > apparent; excellent = superb;
    famous = renowned; gigantic > huge; gorgeous > beautiful; grateful = thankful;
    horrible = terrible; humorous > funny; immense > huge; imminent = impending;
    infamous = notorious; lengthy > long; ludicrous = ridiculous; marvelous = wonderful;
    merciless = ruthless; multiple = several; numerous > many; particular = specific;
    pertinent = relevant; previous > prior; rapid > fast; scary > frightening; similar > akin;
    straightforward > simple; strange > odd; talented > gifted; unaltered = unchanged;
    unnecessary = unneeded; upcoming > forthcoming; urgent > pressing; useful > helpful;
    various > different; wealthy > rich; weird > strange
    """,
    "r": """
    abruptly > suddenly; almost = nearly; amazingly = astonishingly; anyhow = anyway;
    apparently = seemingly; appropriately > suitably; approximately = roughly;
    basically > essentially; bravely = courageously; chiefly > mainly; completely = entirely;
    consequently = therefore; considerably = substantially; constantly = continually;
    currently = presently; definitely > certainly; deliberately = intentionally;
    erroneously = mistakenly; especially = particularly; exactly = precisely;
    exceedingly = extremely; exclusively = solely; fortunately = luckily; frequently = often;
    furthermore = moreover; genuinely = truly; hardly = scarcely; hence = thus;
    immensely > enormously; inadvertently = unintentionally; incorrectly > wrongly;
    incredibly = unbelievably; instantly > immediately; largely = mostly; mainly = primarily;
    marvelously = wonderfully; maybe > perhaps; merely > simply; nevertheless = nonetheless;
    normally = usually; obviously > clearly; occasionally > sometimes; oddly = strangely;
    partly > partially; perhaps = possibly; principally > mainly; purportedly = supposedly;
    quickly = rapidly; rarely = seldom; regrettably = unfortunately; speedily > quickly;
    swiftly > quickly; thankfully > fortunately; therefore > thus; totally > completely;
    typically = usually; undoubtedly = unquestionably; utterly > completely; vastly > greatly;
    wholly > entirely
    """,
    FORMS: """
    abducted = kidnapped; abroad > overseas; additionally > also; aforesaid > aforementioned;
    although > though;
    annually > yearly; appear = seem; appeared = seemed; appears = seems; attempted = tried;
    attempting = trying; automobile > car; automobiles > cars; began > started; begin > start;
    beginning > start; begins > starts; begun > started; bigger > larger; bought = purchased;
    bravery = courage; chose > selected; chosen > selected; commence > begin;
    commences > begins; commencing > beginning; concerning = regarding; construct > build;
    constructed > built; constructing > building; constructs > builds; countries = nations;
    dad > father; dads > fathers; deserve > merit; deserves > merits; discover > find;
    discovering > finding; discovers > finds; disregarded = ignored; disregarding = ignoring;
    drawback > disadvantage; drawbacks > disadvantages; due > owing; dumb > stupid; endeavors > efforts;
    enemies = foes; every > each; example = instance; expenditures = outlays; faster = quicker;
    firearms > guns; firstly > first; flick > movie; flicks > movies; foe > enemy;
    forbids = prohibits; further = more; goal > aim; goals > aims; grandma > grandmother;
    greater > larger; halted > stopped; happen = occur; happened = occurred;
    happening > occurring; happens = occurs; if = whether; ignore > disregard;
    ignores > disregards; infant > baby; infants > babies; inside > within;
    instructor > teacher; instructors > teachers; kind = sort; kinds = sorts; lastly > finally;
    likewise = similarly; manner > way; might > may; mom > mother; moms > mothers;
    movie > film; movies > films; murderer > killer; murderers > killers; nation > country;
    necessary > needed; needed > required; note > notice; nowadays > today; perils > dangers;
    perished > died; portion > part; portions > parts; possess > have; possesses > has;
    provided = supplied; provides > offers; purchasing > buying; relied > depended;
    relies > depends; rely > depend; relying > depending; replied = responded; require > need;
    requires > needs; reside > live; resides > lives; residing > living; retain > keep;
    retained > kept; retaining > keeping; retains > keeps; secondly > second; shortly > soon;
    sickness > illness; statutes > laws; storyline > plot; storylines > plots;
    subsequent > later; subsequently > later; telephone > phone; thirdly > third; till > until;
    tries > attempts; try > attempt; upon > on; via > through; victories > triumphs;
    victory > triumph; whereas > while; whilst > while; wish > want
    """,
}

# Pairs that say the same, but less surely or in a slightly other tone.
ACCEPTED_AS_STANDARD: Mapping[str, str] = {
    FORMS: """
    appropriate = suitable; because > since; capabilities > abilities; capability > ability;
    certainly > definitely; clever > smart; country > nation;
    essentially > basically; essentially > fundamentally;
    explicitly > expressly; film > movie; films > movies; improve > enhance;
    improved > enhanced; initial > starting; kid > child; kids > children; large > big;
    larger > bigger; largest > biggest; many > numerous; may > might; probably > likely;
    simply > merely; sometimes > occasionally; treaties > pacts; treaty > pact;
    unfortunately > sadly; using > utilizing; wider > broader
    """,
}


def pairs_in(listed: str) -> Iterator[tuple[str, str]]:
    """Each word of a list with a word that may stand for it."""
    for pair in listed.replace(";", "\n").split("\n"):
        if not pair.strip():
            continue
        one, sign, other = pair.split()
        yield one, other
        if sign == "=":
            yield other, one
