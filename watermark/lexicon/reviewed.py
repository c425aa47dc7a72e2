"""Pairs that a reader of English refused, though they met every rule of `build`.

The most frequent pairs of each tier were read by eye. A word is in `REFUSED_SUBSTITUTES` when it
is archaic, dialect, slang or stilted wherever it stands; a pair is in `REFUSED` when the words
differ in sense, register or grammar ("knowledge" is not "cognition").
"""

__all__ = ["REFUSED", "REFUSED_SUBSTITUTES"]

REFUSED_SUBSTITUTES = frozenset(
    """
    aerodrome aeroplane ageless amah ambo ammo anxiousness apace aper argumentation aright asker
    aught auto baccy battler belike biddy blighter bodiless bookman bravo breadbasket bunghole buns
    carpus cathouse celluloid chairwoman changeling chapeau chum clearness clime cloaca cogency
    colouring commonwealth connexion coriaceous coruscant cozen cretin croak cuss daimon dayspring
    deadening decease deepness demoiselle derriere docudrama doings doxy duple dwelling eldritch
    emend emmet emptor environ erst ethereal eventide evermore expounding fain fantabulous farrago
    fauna fearfulness foreclose forfend fourscore froward gammon gaol gasconade gent gimcrack gizmo
    gonzo goofball grok grownup grunge hap hark henchman hereunder honcho hoops hotchpotch hubby
    hurtle imperium inflorescence infotainment ism jackboot jambon jiffy jock keister kickoff kvetch
    laguna leaver letch lief lingua liquidator looker lubber mavin mayhap medico mensuration
    merchandiser meretricious missy monger moony motivator muggins musculus muss naif nelly niceness
    nipper nix noetic nous nutriment ocular oft oftentimes ofttimes oleaginous opine outre parlous
    passe pedagogy peradventure perchance peregrine pic pixy pleasance poesy pokey poky poulet prat
    prehensile prentice presentment prissy privy prorogue psyche puncher rachis raiment raper
    rapscallion redoubtable roughshod rum rummy sabot salmagundi savvy sawbones scallywag scarce
    scarper scat scattergun scrapper scruples sequent severally shaver shibboleth shogunate showtime
    sirocco slammer smidgeon smorgasbord snot solon sorcerous sportswoman squealer stealer stripling
    sunup supra sureness swain tallness tatty technologist telecasting temblor tenseness thespian
    tiddler tiffin tike tog toothsome trice trigon trilateral tum tummy tush twelvemonth twinkling
    tyke umbilicus unco unmake uprise varlet vendee vender venereal vino wacko warmness withal zilch
    zippo
    """.split()
)

