"""Fixed word lists of the lexicon's rules, kept apart so that they can be read and argued about."""

__all__ = ["BANNED", "FUNCTION_WORDS", "NAMES", "TECHNICAL", "ZERO_PLURALS"]

# Closed-class words, auxiliaries, numerals, days and months: never changed, never a substitute.
FUNCTION_WORDS = frozenset(
    """
    a about above across after again against ago ahead albeit all alone along already also
    alternatively although always am amid among amongst an and another any anybody anyone anything
    anywhere apart april are aren around as aside at august away back be became because become
    becomes been before behind being below beneath beside besides between beyond billion both but by
    came can cannot come could couldn december despite did didn do does doesn doing don done double
    down dozen dr due during each eight eighteen eighth eighty either eleven else elsewhere enough
    etc even ever every everybody everyone everything everywhere except far february few fewer
    fifteen fifth fifty first five for former formerly forth forty four fourteen fourth friday from
    further gave get gets getting give given gives giving go goes going gone got gotten had hadn
    half has hasn have haven having he her here hereby hers herself him himself his how hundred
    hundredth i if in indeed inside instead into is isn it its itself january july june just last
    later latter least less lest let like likely likewise little lot lots madam made make makes
    making many march may me mere might million mine monday more most mr mrs ms much must my myself
    namely near need neither never next nine nineteen ninety ninth no nobody none nor not nothing
    notwithstanding november now nowhere october of off on once one ones oneself only onto or other
    others otherwise ought our ours ourselves out outside over owing own per please plenty plus put
    quite rather re really regarding said same saturday saw say says second see seen self selves
    september seven seventeen seventh seventy several shall shan she should shouldn since sir six
    sixteen sixth sixty so some somebody somehow someone something sometime somewhere soon still
    such sunday ten tenth than that the their theirs them themselves then thence there thereafter
    thereby therein thereof they third thirteen thirty this those though thousand thousandth three
    thrice through throughout thursday thus till to together too took toward towards trillion triple
    tuesday twelve twenty twice two under underneath unless unlike until unto up upon us use used
    uses very via was wasn we wednesday well went were weren what whatever when whence whenever
    where whereas whereby wherein whereupon wherever whether which whichever while whilst whither
    who whoever whole whom whose why will with within without won would wouldn yes yet you your
    yours yourself yourselves zero
    """.split()
)

# Terms whose meaning in software, mathematics or statistics WordNet has not, or has as a rare
# sense. They are never replaced.
TECHNICAL = frozenset(
    """
    accuracy add adjacency algorithm allocate annealing apex append approximate approximation
    arbitrarily arbitrary argument array assert assign attribute axis backend base batch bias binary
    bind bit block boolean boundary branch broadcast buffer bug build bundle byte cache call
    callable cast cell channel character child chunk class classification classifier client clip
    clique cluster code coefficient collection collector collocation column command commit compile
    compiler complex component compute computer concave concurrent condition configuration conjugate
    constant constraint constructor container context contingency control controller converge
    convert convex convolution coordinate copy core correlation cost covariance create criterion
    cumulative curve cycle data database dataset decimal declare decode decompose decorator default
    define degree delete delta density dependency deprecate deprecation derivative descriptor
    detection determinant deviation device diagonal dictionary digit dilation dimension directory
    disable discrete discriminant distribution divide divisor document domain driver dual duplicate
    edge eigenvalue element ellipsoidal embed enable encode engine ensure entry enumerate
    environment epoch equate equation erosion error estimate estimator evaluate event exception
    execute exhaustive exponent expression factor factorial fail feasible feature field file filter
    fit fix flag flat float fold folder format fraction frame framework frequency function fusion
    galactic gate generalize generate generator git glob global gradient graph gravity grid group
    hamming handedness handle handler hash header heap hermitian hessian histogram host identical
    image immutable implement import index infeasible infer inference infinite inherit init input
    insert installation instance integer integral integration interface interpolate interval inverse
    inversely invoke iterate iteration iterator join kernel key keyword label lambda language layer
    layout leaf length level library limit line linear link list listener listing literal load local
    lock log logarithm loop machine macro main manifest map margin mask match matrix maximum mean
    median memory merge message messenger meta method metric minimum mode model module momentum
    monitor multiplier multiply mutable name namespace negative network neuron node noise norm
    normal normalization notification null number numeric object observer offset operand operation
    operator optimize option order origin orthogonal output overflow overload package packet pad
    page parallel parameter parent parse parser particle partition pass patch path pattern
    performance period permutation pipe pipeline pixel plot plugin point pointer policy polynomial
    pool port positive power precede precision predict prefix prime print private probability
    procedure process processor product profile program programming project projection prompt
    property protocol prototype proxy public pull push python query queue random randomly range rank
    rate ratio raw read real recall record rectangular rectify recursion recursive reduce redundant
    reference reflective register registration regression regularization regularize release
    remainder remote render repeatable repository request reset residual resolution resource
    response return reuse robustness root rotate round route row rule run sample satellite scalar
    scale scatter schedule schema scope score script search segment separator sequence serial server
    service session set setup shape shell shift shortcut signal signature simplex simulate
    simulation singular size slice smooth socket software solver sort sorted source space span
    sparse sparsity spectral spectrum spline split stack standard state statement static statistic
    statistical stem step stimulus storage store stream string structure subclass submit subroutine
    subset subtract suffix sum support surface switch symbol symmetric symmetrical syntax system
    table tag target task template tension tensor term terminate termination test text thermal
    thread threshold time timeout token tolerance topology trace train transcendental transform
    transformation transition transmission transparent transpose tree trial triangle trigger
    truncate tube tuple type typing uniform union unique unit update upload url user utility
    validate validation value variable variance variant variation vector verbose verification verify
    version view virtual wave wavelet weight width window wrapper write yield
    """.split()
)

