"""Pairs that met every rule of `build` and that a reader of English refused all the same.

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

# One line per word that would change: the lemma, then the lemmas refused for it.
_REFUSED_PAIRS = """
absolutely perfectly
abundantly extravagantly
accidentally unexpectedly
acclaimed hailed
accomplish fulfil fulfill
accountant comptroller
accumulate compile hoard
accuse impeach incriminate
actor histrion player
adherence adhesion
admission admittance
admit acknowledge
admittedly avowedly
ado bustle
adoption acceptance acceptation espousal
adult grownup
adventure escapade
adversary opposer resister
aerial ethereal
affection philia
agency bureau
aide adjutant
aimless undirected
alarm consternation dismay
alas regrettably unluckily
alleviate assuage
althea hollyhock
ambiguous equivocal
amusing diverting
animal beast
announcement annunciation
annoyed riled roiled stung
anticipation expectancy
apocalyptic revelatory
apparent evident
appointment designation naming
approval blessing
approve sanction
aptly ably capably competently
arise originate
arrest apprehend nab
arrested apprehended nabbed
arrogant chesty
artificially unnaturally
artisan journeyman
ass backside buttocks hindquarters
assessment appraisal
assortment miscellanea miscellany potpourri
assume presume
assurance sureness
assure insure
athlete jock
attacker assaulter
authentic unquestionable veritable
authority authorisation authorization potency regime
automobile motorcar
axiom maxim
babe infant
baby babe
backwards rearward
bartender barkeeper mixologist
battle engagement
beard whiskers
beast creature
beautifully attractively
beg implore
behavior doings
bend flex
bet wager
biometrics biostatistics
bizarre eccentric flakey flaky freakish freaky
blatant clamorous vociferous
blue bluish
blurred muzzy
bode augur
bonus fillip
bossy autocratic
bothersome pestering
brash nervy
breakdown dislocation
breathe respire
brilliantly brightly
brisk zippy
brutality barbarism viciousness
buddy crony sidekick
bunch clump cluster
buoyant floaty
calling vocation
candidate campaigner nominee
canny cagey
career calling vocation
cargo lading payload shipment
cemetery necropolis
center middle
chairman chairwoman
characterization delineation
chastity celibacy
chest pectus thorax
chicanery shenanigan
chick biddy
chicken poulet
chide lambast
chocolate cocoa
choice option selection
cinema celluloid
city metropolis
cleric churchman
cleverly smartly
cliche banality bromide
cloak mantle
cloaked mantled
closet cupboard
coach handler
coalition alignment
coast seacoast
coffee java
collaborator henchman
collector aggregator
comeback rejoinder
commerce commercialism
committee commission
compel oblige
compensate counterbalance
compliance conformation
complicate perplex
comprehend apprehend
conceive conceptualise conceptualize gestate
concerted conjunct conjunctive
conclusion decision
confess fink
confidence assurance
confirm affirm corroborate substantiate
confirmation substantiation verification
confound bedevil
connect link
connection connectedness
conquer inhibit suppress
conquest subjection
conscience scruple
consequence upshot
consequent concomitant
consequential eventful
consistently systematically
conspire conjure
constantly invariably
consultant adviser advisor
consumption ingestion intake uptake
contain comprise
contingency eventuality
contract compress
controller accountant comptroller
controversy contestation disputation
convincing compelling
costly pricey pricy
country commonwealth
court tribunal
cowboy cowherd cowman
crazy demented mad unbalanced unhinged
creature beast fauna
creep crawl
crime offence
cringe quail
cross traverse
cruel barbarous brutal savage
curious peculiar
cursed doomed
custody detainment detention
cynical misanthropic
dashed scooted
dawn aurora
deal trade
dealer trader
debatable disputable
deceit fraudulence
decide adjudicate
decision conclusion
decisively resolutely
decorate beautify embellish ornament
defer shelve
deficit shortage
definitely emphatically
definitive unequivocal
degradation debasement
deliberately advisedly purposely
delicately exquisitely
delicious delightful
democracy republic
demonic unholy
depravity putrefaction
deprecating slighting
deprecation denigration
describe depict
despair desperation
desperate despairing
desperately urgently
despicable slimy
destined doomed
detailed elaborated
detection sensing
determine ascertain
determined ascertained
devastating annihilating withering
devoid destitute
dictatorship authoritarianism totalitarianism
die expire
digging delving
dingy raunchy
dire dreaded
director manager
disability disablement
disable incapacitate
disabling incapacitating
disagreement dissonance
disappointed defeated foiled frustrated thwarted
disbelief skepticism
disclose unwrap
disclosure revelation
discourage deter
discovery uncovering
discrimination favoritism favouritism
disdainful haughty
disguised cloaked
dismal disconsolate
dismiss discount
display exhibit
disruption interruption
disruptive riotous
district territory
divide separate
divine godly
divulge unwrap
doctrine ism philosophy
documentary infotainment
dogged dour
dose dosage
downright outright
downstream downriver
drill bore
dub nickname
dubbed nicknamed
duly punctually
earnest solemn
earth globe
edgy nervy restive uptight
education pedagogy
educator pedagogue
effect consequence upshot
efficiently expeditiously
effort endeavor endeavour
elementary uncomplicated unproblematic
elicit kindle
elimination riddance
eloquent facile
embarrassing unenviable
embellish aggrandize
emission emanation
enact ordain
encourage promote
endless interminable
engage pursue
engineer technologist
engulf engross
enjoy bask relish savor savour
ensure assure
enterprise endeavor endeavour
entertainment amusement
entrance entryway
enumerate itemize
establish found
ethics morals
ethnic heathen
evening eventide
everyday mundane quotidian unremarkable workaday
evidence grounds
evoke arouse kindle provoke
exaggerate overdraw
examination scrutiny
exceed transcend
exceptional exceeding surpassing
excessive unreasonable
exhaustive thoroughgoing
expect anticipate
expense disbursement
explain explicate
exploitation victimisation victimization
explosion blowup
express evince
expulsion riddance
extra excess redundant superfluous supernumerary surplus
extraordinarily inordinately
extravagant overweening
facilitate alleviate
facility installation
factory manufactory mill
fairly middling moderately passably reasonably
fairy faerie fay sprite
faith religion
faithfully dependably
falter waver
famous celebrated noted
fanciful notional
fanfare ostentation
farce travesty
farmer granger husbandman
fascinating gripping
fashion manner mode
faux simulated
feasible executable practicable
fedora homburg
fellow bloke chap lad
film movie
final concluding
finale coda
finally eventually
finding determination
finish complete
firmly unwaveringly
flashy sporty
flowering inflorescence
fluffy flossy
fond affectionate
food nutrient
fool muggins
forbid nix
foreman gaffer
forest woods
formidable unnerving
fortunately fortuitously
freak monstrosity
freeway motorway
frenzy delirium hysteria
frequently oft
frog toad
fruitless sleeveless
frustrate bilk
fun merriment playfulness
fundamental cardinal primal
fundamentals bedrock
funny comic comical laughable
fusion unification
gadget appliance contrivance widget
gardener nurseryman
gasoline petrol
genetic familial hereditary inherited transmitted
ghost specter spectre spook wraith
gift endowment
girl missy
glory glorification
glut overindulge
golden gilded gilt
government authorities regime
graveyard necropolis
gravity gravitation
greedy covetous grabby
gritty grainy granular mealy
ground earth
growth maturation
grueling laborious
grumpy crabbed fussy
guardian defender
guess opine reckon suppose
guidance counseling counselling
gunman gunslinger hitman triggerman
hamlet crossroads
hamming overacting
hand mitt
handful fistful smattering
hapless piteous
hardly scarce
harry beset chevy harass hassle
hassle harry
haughty swaggering
headstrong froward
hefty brawny
hell inferno
hello howdy
helper benefactor
hen biddy
hereafter hereinafter
hermit recluse
hessian jackboot
hide conceal
historian historiographer
hokey stilted
horizon skyline
horrible atrocious horrifying
horrific dire dreaded
hospital infirmary
household menage
humor wit
hunter huntsman
hypothesize conjecture
hypothetical divinatory
idiot changeling cretin
illogical disjointed garbled
immerse plunge
imp pixie
impassioned torrid
imperative instant
impetus impulsion
imply connote
impose enforce
impression notion
improve ameliorate
inadequate unequal
inception origination
incidentally apropos
incomprehensible inexplicable
incredible improbable
incredibly implausibly improbably
individually severally
inexorable adamantine intransigent
infant babe
infidelity unfaithfulness
infinite endless
infinitely endlessly immeasurably
inhabit populate
innate unconditioned
innovation invention
installation instalment
instant jiffy trice twinkling
integration desegregation
integrity unity wholeness
intentionally advisedly
intermediary intercessor
interrupt disrupt
intervention intercession
introspective introverted
invent contrive
invoke conjure
ironic wry
irony sarcasm satire
isolate insulate
jazz nothingness wind
jeep landrover
jerky arrhythmic
joke gag
justify warrant
keen incisive penetrating penetrative piercing
keep maintain
kid youngster
kidnapper snatcher
kill murder
knowledge cognition
knowledgeable lettered
laud exalt
laughable derisory mirthful nonsensical
law jurisprudence
legacy bequest
legend fable
leghorn boater
letter missive
liberty autonomy
license commission
licensed commissioned
lift elevate
live inhabit populate
loaded laden
lobby antechamber anteroom vestibule
locale locus
locality vicinity
luckily fortuitously
lump clod
lush riotous
magnificently excellently
maintenance sustenance
majority bulk
maker shaper
manager director
mandatory compulsory
manifest attest certify
manifested attested
mannerism foible
manners fashion fashions
margin perimeter
marketing merchandising
massive monolithic
mathematics maths
maturity adulthood
maxim axiom
memorial commemoration
mention cite refer
merchant merchandiser
messenger courier
metro subway
mike microphone
milestone milepost
mind nous psyche
minister curate parson pastor rector
miscellaneous assorted
mixed assorted miscellaneous
mobile nomadic roving wandering
moderately middling passably
modernize overhaul
mood temper
motivate incite
movement motion
muddy mucky waterlogged
mundane quotidian unremarkable
murderer liquidator
muscle musculus
musician instrumentalist
mutter maunder
mysterious cryptic inscrutable mystifying
narrative tale
nation commonwealth
nationalism patriotism
nationwide countrywide
neck cervix
neighborhood locality vicinity
neighbourhood locality vicinity
newcomer fledgling neophyte newbie
nightclub cabaret
nonsensical derisory
note observe
notice detect
noticed detected
notification presentment
novelty freshness
oath expletive swearing
obnoxious objectionable
observer beholder perceiver
obsessed haunted
obstructive hindering
occasion juncture
offspring progeny
omen prognostic prognostication
ominous forbidding
opinion persuasion sentiment
opponent antagonist opposer resister
oppressive tyrannical
outdated superannuated
outing jaunt
outlay disbursement
outset kickoff showtime
overweight fleshy
overwhelm overpower
overwhelmingly irresistibly
pain hurting
pale pallid
palette pallet
parachute chute
paramount overriding predominant preponderant
parolee probationer
particle corpuscle mote
particularly peculiarly
partisanship partiality
partner spouse
passion heat
pastor curate parson rector
patriot nationalist
payable collectable
penalty punishment
perfectly utterly
permanent lasting
permit license
persistent relentless unrelenting
person soul
pervasive permeating
philosophy doctrine
photo pic
physician medico
pig hog
pimp ponce procurer
piper bagpiper
pit cavity
pity commiseration
pointless purposeless superfluous
pompous grandiloquent
possibly perchance
postpone shelve
postponed shelved
potter thrower
practicable operable
predecessor precursor
prepaid postpaid
preparation readying
preposterous derisory
preserve uphold
prevalent predominant rife
prevent foreclose forestall preclude
priority precedence
problematic baffling debatable knotty
programming scheduling
promote encourage
promotion publicity
prophecy prognostication
prophet oracle
prostitute bawd
protagonist admirer
prototype epitome
prowess artistry
public populace
publish print
publishing printing
puke stinker
purposely advisedly
quash subjugate
query question
question interrogation
quick speedy
rank membership
rating evaluation valuation
ratings evaluation valuation
reach attain
realism pragmatism
reasonable sensible
reasonably middling passably
reckless heady
recreate reanimate renovate
recreation diversion
rectangular orthogonal
redundant supernumerary
reflective brooding contemplative meditative pensive pondering ruminative
refresh invigorate
refreshing brisk
refuse decline
regain retrieve
regard consider
regardless disregarding
registration enrollment enrolment
regularly habitually
reiterate iterate retell
relative comparative
relax decompress
relentless unforgiving
reliably faithfully
religion faith
religious spiritual
rely trust
remain stay
remainder residue
remake redo refashion
remarkable singular
remarkably unco unusually
remember recall
renewal reclamation
repeat iterate reiterate restate retell
repeatable quotable
repetitive insistent
reporter newsman
repress quash
republic democracy
reside domicile
resign vacate
respectively severally
restaurant eatery
resultant concomitant consequent
resume restart
retrieve regain
reunion reunification
reveal uncover
revenue receipt receipts
revival revitalisation revitalization
reward payoff
rework retread
rhythm beat
riotous luxuriant profuse
rip rend rive
rob overcharge
robustness hardiness
rocky stony
rogue knave
role function
rostrum soapbox
rumor hearsay
safety refuge
salary earnings remuneration
salesman salesperson
satire sarcasm
satisfy fulfil fulfill
savvy apprehend
scoff gibe
scrawny boney
secure procure
sentimental drippy
separately severally
separator extractor
servant retainer
setup apparatus
sharply aggressively
shipment consignment lading payload
shortage deficit
shortcut crosscut cutoff
shotgun scattergun
sidestep fudge
silent soundless
silliness giddiness
simultaneous coincident coinciding
single individual
sinister forbidding
skill acquirement
skip jump
slavery bondage
slogan shibboleth
sly dodgy foxy tricksy
smoothly swimmingly
snobbish clubby
soil dirt grime grunge
song strain
sorry regretful
sorted grouped
soul psyche
sparsity sparseness
speaker talker
spectator looker watcher
specter spook
speculation conjecture
spite malice
splatter dabble
splendid glorious
spline slat
sponsor patronise patronize
spooky flighty skittish
sport athletics
sporting sportsmanlike
sportsman sportswoman
squeaky squealing
stagnation doldrums
standoffish offish
sterile infertile
stimulus stimulation
stomach tum
story narration narrative tale
strange unusual
strangely funnily
strategy scheme
strictly purely
stubborn unregenerate
style fashion manner mode
subroutine subprogram
subtlety niceness
successive sequential
suitable suited
sultry sulphurous
sunny cheery
suppress inhibit subdue
surreal dreamlike phantasmagoric
surround environ
swear blaspheme curse cuss
symmetrical harmonious
tale fable narration
talent endowment
tangential digressive
tanker oiler
team squad
tear rupture
technology engineering
tedious deadening
teenager adolescent
television telecasting
temporary impermanent
tend incline
tendency inclination
tension tenseness
tentative probationary
terminate expire
termination expiration expiry
terrible dire dreaded fearsome frightening
terrific tremendous wondrous
terrified panicky
terror panic
textile cloth
thankfully gratefully
theme topic
therapist healer
thermal caloric
thief stealer
thoroughly exhaustively
thrive boom
throat pharynx
tiny bantam petite
tiresome deadening
titled highborn
toilet lav lavatory privy
tolerate abide brook
tongue clapper
topic theme
trademark earmark hallmark
trader monger
transmission transmittal transmitting
transparent pellucid
triangle trigon trilateral
trickery shenanigan
trooper cavalryman
tube tubing
tumble topple
turf sod sward
typing typewriting
tyranny absolutism authoritarianism totalitarianism
ugly surly
ultra extremist
unanswered unrequited
uncertainty precariousness
understandable perceivable
understandably intelligibly
understanding apprehension
underwater submerged submersed
unfortunately alas unluckily
unidentified nameless
unified merged
uninspired unimaginative
uniqueness singularity
unity wholeness
universal ecumenical
unremarkable quotidian
unrest ferment
unwarranted insupportable
upcoming approaching
urge exhort
vacuum vacuity
vain swollen
validation substantiation
validity cogency
variation fluctuation
vegetable veggie
vendor marketer trafficker
vengeance payback
verifiable falsifiable
verification substantiation
veritable unquestionable
viable executable practicable
vibration quivering
vicious barbarous
viewer looker spectator watcher
vigilant wakeful
vigorously smartly
vile queasy
visual ocular optic optical
vomiting emesis
wage earnings remuneration salary
wallet billfold
wanker tosser
weakness failing
wealth riches
weird eldritch unearthly
wickedly evilly
wile shenanigan
wine vino
witch enchantress
wizard virtuoso whiz
wonderful terrific tremendous
wonderfully terrifically
workable executable
wrist carpus
youngster tyke
youthful vernal
zoo menagerie
zoom whizz
"""

REFUSED = frozenset(
    (word, substitute)
    for word, *substitutes in map(str.split, _REFUSED_PAIRS.strip().splitlines())
    for substitute in substitutes
)