# Each word that would change, then the words refused for it: lemmas, or forms that stand alone.
_REFUSED_PAIRS = """
abandonment: desertion; abolition: abolishment; absolutely: perfectly utterly;
abundantly: extravagantly; accelerate: quicken; accelerator: throttle; accidentally: unexpectedly;
acclaimed: hailed; accomplish: fulfil fulfill; accordingly: consequently; accountant: comptroller;
accumulate: amass compile hoard; accuse: impeach incriminate; actor: histrion player;
adherence: adhesion; admission: admittance; admit: acknowledge; admittedly: avowedly;
ado: bustle flurry; adopt: espouse; adoption: acceptance acceptation espousal; adult: grownup;
adventure: escapade; adversary: antagonist opposer resister; aerial: ethereal; affection: philia;
agency: bureau; aggravate: exasperate; aide: adjutant; aimless: undirected;
alarm: consternation dismay; alas: regrettably unluckily; alcohol: intoxicant;
alienation: disaffection; alleviate: assuage; althea: hollyhock; ambiguous: equivocal;
amplify: magnify; amusing: diverting; animal: beast creature; announcement: annunciation;
annoyed: riled roiled stung; anticipation: expectancy; apocalyptic: revelatory; apparent: evident;
apparently: ostensibly; appointment: designation naming; approval: blessing; approve: sanction;
aptly: ably capably competently; arise: originate; arrest: apprehend nab;
arrested: apprehended nabbed; arrogant: chesty; artificially: unnaturally; artisan: journeyman;
ask: inquire; ass: backside buttocks hindquarters; assessment: appraisal;
assortment: miscellanea miscellany potpourri; assume: presume; assurance: confidence sureness;
assurances: confidences; assure: insure; athlete: jock; attacker: assaulter;
authentic: unquestionable veritable; author: writer;
authority: authorisation authorization potency regime; automobile: motorcar; avenge: retaliate;
avert: obviate; axiom: maxim; babe: infant; baby: babe infant; backwards: rearward;
banal: threadbare; barely: scarcely; bartender: barkeep barkeeper mixologist;
basically: fundamentally; battle: conflict engagement; beard: whiskers; beast: brute creature;
beautifully: attractively; beg: implore; behavior: doings; bend: flex; bet: wager;
beverage: drinkable potable; biblical: scriptural; bickering: squabble; big: large;
biggest: largest; biometrics: biostatistics; bitterness: rancor;
bizarre: eccentric flakey flaky freakish freaky; blatant: clamorous vociferous; blue: bluish;
blurred: muzzy; bode: augur; boldness: hardiness; bonus: fillip; bookkeeping: clerking;
boredom: ennui; bossy: autocratic; bothersome: pestering; branched: pronged; brash: nervy;
breakdown: dislocation; breathe: respire; brilliantly: brightly; brisk: zippy;
brutality: barbarism viciousness; buddy: crony sidekick; bunch: clump cluster; buoyant: floaty;
burden: onus; calling: vocation; candidate: campaigner nominee; canny: cagey; capacitor: condenser;
career: calling vocation; cargo: consignment freight lading payload shipment; cattle: cow cows;
cemetery: necropolis; center: middle; chairman: chairwoman; chaos: bedlam pandemonium;
characterization: delineation; chastity: celibacy; chest: pectus thorax; chicanery: shenanigan;
chick: biddy; chicken: poulet; chide: lambast; chocolate: cocoa; choice: option selection;
cinema: celluloid; city: metropolis; clad: clothed; clarity: lucidity; classroom: schoolroom;
cleric: churchman; cleverly: smartly; cleverness: inventiveness;
cliche: banality bromide platitude; cloak: mantle; cloaked: mantled; closet: cupboard;
cloth: textile; clothes: apparel; clothing: wearable; clumsy: clunky; coach: handler;
coalesce: conflate; coalition: alignment; coast: seacoast seashore; coffee: java;
collaborate: cooperate; collaborator: henchman; collector: aggregator; colony: settlement;
comeback: rejoinder; comic: laughable; commerce: commercialism; committee: commission;
commonly: ordinarily; companion: comrade; compel: oblige; compensate: counterbalance;
compliance: conformation; complicate: perplex; comprehend: apprehend;
conceive: conceptualise conceptualize gestate; concerted: conjunct conjunctive;
conclusion: decision; condenser: capacitor; conducive: contributory; confess: fink;
confidence: assurance; confirm: affirm corroborate substantiate;
confirmation: substantiation verification; confound: bedevil; confuse: confound; connect: link;
connection: connectedness; conquer: inhibit suppress; conquest: subjection; conscience: scruple;
consequence: upshot; consequent: concomitant; consequential: eventful; conservatively: guardedly;
consistently: systematically; conspire: conjure; constantly: invariably;
consultant: adviser advisor; consumption: ingestion intake uptake; contain: comprise;
contingency: eventuality; contract: compress; contradict: belie;
controller: accountant comptroller; controversy: contestation disputation;
conversational: colloquial; convincing: compelling; convulsive: spasmodic; cooperate: collaborate;
costly: pricey pricy; countenance: visage;
countless: multitudinous numberless uncounted unnumbered; country: commonwealth; court: tribunal;
cowboy: cowherd cowman; cranky: tippy; crazy: demented mad unbalanced unhinged;
creature: beast fauna; creed: credo; creek: brook; creep: crawl; crime: offence; cringe: quail;
cross: traverse; cruel: barbarous brutal savage vicious; cryptic: inscrutable mystifying;
curious: peculiar; curse: blaspheme; cursed: blasphemed doomed; custody: detainment detention;
cuteness: prettiness; cynical: misanthropic; dashed: scooted; dawn: aurora; deal: trade;
dealer: trader; debatable: disputable; deceit: fraudulence; decide: adjudicate;
decidedly: emphatically; decision: conclusion; decisively: resolutely;
decorate: adorn beautify embellish ornament; deeply: profoundly; defender: guardian protector;
defer: shelve; deficit: shortage; definitely: emphatically; definitive: unequivocal;
defy: withstand; degradation: debasement; delegated: deputed; delegation: deputation;
deliberately: advisedly purposely; delicately: exquisitely; delicious: delightful;
demeanor: deportment; democracy: republic; demon: fiend; demonic: unholy; depravity: putrefaction;
deprecating: slighting; deprecation: denigration; describe: depict; despair: desperation;
desperate: despairing; desperately: urgently; despicable: slimy; destined: doomed;
detailed: elaborated; detection: sensing; determine: ascertain; determined: ascertained;
detrimental: prejudicial; devastating: annihilating withering; devise: contrive;
devised: contrived; devoid: destitute; dictatorship: authoritarianism totalitarianism;
die: expire perish; digging: delving; dingy: raunchy; dire: dreaded; director: manager;
disability: disablement; disable: incapacitate; disabling: incapacitating;
disagreement: dissonance; disallow: proscribe; disappointed: defeated foiled frustrated thwarted;
disappointment: letdown; disaster: calamity; disbelief: skepticism; disclose: unwrap;
disclosure: revelation; discourage: deter; discovery: uncovering;
discrimination: favoritism favouritism; disdainful: haughty; disguised: cloaked;
dismal: disconsolate; dismiss: discount; display: exhibit; disruption: interruption;
disruptive: riotous; dissatisfied: disgruntled; district: territory; divide: separate;
divine: godly; divulge: unwrap; dizzy: giddy; doctor: physician; doctrine: ism philosophy;
documentary: infotainment; dogged: dour; dogma: tenet; dose: dosage; downright: outright;
downstream: downriver; drill: bore; drunken: boozy; dub: nickname; dubbed: nicknamed;
duly: punctually; dwelling: abode; dynamics: kinetics; earnest: solemn; earth: globe;
earthquake: quake; edgy: nervy restive uptight; education: pedagogy; educator: pedagogue;
effect: consequence upshot; efficiently: expeditiously; effort: attempt endeavor endeavour;
elementary: uncomplicated unproblematic; elicit: kindle; elimination: riddance; eloquent: facile;
embarrassing: unenviable; embellish: aggrandize; emission: emanation; employ: utilize;
enact: ordain; encourage: promote; endless: interminable; engage: pursue; engineer: technologist;
engulf: engross; enjoy: bask relish savor savour; enormous: tremendous; enormously: staggeringly;
enroll: recruit; ensure: assure; enterprise: endeavor endeavour; entertainment: amusement;
entirety: totality; entrance: entryway; enumerate: itemize; era: epoch; establish: found;
ethics: morals; ethnic: heathen; evening: eventide;
everyday: mundane quotidian unremarkable workaday; evidence: grounds; evoke: arouse kindle provoke;
exaggerate: overdraw; examination: scrutiny; example: instance; exceed: transcend; excel: surpass;
exceptional: exceeding surpassing; excessive: unreasonable; exhaustive: thoroughgoing;
expect: anticipate; expense: disbursement; explain: explicate;
exploitation: victimisation victimization; explosion: blowup; express: evince; expulsion: riddance;
extra: excess redundant superfluous supernumerary surplus; extraordinarily: inordinately;
extravagant: overweening; fabric: cloth textile; facilitate: alleviate; facility: installation;
factory: manufactory mill; fairly: middling moderately passably reasonably;
fairy: faerie fay sprite; faith: religion; faithfully: dependably; falter: waver;
famed: illustrious; famous: celebrated famed noted; fanciful: notional; fanfare: ostentation;
farce: travesty; farmer: granger husbandman; farming: husbandry; fascinating: gripping;
fashion: manner mode; fate: destiny; faux: simulated; feasible: executable practicable;
fedora: homburg; fellow: bloke chap lad; film: movie; final: concluding; finale: coda;
finally: eventually; financial: fiscal; finding: determination; finish: complete;
firmly: unwaveringly; flashy: gaudy sporty; flowering: blossoming inflorescence; fluffy: flossy;
fond: affectionate; fondness: partiality; food: nutrient; fool: muggins; forbid: nix;
foreman: gaffer; forest: woods; forked: pronged; formidable: unnerving; fortunately: fortuitously;
frank: candid; frankly: candidly; frantically: madly; freak: monstrosity; freeway: motorway;
frenzy: delirium hysteria; frequently: oft; frightened: panicky; frog: toad; fruitless: sleeveless;
frustrate: bilk; fun: merriment playfulness; fundamental: cardinal primal; fundamentals: bedrock;
funny: comic comical laughable; fusion: unification; gabby: talky;
gadget: appliance contraption contrivance widget; gardener: nurseryman; gasoline: petrol;
genetic: familial hereditary inherited transmitted; ghost: specter spectre spook wraith;
gift: endowment; girl: missy; glean: reap; glory: glorification; glove: mitt; glut: overindulge;
golden: gilded gilt; gory: bloodstained; government: authorities regime; granular: mealy;
graveyard: necropolis; gravity: gravitation; greedy: covetous grabby;
gritty: grainy granular mealy; ground: earth; growth: maturation; grueling: laborious;
grumpy: crabbed fussy; guardian: defender; guess: opine reckon suppose;
guidance: counseling counselling; gunfire: gunshot; gunman: gunslinger hitman triggerman;
gunner: artilleryman; halo: nimbus; hamlet: crossroads; hamming: overacting; hand: mitt;
handful: fistful smattering; hapless: piteous; happily: blithely merrily; hardly: barely scarce;
harry: beset chevy harass hassle; hassle: harry; haughty: swaggering; havoc: mayhem;
hazardous: risky; headlong: headfirst; headstrong: froward; heaven: paradise; hefty: brawny;
heir: inheritor; hell: inferno; hello: howdy; helper: benefactor; hen: biddy;
hereafter: hereinafter; hermit: recluse; hessian: jackboot; hide: conceal; highly: extremely;
hijacker: highwayman; hijackers: highwaymen; hilarity: mirth; historian: historiographer;
hokey: stilted; homeland: fatherland motherland; honestly: candidly frankly; horizon: skyline;
horrible: atrocious frightful horrifying; horrific: dire dreaded; horrifying: atrocious frightful;
hospital: infirmary; household: menage; huge: immense vast; hugely: staggeringly; humor: wit;
hunter: huntsman; hypothesize: conjecture; hypothetical: divinatory; idea: thought;
idiot: changeling cretin; illegitimate: outlawed; illness: malady sickness;
illogical: disjointed garbled; illustrious: renowned; imagery: imagination; imagine: envisage;
immediately: instantly; immerse: plunge; imp: gremlin pixie; impacted: wedged; impassioned: torrid;
imperative: instant; impetus: impulsion; imply: connote; impose: enforce; impression: notion;
improve: ameliorate; inadequate: unequal; inception: origination; incidentally: apropos;
incomprehensible: inexplicable; incredible: improbable; incredibly: implausibly improbably;
individually: severally; inexorable: adamantine intransigent; infant: babe;
infidelity: unfaithfulness; infinite: endless; infinitely: endlessly immeasurably;
inhabit: populate; inherent: inbuilt; inheritance: heritage; inhibit: conquer suppress;
injury: harm trauma; innate: unconditioned; innovation: invention;
innumerable: multitudinous numberless uncounted unnumbered; installation: instalment;
instant: jiffy trice twinkling; integration: desegregation; integrity: unity wholeness;
intentionally: advisedly; intermediary: intercessor; interrupt: disrupt;
intervention: intercession; introspective: introverted; invent: contrive; invented: contrived;
invoke: conjure; ironic: wry; irony: sarcasm satire; irrespective: disregarding; isolate: insulate;
jazz: nothingness wind; jeep: landrover; jeopardy: endangerment peril; jerky: arrhythmic;
joke: gag; justify: warrant; keen: incisive penetrating penetrative piercing; keep: maintain;
kid: youngster; kidnapper: snatcher; kill: murder; killer: slayer; knapsack: haversack;
knowledge: cognition; knowledgeable: lettered; laud: exalt;
laughable: derisory mirthful nonsensical; law: jurisprudence; leakage: outflow; lefty: southpaw;
legacy: bequest; legend: fable; leghorn: boater; legitimately: lawfully; letter: missive;
liberty: autonomy; license: commission; licensed: accredited commissioned; lifetime: lifespan;
lift: elevate; liken: equate; live: inhabit populate; liven: enliven; loaded: laden;
lobby: antechamber anteroom foyer vestibule; locale: locus; locality: vicinity;
logger: faller feller lumberjack lumberman; luckily: fortuitously; lump: clod; lurk: skulk;
lush: profuse riotous; magnificently: excellently; maintenance: sustenance; majority: bulk;
maker: shaper; manager: director; mandatory: compulsory; manifest: attest certify;
manifested: attested; mannerism: foible; manners: fashion fashions; margin: perimeter;
marketing: merchandising; massive: monolithic; mathematics: maths; maturity: adulthood;
maxim: axiom; memorial: commemoration; mention: cite refer; merchant: merchandiser;
merger: amalgamation; messenger: courier; metro: subway; mike: microphone; milestone: milepost;
mind: nous psyche; minister: curate parson pastor rector; miscellaneous: assorted;
mischievous: pixilated; mixed: assorted miscellaneous; mob: rabble;
mobile: nomadic roving wandering; mobilization: militarization; moderately: middling passably;
modernize: overhaul; monologue: soliloquy; mood: temper; motherland: fatherland; motivate: incite;
motivation: motive; motive: motivation; movement: motion; muddy: mucky waterlogged;
mundane: quotidian unremarkable workaday; murderer: liquidator; murky: turbid; muscle: musculus;
musician: instrumentalist; mutter: maunder; mysterious: cryptic inscrutable mystifying;
mythical: mythological; narrative: tale; nation: commonwealth land; nationalism: patriotism;
nationwide: countrywide; neck: cervix; neighborhood: locality vicinity;
neighbourhood: locality vicinity; newcomer: fledgling neophyte newbie; newly: freshly;
nightclub: cabaret; nonsensical: derisory; normally: commonly; notable: noteworthy; note: observe;
notice: detect; noticed: detected; notification: presentment; novelty: freshness;
oath: expletive swearing; obedience: obeisance; oblivion: limbo; obnoxious: objectionable;
observer: beholder perceiver; obsessed: haunted; obstructive: hindering; occasion: juncture;
occupancy: tenancy; offspring: progeny; omen: prognostic prognostication; ominous: forbidding;
opinion: persuasion sentiment; opponent: antagonist opposer resister; opportunity: chance;
oppressive: tyrannical; outdated: superannuated; outing: jaunt; outlay: disbursement;
outlook: mentality mindset; outset: kickoff showtime; overrate: overestimate;
overrated: overestimated; overweight: fleshy; overwhelm: overpower; overwhelming: overpowering;
overwhelmingly: irresistibly; pain: hurting; pale: pallid; palette: pallet; parachute: chute;
paramount: overriding predominant preponderant; parolee: probationer; particle: corpuscle mote;
particularly: peculiarly specially; partisanship: partiality; partner: spouse; passion: heat;
pastor: curate parson rector; patriot: nationalist; payable: collectable collectible;
penalty: punishment; perfectly: utterly; perky: chirpy; permanent: lasting; permit: license;
persistent: relentless unrelenting; person: soul; pervasive: permeating; philosophy: doctrine;
photo: pic; physician: medico; pig: hog; pimp: pander ponce procurer; piper: bagpiper;
pistol: handgun; pit: cavity; pity: commiseration; placid: unruffled; plight: quandary;
poetry: verse; pointless: purposeless superfluous; pompous: grandiloquent; ponder: mull ruminate;
possibly: perchance; postpone: shelve; postponed: shelved; potter: thrower; practicable: operable;
practise: rehearse; precious: cherished treasured; predecessor: precursor; predictive: prognostic;
prepaid: postpaid; preparation: readying; preposterous: derisory; preserve: uphold;
prevalent: predominant rife; prevent: foreclose forestall preclude; priceless: invaluable;
priority: precedence; privacy: seclusion; problematic: baffling debatable knotty;
proceed: continue; proceeds: continues; programming: scheduling; prohibit: disallow proscribe;
prominently: conspicuously; promote: encourage; promotion: publicity; prophecy: prognostication;
prophet: oracle; prostitute: bawd; protagonist: admirer; prototype: epitome;
provide: furnish supply; providing: furnishing supplying; prowess: artistry; public: populace;
publish: print; publishing: printing; puke: stinker; punish: penalize; punishment: penalty;
purpose: intention; purposely: advisedly; quash: subjugate; query: question;
question: interrogation; quick: speedy; quit: cease; railway: railroad; rank: membership;
rating: evaluation valuation; ratings: evaluation valuation; reach: attain; readable: decipherable;
realism: pragmatism; reasonable: sensible; reasonably: middling moderately passably;
recently: lately; reckless: heady; recommend: advocate; recreate: reanimate renovate;
recreation: diversion; rectangular: orthogonal; redundant: supernumerary;
reflective: brooding contemplative meditative pensive pondering ruminative; refresh: invigorate;
refreshing: brisk; refuse: decline; regain: retrieve; regard: consider; regardless: disregarding;
registration: enrollment enrolment; regularly: habitually; regulation: ordinance;
reiterate: iterate retell; relative: comparative; relax: decompress; relentless: grim unforgiving;
reliably: faithfully; religion: faith; religious: spiritual; reload: recharge; rely: trust;
remain: stay; remainder: residue; remake: redo refashion; remarkable: singular;
remarkably: unco unusually; remember: recall; renewal: reclamation; renowned: famed;
repeat: iterate reiterate restate retell; repeatable: quotable; repetitive: insistent;
reporter: newsman; repress: quash; republic: democracy; reservation: qualification;
reside: domicile; residence: abode; resign: vacate; respectively: severally; respite: reprieve;
restaurant: eatery; restriction: limitation; resultant: concomitant consequent; resume: restart;
retrieve: regain; reunion: reunification; reveal: uncover; revenge: retaliation;
revenue: receipt receipts; revival: revitalisation revitalization; reward: payoff; rework: retread;
rhythm: beat; riotous: luxuriant profuse; rip: rend rive; risky: hazardous; rob: overcharge;
robustness: hardiness; rocky: stony; rogue: knave rascal; role: function; rostrum: soapbox;
rumor: hearsay; rundown: summation; safety: refuge; salary: earnings remuneration;
salesman: salesperson; salvation: redemption; satire: sarcasm; satisfy: fulfil fulfill;
savers: rescuers; savvy: apprehend; scoff: gibe; scrawny: boney; secure: procure;
seemingly: ostensibly; sensor: detector; sensual: carnal; sentimental: drippy;
separable: severable; separately: individually severally; separator: extractor;
seriously: earnestly; seriousness: earnestness sincerity; servant: retainer; setup: apparatus;
sharply: aggressively; shipment: consignment lading payload; shortage: deficit shortfall;
shortcut: crosscut cutoff; shotgun: scattergun; shriveled: sere; sickness: malady; sidestep: fudge;
silent: soundless; silently: mutely wordlessly; silliness: giddiness;
simultaneous: coincident coincidental coinciding; single: individual; sinister: forbidding;
skeptic: doubter; skill: acquirement; skip: jump; slavery: bondage thrall; slogan: shibboleth;
sly: crafty dodgy foxy tricksy wily; smoothly: swimmingly; snobbish: clubby;
soil: dirt grime grunge; song: strain; sorry: regretful; sorted: grouped; soul: psyche;
sparsity: sparseness; speaker: talker; spectator: looker watcher; specter: spook wraith;
speculation: conjecture; spite: malice venom; splatter: dabble; splendid: glorious resplendent;
spline: slat; sponsor: patronise patronize; spooky: flighty skittish; sport: athletics;
sporting: sportsmanlike; sportsman: sportswoman; squeaky: squealing; stagnation: doldrums;
standoffish: offish; start: begin; sterile: infertile; stimulus: stimulation; stomach: tum;
story: narration narrative tale; strange: unusual; strangely: funnily; strategy: scheme;
strengthen: fortify; strictly: purely; stubborn: unregenerate; student: pupil;
style: fashion manner mode; stylish: fashionable; subroutine: subprogram; subtlety: niceness;
successive: sequential; suitable: suited; sultry: sulphurous; sunny: cheery;
supervision: oversight superintendence; suppress: inhibit subdue; surplus: excess;
surreal: dreamlike phantasmagoric; surround: environ; surroundings: milieu; suspicion: hunch;
swear: blaspheme curse cuss; swift: fleet; swimmer: bather; symmetrical: harmonious;
tale: fable narration narrative; talent: endowment; tangential: digressive; tanker: oiler;
teacher: instructor; team: squad; tear: rupture; technology: engineering; tedious: deadening;
teenager: adolescent; television: telecasting; temporary: impermanent; temptation: enticement;
tend: incline; tendency: inclination; tenet: dogma; tension: tenseness; tentative: probationary;
terminate: expire; termination: expiration expiry; terrible: dire dreaded fearsome frightening;
terrific: tremendous wondrous; terrified: panicky; terror: panic; textile: cloth;
thankfully: gratefully; theme: topic; therapist: healer; thermal: caloric; thief: stealer;
thoroughly: exhaustively; threat: menace; thrive: boom; throat: pharynx; tiny: bantam petite;
tiresome: deadening; titled: highborn; toilet: lav lavatory privy; tolerate: abide brook;
tongue: clapper; topic: theme; tornado: twister; trademark: earmark hallmark; trader: monger;
tragedy: cataclysm; transmission: transmittal transmitting; transparent: pellucid;
tremendously: staggeringly; triangle: trigon trilateral; trickery: shenanigan; triplets: trios;
trite: threadbare; trooper: cavalryman; tube: tubing; tumble: topple; tune: melody;
turf: sod sward; typing: typewriting; tyranny: absolutism authoritarianism totalitarianism;
ugly: surly; ultra: extremist; unanswered: unrequited; uncertainty: precariousness;
undercover: surreptitious; understand: interpret; understandable: intelligible perceivable;
understandably: intelligibly; understanding: apprehension; underwater: submerged submersed;
unfortunately: alas unluckily; unidentified: nameless; unified: merged; uninspired: unimaginative;
uniqueness: singularity; unity: wholeness; universal: ecumenical; unremarkable: quotidian workaday;
unrest: ferment fermentation; unwarranted: insupportable; upcoming: approaching;
uptight: jumpy restive; urge: exhort; usage: utilization; usually: commonly;
utterance: vocalization; vacuum: vacuity; vain: swollen; validation: substantiation;
validity: cogency; valley: vale; variation: fluctuation; veer: swerve; vegetable: veggie;
vendor: marketer trafficker; vengeance: payback; verifiable: falsifiable;
verification: substantiation; veritable: unquestionable; viable: executable practicable;
vibrant: vivacious; vibration: quivering; vice: frailty; vices: frailties; vicious: barbarous;
viewer: looker spectator watcher; vigilant: wakeful; vigorously: smartly; vile: queasy;
villain: scoundrel; violin: fiddle; visual: ocular optic optical; vitality: verve; vivid: lifelike;
vomiting: emesis; wage: earnings remuneration salary; wallet: billfold; wander: stray;
wanker: tosser; weakness: failing; wealth: riches; weird: eldritch uncanny unearthly;
whiny: querulous; wickedly: evilly; wile: shenanigan; wine: vino; wisely: sagely;
witch: enchantress; wizard: virtuoso whiz; wonderful: terrific tremendous wondrous;
wonderfully: terrifically; workable: executable; wrestler: grappler; wrist: carpus; writer: author;
youngster: tyke; youthful: vernal; zoo: menagerie; zoom: whizz
"""

REFUSED = frozenset(
    (word.strip(), substitute)
    for word, _, substitutes in (entry.partition(":") for entry in _REFUSED_PAIRS.split(";"))
    for substitute in substitutes.split()
)
