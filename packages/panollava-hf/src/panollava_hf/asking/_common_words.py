"""Common English words: what is typed like this is meant, and not a typing error for another word.

They are names of things that photographs show, colours, shapes, numbers, and words that differ by one letter from words
in questions about solids: "tree" from "three", "wall" from "ball".
"""

COMMON_WORDS = frozenset(
    """abode abound above abusing accent acre admin afterward agent aide aiding aids ale alias alike alive allot alloy
    alloys ally aloe alone alter amber amen anew angel angry ankle ant ants aorta apple apples aptly arch ardent
    arena arm arms arrange arrow arrows artist aside asp ass assets assure assured atlas atop atypical aver avid
    awake award axe axle babies baby back backpack backyard bad badly bag bags bail bait bake baked baking bald ball
    balloon balloons ban banana band bang bank bans bar bare bark barley barn barred barrel barren base bases basil
    basin basins basket bass bast batch batches bath bathroom bathtub batter bays beach beaches bead beads bean beans
    bear beard beast beat bed bedroom beds bee beef beer bees beet beets begun behind behold beige believer believers
    bell bellow bells belong below belt bench benches bent berry betting biased bicycle bid big bike bikes biking
    bill billing bills bin bind binder binding binds bird birds bite bitter black blacks blast blend blending blew
    blight bliss bloating bloc block blocks blood blow blue blues blur boat boats bog bold boll bond bone bones bonus
    bony book booking books boom boon boot booth boots bore boss bot bottle bottles bound bounds bout bow bowl bowls
    box boy boys brace brain branch brave breach breaches bread breath breaths bred brick bridge bridges brig bright
    brine bring brink broad broken bronze broom broth brother brow brown buck bucket bud build building buildings
    bull bulls bully bunny buoy burn burned burning burs bury bus buses bush bushes bust butter butterfly button cab
    cabinet cable cage cake cakes cal calendar calf call caller calm camel camp can candle candy cane canned canning
    cannon cap caps car card cards caret carp carpet carrel carrot cars cart carts carve carving cash cast caste
    castes castle casualty cat catchy categorize cater cats causal caution cave cease ceiling cell cells cent chain
    chair chairs chant chap charge charged charges chase chat chats cheek cheeks cheer cheese chem cherry chest chew
    chick child children chip choke chop chore chuck church circle circles cite cited clad clam clamp clams clan
    clans clarity clash clause clauses claws clay clean cleaned clearer cleft cliff clock clocks clone clones cloning
    closed closer closet cloth clothe cloud clouds clover club clue coach coal coarse coast coasts coat coats code
    codes coding coffee coil coin coined coins col colander cold colds colon coma comb comet comets comfortably comm
    commend commute compete competed complaint compos composer compost computer concrete conduit cone conform confuse
    conj container convened convex convoy cook cooked cooking cooks cool coop cope coping copper cord cords core
    cores cork corn cornea corner cost costly cotton couch cough count counter country county course court covert
    coveted cow coward cows crab crack craw crest crib crick cried cries crimson cropped cross crossing crow crowd
    crown crust crying cube cubs cup cupboard cups curb cure cures curing curry curs curse curtain curtains cute cuts
    cutting cyan cylinder cysts dad dairy dam dark dart date dated dates dawn dead deaf deal dealt dean decade deceit
    deceive decode decoded decoding deduct deed deeds deem deemed deep deer defect defend defending defer deferred
    deflect defy delivery dens dense dent deport deported descent desert designer desk detain detained dial diamond
    dice dies dine ding dire dirty disc discovery dish dishes disk displaced diss dive diving docs doctor dog dogs
    doing doll dolphin dome domes don done donut doom door doors dorm dose doses dot dots dough dove drab drag dragon
    drain dram drawer dread dream dress drew dried dries drill drink driver drone drought drove drown drug drugs drum
    drunk dry drying dual duality duck ducks duke dull dump dune dust dwell dyeing dyes dying ear earl earn earned
    earning ease east eater eds egg eggs eight eighty elect elected ember empty enact endure engine entice entirety
    entrance equality estate ether evacuate event examiner excerpt exit exiting exits expend expert experts explode
    exploded exploding explorer expos extent eye facet facets factory factual fade fading faint fairy fake fall
    falling falls fame famed familial fan fans far fare farm farmed farmer farms fat fate father fats fear feast feat
    fed feed feeding feeds fees fellow fellows felt fence fences fend fest fever field fight figs file filed files
    filing filler film filmed filming films find fine finer finger fins fir fire fired firing firm firms fish fishes
    fishing fist fitting five flag flair flat flats fleet flesh flick flies flight flock flocks flood floor flour
    flow flower flowers flue flute fly flying foam focussed foes fog foil fold folds follower folly font food fool
    foot forced fore forest forge forged forgiven fork forks form formal fort forth forts forum forums fought
    fountain four fox foxes frame fret fridge fried friend fries fright frog from frond front frost fruit frying fuel
    fueling fuels fund funds furious furry fused fuses gad gain gait gall game gaming gap garage garden garlic gate
    gates gating gear gels gems gender gene gent genus germs ghost giant gill gills girl girls give gland glass
    glasses glaze glazing globe glove gloves glow glue goat god goes gold golden gone grab grace graceful grad graft
    grain gram grand grape grass grate grave gray graze grazing great greed green greet greeting grew grey grief
    groom grown guest guests guilt guitar gull gun gust guts guy hack hacking hail hailed hair hall halls halo halt
    ham hammer hand handler hands happy hard hardy hare harm harp hat hatch hatched hatching hate hated hath hats
    haven haze head heal heals heap hear heart heat heats heavy heed heel heels heir held helicopter helix hell hello
    helm hemp hen hens herb herds here hereby hermit hero hes hexagon hike hiking hill hills hind hinder hing hire
    hiring hither hitting hive hives hoard hole holes hollow holy home homes hone honesty honey honing hood hoof hook
    hooked hooks hop hopping hops horn horse horses hose hospital host hosts hot hotel hour hours house houses huge
    hull humble hump hundred hung hungry hunt hunts hut huts hype ice ideal identifier ill indexed indigo info insect
    insider insure intent inter intro inventor inventors invite invites iron island jack jacket jade jail jam jar
    jeans jets john joint joints jug juice jump june kelp kettle key keyboard keys kick kicked kicking kid kids kill
    killed killer killing kills kind king kings kiss kissing kitchen kite kits knee knife knight knob knot knots labs
    lace lack lad ladder lady lake lakes lamp lamps lance land landing laptop large laser lat late later laterally
    latex lawful laws layer leach leaching leaf leak leaking leaks lean leaned leaning leap leaps learner learnt
    lease leased leasing leather leaves leaving led left leg legion legs lemon lend lender lends lens lent lept
    lessen letter letters lever lice lid lids lieu life lift lifted lifting light lightly lights lime line lined
    lines linger lining linked linking lint lion lip lips lit liter litter live lived lives load loading loads lobe
    lobes local locals lock locked locking locks locus loft logger lone lonely long loom looming looms loop loops
    loot lord lords lore lose loser losing loss loud lover lovers lower luck lumber lump lure lust magenta maid mail
    maker makers male males mall malls man manager mane mans many map marble marked market marking maroon marry mart
    martial mask masked masking masks mass mast master masters mat match matched matches matching math mats matt
    mature maze meal meals meat meats medal mellow melon melt melts member men mend merge merging mess met metal mete
    mice might mild mile milk mill milling million mills mind mine miner mini mint mirror misc mist mistake mistakes
    misused mite mixed mixing modal mode model modem modes moist mold molds mole moles money monitor monkey monster
    mood moon morn moss motel moth mother mothers motorbike mound mounds mount mountain mountains mounted mounting
    mourning mouse mouth movie movies mowing mud muddy mug mulch mush nail narrow nave near nearer nearest neat neck
    needy nerve nerves nest nested nesting nests net nets netting new newer niche nick night nine node nodes noise
    none noon norm norms north nose notable novice nuclear null number nurse nut nuts oar oasis oath observer
    occupied ocean octagon office oily old olive onion open ops orange ores otters ounce oval ovary oven overheard
    overt owed owes owing owls owner ozone pace pacing pack packed packing pact pad pads page pain pains painter
    painters painting paintings pair palace palaces pall pan pang pans pant pants paper papers parent park pars parse
    parsed parsing party pas past pasta pat patch patches patent path pattern pave paving paws pea peace peach
    peaches peak pear pears peas peasant peel peeling peels peer pen pencil pend pending pent pentagon people person
    persona persons pert pertain pest pests petal pets petty phase phone phones photography photon piano pickled
    picture pie pies pig pigs pill pillar pillow pills pine ping pink pint pipe pipes pits pizza plaint plane planes
    plank planner plant planted plants plastic plate plates plating play player playing plays plight plow plug plugs
    plum pocket pods pointer poised poke pole police poll pond ponder pondered pondering pool poor pope pore pork
    port pose poses posited poss post poster posts pot potato pots potting pouch pound pounds pour power pox prayed
    praying preach preached preaching preen preferable preference premise prepare prepares presided preview prick
    pries prince printer prism probe producer product profess prom prone propel props prose prosper proven provider
    providers prow prowess pull pump pups pure purple purpose purse pus puzzle puzzles pyramid pyramids qualify
    quantify queen quiet quilt quit quote rabbit race raced races racing rack radio rage raid rail rain rake rally
    ram ran rang range ranging ransom rare rat rats rays react reacted reacting reader real realism realist realm
    reap rear receiver recorder rectangle red reduce reed reeds refine refined regain regained relaxed relent
    reliable relied relieve relieved relieves rely remarkable remind remove renal rend rent renting rents repay
    repeal repealed repent reporter resent reserve reset residue residues resigned resort resorted resorting resorts
    resp respite result retail retain retained retaining retains revel reverence reviewer revolve reward rewarding
    rewards rice rich rick rid riddle ride rides riding rig right ring rise rite river rivers road roads roam roar
    robe robot rock rocket rocks rod rode roll roof root rope rose rotten round rounds rout router rover rubber rude
    rug runny rust sack sacs sad safe safety sage sail sailed saint salad sale sample sand sands sandy sang satisfies
    saw scab scam scams scanner scant scar scare scared scarf scars scene scent school scone scooter scope screen
    screw sculpture sea seal seam seams seas season seat seated seating sect seeded seeding seeds seep sell selling
    sells selves sender series server servers settling seven sever sewer sewing sewn shad shade shady shake shaking
    shale shalt shame shape share shark sharp shave shear shed sheds sheep sheet shelf shell shelves shield shin ship
    ships shirt shirts shoe shoes shoot shop shops shore short shorten shot shout shower shred shut sick sigh sight
    sign signs silk silt silver simpler simplex sin sine sing sings sink sins sire sister situ six size sized sizes
    skate skill skin skirt sky slain slate slave sleek slew slide slides slog slot slots slow slower small smear
    smoke snake sneak snot snow soap soared soaring sock socks sofa soft soften soil sold soldier sole solver son
    song soot sore sound soup sour sow sowing sown space spade span spanned spanning spans spare spark sparked spars
    sparse spat speaker spear specialty speck speed spent sphere sphinx spice spider spike spill spine spiral spit
    spite spoon sport sporting sports spot spring sprint spun square squares stab stack stacks staff stag stage
    staged stair stairs stake stakes stalk stalks stall star starch stark starring stars start starter startling
    starve starved starving stat stats statue statues stead steak steal steel steep steeped stem stems step stew
    stews sticky stiff sting stink stock stocks stone stones stool store storm stove strand strands stranger stray
    street streets string stripe striped stripes struck stud student sturdy sty subtly suction sue sued suit suitcase
    suite suited summit sun sung sunny supplier surf surge sway sweat swell swelling swine sword swords table tables
    tack tact tail tainted tale tales tall tame tan tang tank tanks tap tape tapes tar tart tasted tasting taught
    taxes taxing tea teacher teal teams tear tech teen teeth television tell temple ten tender tense tent tents term
    tester text texting texts that theme thence there thick thin thing think thinning thous thousand thread three
    threw throne thrust thumb tick ticks tide tides tie tied ties tiger tight tile tiles till timber timer tine tiny
    tire tired tires toad toe toes toilet token toll tomato tonal tone tong tongue tons tool tooth topical topped
    torch torn tort torus total tough tour towel tower towers town towns toy toys tracer tract trade traded trail
    train trains tram transparent tread treason treat treated tree trees trend trends triad triangle triangles tribes
    trick tricks trips trough truck trucks trumpet truss trusty tube tuber tubers tune tuned tunes tuning tunnel turf
    turquoise turtle twelve twenty tying tyre tyres udder umbrella unclean under unto upper urea usable user users
    vain valley van vans vars vase vast vastly vector vegan vend vent verb verses vest vested vets vice vine violent
    violet violin vocation void vote voted votes waist wake wakes waking wall walled wallet walls wand wander
    wandered wandering war ward wardrobe wards ware warm wars wart warts wary wash washed washes washing wasted
    wasting watch water watt watts wave waves waving weaning wear wearer weave wed wedge weed weeds week weeks
    weeping weld well were west wet wetter whale what wheat wheel wheels whence where whereby wherever whey whit
    white whole whom whose wick wicked wide width wife wild wilt wind winding window windows winds wine wing wings
    wipe wire wiser witch witches wolf woman women wood wooden woods wool wore worker worm worms worn worries worry
    wound wounds wrest wring writ writer wrought yard year yearly yearning yeast yelling yellow yolk young zeal zero
    zip zone zoom""".split()
)