# Words that are names of people as often. Lower-cased text does not tell "mike" from "Mike".
NAMES = frozenset(
    """
    althea amber angel art autumn baker barb basil beau bill billy bob bobby bonnie brook brown buck
    buddy bush candy cape carol carter chad chase chris christian chuck clancy cliff colt cook
    cooper crystal daisy dale darcy dawn dean dick dixie dolly don drew duke earl earnest ernest eve
    faith flora florence ford fox frank gale gene ginger glen gore grace grant guy ham hank harmony
    harry heath heather hector herb hill holly hooker hope hunter iris ivy jack jade jay jean jenny
    jerry jess jimmy job john josh joy jude kelly ken king kit kitty lam lance lane lee lily marina
    mark martin mason matt max may melody mike miles milo misty murphy nelly nick norm olive otto
    parker pat pearl peg penny peter pierce piper polly porter potter prince randy ray reed rex rice
    rob robin rocky rod roger rose ruby rusty sally sandy saul shannon sheila skip sonny stella
    stone sue summer tad taylor ted teddy tom tommy tony trudy twain tyler van vic victor viola
    violet wade wally ward will wolf wood woody
    """.split()
)

# Never a substitute: vulgar, insulting or loaded words that WordNet does not mark as such, and
# abbreviations that look like words.
BANNED = frozenset(
    """
    arse arsehole ass asshole bastard bitch bloody bollocks boner bonk boob booze bugger bullshit
    bum bung butt cent cock coolie coon cornhole crap cripple cuckold cum cunt damn darkie darky
    dick dickhead dike dildo doc dumbass dyke eff fag faggot fanny fart fatso fornicate frig fuck
    fundament goddamn gook gypsy halfbreed hell honky hooker horny hump idiot imbecile injun jackass
    jap jape jerk jew kaffir kike lunatic mick midget mil min mongol moron mulatto negro negroid
    nigga nigger nip nookie nooky orgasm pansy peck pecker peter piddle piss poof poop poove prick
    prostitute pussy queer rape raunch redskin retard retarded roger schmuck screw screwing sec sexy
    shag shit shtup slag slut sodomize spade spastic spic squaw tit tits titty turd twat wank
    wetback whore wog yid
    """.split()
)

# Nouns that are their own plural.
ZERO_PLURALS = frozenset(
    """
    aircraft bison chassis cod corps deer elk fish grouse headquarters hovercraft means moose
    offspring salmon series sheep shrimp spacecraft species squid swine trout watercraft
    """.split()
)
