"""English words that do not change an answer."""

#: Words that do not change an answer. They are put into questions, so that the model has seen them.
FILLERS = tuple(
    """actually really just simply currently basically possibly maybe perhaps probably certainly surely clearly
    exactly precisely roughly approximately quickly kindly honestly truly indeed also too still even only
    already again ever always usually often sometimes generally typically normally obviously apparently
    presumably evidently likely literally essentially practically virtually nearly almost quite rather pretty
    fairly very so such that this these those some any well ok okay yes oh ah uh um hmm hey hello hi now then
    here there today tonight nowadays presently momentarily instantly immediately directly finally lastly
    eventually meanwhile otherwise therefore however thus hence please thanks friend buddy dear me you we us
    they it carefully closely correctly properly briefly concisely shortly accurately reliably definitely
    absolutely totally entirely completely fully mostly mainly largely partly partially slightly somewhat
    potentially supposedly hopefully fortunately sadly luckily frankly seriously personally visually spatially
    geometrically physically visibly remarkably notably particularly specifically especially namely respectively
    altogether overall anyway somehow somewhere anywhere whenever when while since because though although
    unless with without at from for of to into onto the a an its your my our their his her is are was were be
    been being am do does did done have has had having can could will would shall should may might must let make
    get give go come take put try want need know think guess believe suppose wonder hope wish help answer ask
    explain check verify confirm clarify consider imagine examine inspect study scan search observe watch regard
    view glance stare peek gaze looking seeing viewing watching standing sitting nice good great fine correct
    true real sure certain possible visible given current present actual particular specific main whole entire
    full complete various mine yours ours itself myself yourself nobody whether about concerning regarding
    according based moment minute time day way case sense question reply response camera viewer assistant model
    system data test task spot part bit lot kind sort type example instance fact elsewhere hereabouts
    thereabouts apart together alone few else following different similar area zone section segment quadrant
    vicinity neighbourhood neighborhood site locale placement orientation angle portion route path course see
    sees seen saw look looks looked spots spotted find finds found notice noticed detect detected observed
    glimpse discern pinpoint track trace catch identified recognise recognize determine decide judge assess
    evaluate estimate calculate compute call called classify categorise characterise characterize depict
    depicted portray portrayed show shows showing shown display displayed exhibit exhibited feature features
    include includes included contain contains contained comprise hold holds own possess carry offer provide
    supply presents represent reveal expose mention mentioned state stated specify specified indicate indicated
    suggest report reported tell telling told say says saying said speak talk write read note record inform
    share return output print respond deny occupy occupies fill fills cover covers surround surrounds encircle
    enclose face faces points pointing head heads lead leads leading aim aims lie lies lying sit sits stand
    stands rest rests hang hangs hanging float floats hover hovers suspended perched parked resting placed
    positioned situated located set laid dropped hidden hiding lurking waiting dwelling living residing
    appearing emerging existing remaining belonging happening going coming move moves moving walk walks walking
    step reach reaches reaching touch touching arrive grab hit meet meets encounter encountering bump approach
    approaching pass passing follow crossing spin swing tilt twist bend respect reference relation detail
    details detailed sketch appearance property attribute characteristic quality trait aspect nature identity
    class category variety species that's there's it's let's I'd I'm I've you'd you're you've we're we've
    they're isn't aren't doesn't don't didn't can't couldn't won't wouldn't haven't hasn't wasn't weren't
    shouldn't theres thats isnt arent dont cant im id ive youre gonna wanna gotta kinda sorta lemme gimme cheers
    ta regards greetings howdy evening afternoon morning welcome bye goodbye ahoy hiya sup hurry quick fast slow
    urgent important easy hard simple tricky silly curious interested interesting lost confused sorry pardon
    excuse forgive mind care love prefer able abroad accept accepted accidentally accordingly act active
    actively additional additionally adequately adjust admit affect afford afterwards agree agreed ahh allow
    allowed allows amusing announce anyhow anymore anytime appeal applied apply appreciate appreciated apparent
    appropriate approximate aren argue arrange arranged arrived arrives asked asking asks assist assume assumed
    attempt attempted attend authentic automatically avoid await aware awesome awful barely basic basis became
    become becomes becoming began begin begins behave believed believes bet better bless bored boring bother
    bothered bought breathe bring brings brought built busy buy calmly came capable capture captured captures
    careful caring casual casually casts caught cause caused causes certainty chance change changed changes
    claim claimed clear cleared clever click closing comfortable comment commonly communicate compact complain
    completed complex compose composed conclude conduct confidence confident confirmed confirms confirming
    connect considered considering constantly continue continued contribute convey conveyed convince cool costs
    courteous create created creates crucial customary daily dare dared deal decided deciding declare decent
    deduce deeply define defined deliver demand demonstrate denote depend depending depends deserve designed
    desire desired despite develop devote differ differs digital discovered discuss displaying distinct
    distinctly doubt due during dunno eager easier easily effect effort elaborate elegant embedded emerge
    emerges employ enable encountered encourage ended ends engage enjoy enjoyed ensure enter entered equipped er
    establish establishes evenly evident examined examining excellent except exclude excluded exclusively
    excuses execute exists expect expected expects explained explaining explains explicitly explore explored
    exploring express expressed extend extra extract extremely eyeing fail failed faintly fair familiar fancy
    feel feeling feels fell felt fetch figured filling finish finished fits fix fixed fixing focus focused
    focusing folk followed follows forget forgot formally formed fresh freshly friendly fun funny gave gather
    gathered gazed genuine genuinely gets getting giving glad gladly glanced glancing gotten gracious grant
    grateful greatly grow guessed handle handy happen happened happily happy hardly hates hear heard helped
    helpful helping helps hid hides hint hints hoping hosted huh humbly imagined imagining immediate imply
    implied inclined including incorrect inspected inspecting instead intend intended interact interest
    interpret introduce investigate invited involve involved join joined judging keen keep keeping keeps kept
    kinder knew knowing known knows lacking lately laughing lay lays learn learned learning lending lest letting
    liked likes liking limited listening lively logically loosely loved lovely lucky made maintain makes making
    manage managed manually matter matters mean meaning means meant mentally mentioning mere merely mighty
    minding missed missing mistaken modern momentary moved mustn mutually naturally necessarily necessary needed
    needing needs neatly never nevertheless newly nicely normal noted notes noticing notify observing obtain
    obvious occasionally occurred occurring occurs odd offered offers official ones ongoing openly operate opine
    optionally ordinary ought outright owned owns paid partial passed patient patiently pause pay paying
    peculiar peeking perceived perfect perfectly perform permit permitted personal phrase picked picking
    pinpointed placing plain plainly plan planned played pleasant pleased pleasure politely pop popped pops
    possessing posed posted potential precise preferably preferred prepared pretend prevent primarily probable
    proceed process produce produced prompt promptly proper propose prove proved provided provides providing
    publicly purely purpose puts putting puzzled puzzling quest questions quietly random randomly rarely rate
    reached ready realise realize realised realized reason reasonable reasonably recall receive received recent
    recently recognising recognizing reckon recorded refer referred refers reflect reflected regularly relate
    related relatively relevant remain remained remember remind reminds rendered repeat repeated repeatedly
    replace replied reporting reports request requested require required requires rescue research resides
    resided resolve respective responding responds restate results resulted retrieve returned reveals revealed
    review reviewed reviewing rough routine safely sake satisfied save scanned scanning scans secretly seeking
    seeks seemed seemingly selecting send sent serious serve served serves setup severely shared sharing sharply
    shouldn showed silently simplest sincere sincerely slight slowly smoothly solely solve solved soon sought
    sounds spare speaking special specially spend spoke spoken spotting standard started starts stately
    statement steady stepped stick sticks stood stop stopped strange strictly strongly stuck studied studying
    stuff submit subtle succeed successfully suddenly suffice sufficient suggested suitable suits super superb
    supplied support supposed surprise surprised surprising suspect swear swiftly takes taken taking talking
    talks teach technically tells tempted tend tends tested testing tests texted thanked thankful theoretically
    thereby thinks thorough thoroughly thought thoughts took touched traced tried tries truth trust trying typed
    typical typing ultimately unable uncertain unclear undoubtedly understand understood unfortunately uniquely
    unlike unsure until unusual use used useful uses using usual utterly valid vary verified verifying viewed
    views visit visited wait waited walked wants wanted wanting watched watches ways weird went whereas whilst
    wholly widely willing wise wished wishes wishing wondered wonderful wonders word worked working works
    worried worth worthy wow written wrong wrote yeah yep yet yesterday tomorrow yourselves themselves ourselves
    himself herself she he tq thx tnx plz kthx lol omg btw fyi asap brb afaik imo imho hmmm ehm eh aha oops phew
    whoa yay mhm nah nope yup alas bravo mister missus miss pal dude bro champ darling genius helper bot ai
    whichever whoever whomever wheresoever someday sometime anyplace someplace who'd what're who've it'll
    that'll there'll they'll we'll you'll I'll he's she's ain't y'all could've would've should've might've
    must've needn't mustn't mightn't what'd where'd how'd""".split()
)
#: Further words that do not change an answer, but are not put into questions, because they could.
HARMLESS = tuple(
    """either both neither whoever whichever versus along across amongst beside besides u ur somebody nearby close far
    away first second last count counting counted tally add list listed listing name named naming describe described
    describing compare compared compares choose chosen chooses chose select selected pick picked colour coloured
    colours colors colouring shapes shaped shaping directions located painter artist person's end ends ended equal
    equals equally amount quantity figure sum double single alone artist's via per plus once twice former latter
    rather hand side sides else both all every each whole together another other others different same many much few
    some several any enough less more most least nothing everything something anything one's ones such own early
    later earlier previously left-hand right-hand leftmost rightmost front-left front-right back-left back-right top
    bottom upper lower uppermost vs none nor yours hers theirs thereof
    within upon against out off past since till until throughout between among aside onward pointy pointed round rounded
    square squared boxlike ringlike tori hollow curved flat-sided cubed sideways clockwise counterclockwise
    anticlockwise compass bearing heading sight eyeline standpoint viewpoint vantage
    hw wat wut wht wich whr r y n da dis dat tht abt btwn wth thru cuz bc bright deep dark pale vivid
    thingy thingies thingamajig lefthand righthand halfway rundown
    meters metre meter degree unit ish wheres whats hows theres""".split()
)
