"""Common English words: what is typed like this is meant, and not a typing error for another word.

They are names of things that photographs show, colours, shapes, numbers, and words that differ by one letter from words
in questions about solids: "tree" from "three", "wall" from "ball".
"""

COMMON_WORDS = frozenset(
    """abode abound above abusing accent acre admin afterward agent aide aiding aids ale alias alike alive allot alloy
    alloys ally aloe alone alter amber amen anew angel angry angular ankle annuls ant ants aorta apple apples aptly
    arch ardent arena arid arise arm arms arrange arrow arrows artist aside asp aspire aspires ass assets assure
    assured atlas atop atypical aver avid awake award axe axle babble babbles babel babels babies baby back backpack
    backslide backyard backyards bad badly bag bags bail bait bake baked baking bald ball balloon balloons ban banana
    band bang banister banisters bank bans bar bare bark barley barn barred barrel barren base bases basil basin
    basins basket bass bast batch batches bath bathroom bathtub bats batter bays beach beaches bead beads beak beaks
    beam beams bean beans bear beard beards bears beast beat beats beau beaus bed bedroom beds bee beef beer bees beet
    beets begs begun behind behold beige believer believers bell bellow bells belong below belt bench benches bent
    berry betting bevel biased bicycle bid big bike bikes biking bill billing bills bin bind binder binding binds bins
    bird birds bite bitter black blacks blank blast blend blending blew blight blinds bliss bloating bloc block blocks
    blogs blood blow blue bluefish blues blur blush boat boats bobble bobbles bog bogs bold bole boll bond bone bones
    bonus bonuses bony book booking books boom boon boot booth boots border bore boss bot bottle bottles bound bounds
    bout bow bowl bowls box boy boys brace brad brads brain braise branch brave breach breaches bread breads breath
    breaths bred brick bridge bridges brig bright brine bring brink brisk brisks broad broken bronze broom broth
    brother brow brown bubbly buck bucket bud build building buildings bull bulls bully bumble bumbles bungle bungles
    bunny buoy burble burbles burn burned burning burs bury bus buses bush bushes bust butter butterfly button cab
    cabinet cable cage cake cakes cal calendar calf call caller calm camel camp can candle candy cane canned canning
    cannon canton cantons cap capered capering caps car carbine carbon carbons card cards caret carp carpet carrel
    carrot carrots cars cart cartoon cartoons carts carve carving cash cast caste caster castes castle casualty cat
    catchy categorize cater cats causal caution cave cease ceiling cell cells cent chain chair chairs chant chap
    charge charged charges chase chat chats cheek cheeks cheer cheese chem cherry chest chew chick child children chip
    choke chop chore chuck church circle circles cite cited clad clam clamp clams clan clank clans clarity clash
    clause clauses claws clay clean cleaned clearer cleave cleft clement cliff clime clock clocks clogs clone cloned
    clones cloning closed closer closet cloth clothe cloud clouds clover club clue coach coal coarse coast coasts coat
    coats code codes coding cods coffee cogs coil coin coined coins col colander cold colds colic colon coma comb
    comet comets comfortably comic comm commend commute compete competed complaint compos composer compost computer
    concrete conduit cone conform confuse conj consent consents container contend contends contest contests context
    contexts contuses convened convent convents convex convoy cook cooked cooking cooks cool coop cope copied copier
    copiers coping copper copses cord cords core cores cork corn cornea corneas corner coronet coronets corset corsets
    cosies cost costly cotton couch cough count counter country county course court covert coveted cow coward cows
    cozies crab crack crane cranes crape crapes crater craters crave craves craw craze crazes crest crib crick cricks
    cried cries crimson cropped cross crossing crow crowd crown crust crying cube cubs cup cupboard cups curate
    curates curb cure cures curing curry curs curse curtain curtains cute cuts cutting cyan cylinder cynic cysts dad
    dairy dam dangles dark dart date dated dates dawn dead deaf deal dealt dean decade deceit deceive decode decoded
    decoding decrees deduct deed deeds deem deemed deep deer defect defend defending defer deferred deflect defy
    delivery dens dense dent deport deported descent desert designer desk detain detained dial dialing diamond dice
    died dies dine ding dins dire direst dirty disc discovery dish dishes disk displaced diss dive diving docs doctor
    dog dogs doing doll dolphin dome domes don done donut doom door doors dorm dose doses dot dots dough dove drab
    drag dragon drain dram drawer dread dream dress drew dried dries drill drink driver droller drone drought drove
    drown drug drugs drum drunk dry drying dual duality duck ducks duke dull dump dune dust dwell dyeing dyes dying
    ear earl earn earned earning ease east eater eats eds egg eggs eight eighty elect elected ember empty enact endure
    engine enmities enmity entice entirety entitles entrance equality estate ether evacuate event examiner excerpt
    exit exiting exits expend expert experts explode exploded exploding explorer expos extent eye facet facets factory
    factual fade fading faint fairy fake fall falling falls falser falter fame famed familial fan fans far fare farm
    farmed farmer farms fasten fat fate father fats fear feast feat fed feed feeding feeds fees fellow fellows felt
    fence fences fend fennel fest fester fever field fight figs file filed files filing filler film filmed filming
    films find fine finer finger fins fir fire fired fires firing firm firms fish fishes fishing fist fitting five
    flack flag flair flask flat flats fleet flesh flick flies flight flock flocks flogs flood floor flour flow flower
    flowers flue flunk flute fly flying foam focussed foes fog fogs foil fold folds follower folly font food fool foot
    footfall footfalls forced fore forest forge forged forgiven fork forks form formal fort forth forts forum forums
    foster fought foul fountain four fox foxes frame frank fret fridge fried friend fries fright frog from frond front
    frost fruit frying fuel fueling fuels fund funds fur furious furry fused fuses gad gain gait gall game gaming gap
    garage garble garbles garden garlic gate gates gating gear geld gels gems gender gene gent genus germs ghost giant
    gild gill gills gilts gins girl girls give gland glass glasses glaze glazing glide globe glove gloves glow glue
    goat god gods goes gold golden golf gone grab grace graceful grad graft grain gram grand grape grass grate grates
    grave gray graze grazing great greed green greet greeting grew grey grief groom grown guest guests guile guilt
    guise guitar gull gun gust guts guy hack hacking hail hailed hair hall halls halo halt ham hammer hand handler
    hands happy hard harden hardier hardy hare harm harp hat hatch hatched hatching hate hated hath hats haven haze
    head heal heals heap hear heart heat heats heavy heed heel heels height heir held helicopter helix hell hello helm
    hemp hen hens herb herder herds here hereby hermit hero hes hexagon hike hiking hill hills hind hinder hing hire
    hiring hither hitting hive hives hoard hoarder hole holes holler hollers hollow holy home homes hone honesty honey
    honing hood hoof hook hooked hooks hop hopping hops horn hornet hornets horse horses hose hospital host hosts hot
    hotel hour hours house houses huge hull humble hump hundred hung hungry hunt hunts hut huts hype ice ideal
    identifier ill indexed indigo info insect insider insure intent inter intro inventor inventors invite invites iron
    island jack jacket jade jail jam jangles jape jar jeans jets jilted jilts jogs john joint joints jug juice jump
    june kelp kens kettle key keyboard keys kick kicked kicking kid kids kill killed killer killing kills kilts kind
    king kings kiss kissing kitchen kite kits knee knife knight knits knob knot knots labs lace lack lad ladder lady
    lake lakes lamp lamps lance land landing lank laptop large laser lat late later laterally latex lawful laws layer
    leach leaching leaf leak leaking leaks lean leaned leaning leap leaps learner learnt lease leased leasing leather
    leaven leaves leaving led left leg legion legs lemon lend lender lends lens lent lept lessen letter letters levee
    lever lice lid lids lieu life lift lifted lifting light lightly lights lilts limb lime limo limp limy line lined
    lines linger lining linked linking lint lion lip lips lit liter litter littler live lived lives load loading loads
    lobe lobes lobs local locals lock locked locking locks locus loft logger logo logos lone lonely long longs loom
    looming looms loop loops loopy loot lop lord lords lore lose loser losing loss loud lover lovers lower luck lugs
    lumber lump lure lust lyre lyres magenta maid mail maker makers male males mall malls man manager mane mangles
    mans many map marble marked market marking maroon marry mart martial mask masked masking masks mass mast master
    masters mat match matched matches matching math mats matt mature maze meal meals meat meats medal megs mellow
    melon melt melts member men mend merge merging mess met metal mete metros mice might mild mile milk mill milling
    million mills mind mine miner mini mint mires mirror misc mist mistake mistakes misused mite mixed mixing modal
    mode model modem modes mods moist mold molds mole moles money monitor monkey monster mood moon morn moss motel
    moth mother mothers motorbike mound mounds mount mountain mountains mounted mounting mourning mouse mouth movie
    movies mowing mud muddy mug mulch mush nail narrow nave near nearer nearest neat neck needy nerve nerves nest
    nested nesting nests net nets netting new newer niche nick nigh night nine node nodes nods noise none noon norm
    norms north nose notable novice nuclear null number nurse nut nuts nylon nylons oar oasis oath oats observer
    occupied ocean octagon odder office oily old older olive onion onuses open ops orange orates ores otters ounce
    oval ovary oven overheard overt owed owes owing owls owner ozone pace pacing pack packed packing pact pad pads
    page pain pains painter painters painting paintings pair palace palaces pall pan pang pans pant pants paper
    papered papering papers parent park pars parse parsed parsing party pas past pasta pat patch patches patent path
    pattern pave paving paws pea peace peach peaches peak pealing peals pear pears peas peasant peel peeling peels
    peer pegs pen pencil pend pending pent pentagon people person persona persons pert pertain pest pests petal pets
    petty phase phone phones photography photon piano pickled picture pie pies pig pigs piles pill pillar pillow pills
    pine pines ping pink pins pint pipe piper pipers pipes pits pizza plaint plane planes plank planner plant planted
    plants plastic plate plates plating play player playing plays plight plow plug plugs plum pocket pods pointer
    poised poke pokes pole police poll polls polo pond ponder pondered pondering pool poor pope pore pores pork port
    pose poses posited poss post poster posts pot potato pots potting pouch pound pounds pour power pox praise prates
    prayed praying preach preached preaching preen preferable preference premise prepare prepares presided preview
    prick pricks pries prince printer prism probe prods producer product profess prom prone propel props prose prosper
    proven provider providers prow prowess pull pump pups pure purple purpose purse pus puzzle puzzles pyramid
    pyramids pyre pyres qualify quantify quartet queen quicken quiet quilt quit quote rabbit race raced races racing
    rack radio rafter rage raid rail rain rake rally ram ran rang range ranging ransom rare rat rats rays react
    reacted reacting reader real realism realist realm reap rear receiver recorder rectangle red reduce reed reeds
    refine refined regain regained relaxed relent reliable relied relieve relieved relieves rely remarkable remind
    remove renal rend rent renting rents repay repeal repealed repent reporter resent reserve reset residue residues
    resigned resort resorted resorting resorts resp respite result retail retain retained retaining retains revel
    reverence reviewer revolve reward rewarding rewards rice rich rick ricks rid riddle ride rides riding rids rig
    right ring ripe rise rite river rivers road roads roam roar robe robot rock rocket rocks rod rode role roles roll
    rolled roods roof root rope rose rots rotten round rounds rout router rover rubber rubble rubs rude rug rugby
    runnel runnels runny rust sack sacs sad safe safety sage sail sailed saint salad sale sample sand sands sandy sang
    satisfies saw scab scam scams scanner scant scar scare scared scarf scars scene scent school scone scooter scope
    screen screw sculpture sea seal sealing seam seams seas season seat seated seating sect seeded seeding seeds seep
    sell selling sells selves sender sentience series server servers settling seven sever sewer sewing sewn shad shade
    shady shake shaking shale shalt shame shape share shark sharp shave shear shears shed sheds sheep sheer sheet
    shelf shell shelves shield shin ship ships shires shirt shirts shoe shoes shoot shop shops shore short shorten
    shot shout shower shred shut sick sigh sight sign signs silk silt silver simpler simplex sin sine sing sings sink
    sins sire sister situ six size sized sizes skate skill skin skirt sky slain slate slave sleek slew slide slides
    slime slog slogs sloop sloops slot slots slow slower slowest small smart smear smith smoke smoulders snake sneak
    sneer snot snow soap soared soaring sock socks sods sofa soft soften soil sold soldier sole soles solver son song
    sonic soot sore sound soup sour sow sowing sown space spade span spanned spanning spans spare spark sparked spars
    sparse spat speaker spear spears specialty speck speed spent sphere sphinx spice spices spicy spider spies spike
    spill spine spiral spit spite spites spoon spores sport sporting sports spot spring sprint spun square squares
    squarest squires stab stack stacks staff stag stage staged stair stairs stake stakes stalk stalks stall star
    starch stark starring stars start starter startling starve starved starving stat stats statue statues stead steak
    steal steed steel steep steeped stem stems step stew stews sticky stiff stilted stilts sting stink stock stocks
    stone stones stool store storm stove strand strands stranger stray street streets string stripe striped stripes
    struck stud student sturdy sty subtly suction sue sued suit suitcase suite suited summit sun sung sunny supplier
    surf surge swats sway sweat swell swelling swine sword swords table tables tack tact tail tainted tale tales tall
    tame tampered tampering tan tang tangles tank tanks tap tape tapes tar tart tasted taster tasting taught taxes
    taxing tea teacher teal teams tear tech teen teeth television tell temple ten tender tense tent tents term tester
    text texting texts that theme thence there thick thigh thin thing think thinning thous thousand thread three threw
    throne thrust thumb tick ticks tics tide tides tie tied tier tiers ties tiger tight tile tiled tiles till timber
    timer tine tiny tips tire tired tires titled tittle toad toe toes togs toilet token toll tomato tonal tone tong
    tongue tonic tons tool tooth topical topped torch torn torpid torrid tort torus total tough tour towel tower
    towers town towns toy toys tracer tract trade traded trail train trains tram transparent tread treason treat
    treated tree trees trend trends triad triangle triangles tribes trick tricks trips trough truck trucks trumpet
    truss trusty tube tuber tubers tune tuned tunes tuning tunnel tunnels tuns turf turquoise turtle twelve twenty
    twins tying tyre tyres udder umbrella unclean under unto upper urea usable user users vain valley van vans vars
    vase vast vastly vats vector vegan vend vent verb verses vest vested vets vice vine violent violet violin vocation
    void vole voles vote voted votes waist wake wakes waking wall walled wallet walls wand wander wandered wandering
    wangles war warble warbles ward warder wardrobe wards ware warm wars wart warts wary wash washed washes washing
    wasted waster wasting watch water watt watts wave waves waving weaning wear wearer weave wed wedge weed weeds week
    weeks weeping weight weld well were west wet wetter whale what wheat wheel wheels whence where whereby wherever
    whey whit white whole whom whores whose wick wicked wide width wife wild wilt wilted wilts wind winding window
    windows winds wine wing wings wins wipe wipes wire wires wiser witch witches wolf woman women wood wooden woods
    wool wore worker worm worms worn worries worry wound wounds wrest wring writ writer wrought yard year yearly
    yearning yeast yelling yellow yolk young zeal zero zip zone zoom""".split()
)
